//! The behavior of a container's process. Pure; called when a container is started, signalled, or
//! inspected.
//!
//! A container's behavior comes from the first of these that defines it: labels that begin with
//! `sim.` (of the container or its image), the [`Behaviour`] of its image, its command. The
//! commands of the busybox images of the end-to-end tests are supported, so that a test body means
//! the same for the model and for a real Engine.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a process does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behaviour {
    /// The start fails with this.
    pub start_error: Option<StartError>,
    /// It ends by itself, so long after its start, with this status.
    pub exits: Option<(Duration, i64)>,
    /// How it takes its stop signal (and SIGTERM, SIGINT, SIGQUIT, SIGHUP).
    pub on_stop: OnStop,
    /// What its health check finds; `None`: derived from the health check's command.
    pub health: Option<HealthScript>,
    /// Paths that it writes in its file system.
    pub writes: Vec<String>,
}

/// How a start fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartError {
    /// What the container's state has afterwards: 126, 127 or 128.
    pub exit_code: i64,
    /// The text after `failed to create shim task: `.
    pub message: String,
}

/// How a process takes a signal to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnStop {
    /// It ends after so long with this status.
    Exits(Duration, i64),
    /// It does not care, as a process 1 without a handler.
    Ignores,
}

/// What a health check finds over time. Both unset: it stays `starting`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthScript {
    /// Healthy so long after the start.
    pub healthy_after: Option<Duration>,
    /// Unhealthy so long after the start.
    pub unhealthy_after: Option<Duration>,
}

impl Default for Behaviour {
    /// Runs until it is stopped, and then ends at once with 0.
    fn default() -> Self {
        Self {
            start_error: None,
            exits: None,
            on_stop: OnStop::Exits(Duration::ZERO, 0),
            health: None,
            writes: Vec::new(),
        }
    }
}

impl Behaviour {
    /// Ends by itself.
    pub fn exits_after(after: Duration, code: i64) -> Self {
        Self { exits: Some((after, code)), ..Self::default() }
    }

    /// Runs until it is killed.
    pub fn ignores_stop() -> Self {
        Self { on_stop: OnStop::Ignores, ..Self::default() }
    }

    /// Cannot be started, as a command that is not there.
    pub fn fails_to_start(message: impl Into<String>) -> Self {
        let start_error = Some(StartError { exit_code: 127, message: message.into() });
        Self { start_error, ..Self::default() }
    }

    /// Health as scripted; needs a health check in the image or container to be seen.
    #[must_use]
    pub fn with_health(mut self, health: HealthScript) -> Self {
        self.health = Some(health);
        self
    }

    /// Ends so long after its stop signal, with this status.
    #[must_use]
    pub fn stops_after(mut self, after: Duration, code: i64) -> Self {
        self.on_stop = OnStop::Exits(after, code);
        self
    }

    /// The behaviour of a container, from where it is told first.
    pub(crate) fn of(
        labels: &BTreeMap<String, String>,
        image: Option<&Self>,
        argv: &[String],
    ) -> Self {
        let mut behaviour = image.cloned().unwrap_or_else(|| of_command(argv));
        let duration =
            |key: &str| labels.get(key).and_then(|text| humantime::parse_duration(text).ok());
        let code = |key: &str| labels.get(key).and_then(|text| text.parse::<i64>().ok());
        if labels.contains_key("sim.exit-after") || labels.contains_key("sim.exit-code") {
            let after = duration("sim.exit-after").unwrap_or_default();
            behaviour.exits = Some((after, code("sim.exit-code").unwrap_or(0)));
        }
        if labels.get("sim.ignore-stop").is_some_and(|text| text == "true") {
            behaviour.on_stop = OnStop::Ignores;
        }
        if labels.contains_key("sim.stop-after") || labels.contains_key("sim.stop-code") {
            let after = duration("sim.stop-after").unwrap_or_default();
            behaviour.on_stop = OnStop::Exits(after, code("sim.stop-code").unwrap_or(0));
        }
        if labels.contains_key("sim.healthy-after") || labels.contains_key("sim.unhealthy-after") {
            behaviour.health = Some(HealthScript {
                healthy_after: duration("sim.healthy-after"),
                unhealthy_after: duration("sim.unhealthy-after"),
            });
        }
        if let Some(message) = labels.get("sim.start-error") {
            behaviour.start_error =
                Some(StartError { exit_code: 127, message: message.to_owned() });
        }
        behaviour
    }
}

