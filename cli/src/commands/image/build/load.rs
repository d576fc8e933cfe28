//! `wharf build --load`: the image goes from the host that built it to others, as with `wharf image
//! send`.

use wharf::v1::{FanoutOptions, HostSelector};

use crate::app::{App, Connection};
use crate::commands::host::inventory;
use crate::commands::image::send;
use crate::exit::Failure;
use crate::targets::{Access, TargetArgs};

/// What to print on Ctrl-C.
const INTERRUPTED: &str = "interrupted; transfers in progress continue on the hosts";

/// Where an image goes.
pub struct Load {
    targets: HostSelector,
    /// The host that builds it, once it is known.
    builder: String,
}

impl Load {
    /// Reads the value of `--load`: names, labels, or `all`.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let targets = targets(text).select(Access::Write).map_err(|failure| match failure {
            Failure::Usage(_) => Failure::Usage(format!(
                "--load \"{}\" must be host names such as web1,web2, labels such as role=web, or all",
                text.escape_debug()
            )),
            other => other,
        })?;
        Ok(Self { targets, builder: String::new() })
    }

    /// Checks the hosts before anything is built: one that builds, and others that get the image.
    pub async fn check(
        &mut self,
        connection: &Connection,
        builders: &HostSelector,
    ) -> Result<(), Failure> {
        let builders = names(connection, builders).await?;
        let targets = names(connection, &self.targets).await?;
        self.builder = one_of(&builders, &targets).map_err(Failure::Usage)?;
        Ok(())
    }

    /// Sends the image under each of its names. A host that fails does not keep the others from the
    /// rest.
    pub async fn send(
        self,
        app: &App,
        connection: &Connection,
        tags: &[String],
        options: FanoutOptions,
    ) -> Result<(), Failure> {
        app.on_interrupt.replace(Some(INTERRUPTED.to_owned()));
        let mut result = Ok(());
        for tag in tags {
            let image = send::Image {
                source: self.builder.clone(),
                name: tag.clone(),
                cancel_on_disconnect: false,
            };
            let sent = send::send(app, connection, image, self.targets.clone(), options).await;
            match sent {
                Ok(()) => {}
                Err(Failure::Hosts) => result = Err(Failure::Hosts),
                Err(other) => return Err(other),
            }
        }
        result
    }
}

/// Names of hosts have none of the characters of labels with a condition.
fn targets(text: &str) -> TargetArgs {
    let of_labels = |c: char| matches!(c, '=' | '!' | '(' | ')') || c.is_whitespace();
    match text {
        "all" => TargetArgs { all_hosts: true, ..TargetArgs::default() },
        labels if labels.contains(of_labels) => {
            TargetArgs { selector: Some(labels.to_owned()), ..TargetArgs::default() }
        }
        names => {
            let host = names.split(',').map(str::to_owned).collect();
            TargetArgs { host, ..TargetArgs::default() }
        }
    }
}

async fn names(connection: &Connection, hosts: &HostSelector) -> Result<Vec<String>, Failure> {
    let hosts = inventory(connection, hosts.clone()).await?;
    Ok(hosts.into_iter().map(|host| host.name).collect())
}

/// The builder, if there is one and something to send it to.
fn one_of(builders: &[String], targets: &[String]) -> Result<String, String> {
    let [builder] = builders else {
        return Err(match builders {
            [] => "no host matches the selection, so none can build".to_owned(),
            several => format!(
                "--load needs one host that builds, but {} are selected; with several, each builds its \
                 own image: select one with -H NAME",
                several.len()
            ),
        });
    };
    match targets {
        [] => {
            Err("--load matches no host; to list hosts and their labels, run: wharf host ls"
                .to_owned())
        }
        [only] if only == builder => Err(format!(
            "--load names only {builder}, which builds the image and so has it; name other hosts"
        )),
        _ => Ok(builder.clone()),
    }
}

#[cfg(test)]
mod tests {
    use wharf::v1::host_selector::Selection;

    use super::*;

    #[test]
    fn the_value_is_names_labels_or_all() {
        let selection = |text: &str| Load::parse(text).unwrap().targets.selection.unwrap();
        let names = |text: &str| match selection(text) {
            Selection::Hosts(hosts) => hosts.names,
            other => panic!("{other:?}"),
        };
        assert_eq!(names("web1,web-2.example.com"), ["web1", "web-2.example.com"]);
        assert!(matches!(selection("all"), Selection::All(_)));
        for labels in ["role=web", "role=web,tier!=db", "tier in (a,b)", "!canary"] {
            assert_eq!(selection(labels), Selection::Labels(labels.to_owned()));
        }
        for wrong in ["", " ", "web1,", ",", "web1,,web2"] {
            let Err(Failure::Usage(message)) = Load::parse(wrong) else { panic!("{wrong:?}") };
            assert!(message.starts_with(&format!("--load \"{wrong}\" must be")), "{message}");
        }
    }

    #[test]
    fn one_host_builds_and_another_gets_the_image() {
        let of = |builders: &[&str], targets: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
            one_of(&owned(builders), &owned(targets))
        };
        assert_eq!(of(&["build1"], &["web1"]).as_deref(), Ok("build1"));
        assert_eq!(of(&["build1"], &["build1", "web1"]).as_deref(), Ok("build1"));
        for (builders, targets, expected) in [
            (&[][..], &["web1"][..], "none can build"),
            (&["a", "b"], &["web1"], "2 are selected"),
            (&["build1"], &[], "matches no host"),
            (&["build1"], &["build1"], "names only build1"),
        ] {
            let message = of(builders, targets).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