/// What a command of busybox does as process 1, and for what is unknown: a good daemon.
/// Whatever has `nosuch` in its name is not there, and `/bin` is a directory.
fn of_command(argv: &[String]) -> Behaviour {
    let Some(program) = argv.first() else { return Behaviour::default() };
    let runc = |exit_code, what: &str| StartError {
        exit_code,
        message: format!(
            "OCI runtime create failed: runc create failed: unable to start container process: exec: \"{program}\": {what}: unknown"
        ),
    };
    let refused = |error| Behaviour { start_error: Some(error), ..Behaviour::default() };
    if program.contains("nosuch") {
        return refused(if program.starts_with('/') {
            runc(127, &format!("stat {program}: no such file or directory"))
        } else {
            runc(127, "executable file not found in $PATH")
        });
    }
    match program.rsplit('/').next().unwrap_or_default() {
        "bin" if argv.len() == 1 => refused(runc(126, "permission denied")),
        "true" | "echo" => Behaviour::exits_after(Duration::ZERO, 0),
        "false" => Behaviour::exits_after(Duration::ZERO, 1),
        "sleep" => Behaviour {
            exits: argv.get(1).and_then(|text| seconds(text)).map(|after| (after, 0)),
            on_stop: OnStop::Ignores,
            ..Behaviour::default()
        },
        "sh" if argv.get(1).is_some_and(|flag| flag == "-c") => {
            argv.get(2).map_or_else(Behaviour::default, |script| of_script(script))
        }
        _ => Behaviour::default(),
    }
}

/// What a small shell script does: `trap 'exit N' TERM`, `sleep S`, `touch PATH`, `exit N`,
/// `while :` (forever), divided by semicolons or line ends.
fn of_script(script: &str) -> Behaviour {
    let mut behaviour = Behaviour { on_stop: OnStop::Ignores, ..Behaviour::default() };
    let mut elapsed = Duration::ZERO;
    for statement in script.split([';', '\n']).map(str::trim) {
        let words: Vec<&str> = statement.split_whitespace().collect();
        match words.as_slice() {
            ["trap", trap @ .., "TERM"] => {
                let code = trap.last().and_then(|word| word.trim_matches(['\'', '"']).parse().ok());
                behaviour.on_stop = OnStop::Exits(Duration::ZERO, code.unwrap_or(0));
            }
            ["exec" | "while", ..] => return behaviour,
            ["sleep", length, ..] => elapsed += seconds(length).unwrap_or_default(),
            ["touch", paths @ ..] => {
                behaviour.writes.extend(paths.iter().map(|&path| path.to_owned()));
            }
            ["exit", code] => {
                behaviour.exits = Some((elapsed, code.parse().unwrap_or(0)));
                return behaviour;
            }
            _ => {}
        }
    }
    behaviour.exits = Some((elapsed, 0));
    behaviour
}

fn seconds(text: &str) -> Option<Duration> {
    text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(argv: &[&str]) -> Behaviour {
        of_command(&argv.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn commands_of_busybox_are_understood() {
        assert_eq!(command(&["/bin/sleep", "1000"]).exits, Some((Duration::from_secs(1000), 0)));
        assert_eq!(command(&["/bin/sleep", "1000"]).on_stop, OnStop::Ignores);
        assert_eq!(
            command(&["/bin/sh", "-c", "sleep 0.5; exit 3"]).exits,
            Some((Duration::from_millis(500), 3))
        );
        let trapped =
            command(&["/bin/sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done"]);
        assert_eq!((trapped.exits, trapped.on_stop), (None, OnStop::Exits(Duration::ZERO, 7)));
        let missing = command(&["/nosuch"]).start_error.unwrap();
        assert_eq!(missing.exit_code, 127);
        assert!(missing.message.contains("stat /nosuch: no such file or directory"));
        assert_eq!(command(&["nginx"]), Behaviour::default());
    }

    #[test]
    fn labels_win_over_the_image_and_the_command() {
        let labels =
            [("sim.exit-after", "2s"), ("sim.exit-code", "5"), ("sim.ignore-stop", "true")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let image = Behaviour::exits_after(Duration::from_secs(9), 9);
        let behaviour = Behaviour::of(&labels.into(), Some(&image), &[]);
        assert_eq!(behaviour.exits, Some((Duration::from_secs(2), 5)));
        assert_eq!(behaviour.on_stop, OnStop::Ignores);
        let plain = Behaviour::of(&BTreeMap::new(), Some(&image), &["true".to_owned()]);
        assert_eq!(plain, image);
    }
}
