//! `wharf top --fleet` in a real terminal, which is tmux: fifty simulated hosts and a real one.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use serde_json::json;
use testbed::{EngineKind, Image, eventually, tools, unique};
use wharf_server::engine::ApiVersion;
use wharf_simulator::http::SimServer;
use wharf_simulator::{EngineOptions, ImageContent, Registries, SimHost};

use crate::generations::stage::Stage;
use crate::support::Server;

const SIMULATED: usize = 50;

/// A terminal in which something runs.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn tmux(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(tools::system("tmux")?)
            .args(["-L", &self.socket, "-f", "/dev/null"])
            .args(arguments)
            .output()
            .context("starting tmux")?;
        ensure!(output.status.success(), "tmux {arguments:?}: {output:?}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn screen(&self) -> anyhow::Result<String> {
        self.tmux(&["capture-pane", "-p"])
    }

    fn press(&self, keys: &[&str]) -> anyhow::Result<()> {
        self.tmux(&[&["send-keys"], keys].concat()).map(drop)
    }

    async fn until(&self, what: &str, so: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        eventually(what, async || {
            let screen = self.screen()?;
            ensure!(so(&screen), "{screen}");
            Ok(screen)
        })
        .await
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.tmux(&["kill-server"]);
    }
}

/// Hosts with three running containers each.
async fn simulated() -> anyhow::Result<SimServer> {
    let hosts = (0..SIMULATED).map(|number| {
        let options = EngineOptions::for_api(&format!("sim-{number:02}"), ApiVersion::new(1, 41));
        let host = SimHost::new(options, Registries::default());
        host.with(|model, now| {
            model.load("app:v1", &ImageContent::builder("v1").build());
            let version = model.options().api_version;
            for name in ["web", "db", "cache"] {
                let body = json!({"Image": "app:v1"});
                let failed =
                    |refusal: wharf_simulator::model::Refusal| anyhow::anyhow!(refusal.message);
                model.create(now, version, Some(name), None, &body).map_err(failed)?;
                model.start(now, name).map_err(failed)?;
            }
            anyhow::Ok(())
        })?;
        Ok(host)
    });
    let hosts: anyhow::Result<Vec<Arc<SimHost>>> = hosts.collect();
    Ok(SimServer::listen_each(hosts?).await?)
}

#[tokio::test]
async fn a_fleet_on_the_full_screen() -> anyhow::Result<()> {
    let stage = Stage::of(EngineKind::Machine).await?;
    let image = stage.image("v1", &Image::new("v1")).await?;
    let script = "echo so-it-$((40 + 2)); trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done";
    stage
        .run(json!({
            "Image": image, "Cmd": ["/bin/sh", "-c", script], "HostConfig": {"NetworkMode": "none"},
        }))
        .await?;
    let simulation = simulated().await?;
    let server = Server::of(stage.wharfd()).await?;
    for (number, host) in simulation.hosts().iter().enumerate() {
        server.add(&format!("sim-{number:02}"), &host.address()).await?;
    }
    let result = on_the_screen(&stage, &simulation).await;
    stage.clear().await?;
    result
}

async fn on_the_screen(stage: &Stage, simulation: &SimServer) -> anyhow::Result<()> {
    // Without a terminal, it says so.
    let output = stage.cli.run(&["top", "--fleet"]).await?.expect(2)?;
    ensure!(output.stderr.contains("needs a terminal"), "{output:?}");
    let output = stage.cli.run(&["top", "--fleet", "web"]).await?.expect(2)?;
    ensure!(output.stderr.contains("cannot be used with"), "{output:?}");

    let terminal = Terminal { socket: unique("tmux") };
    let wharf = stage.cli.command(&["top", "--fleet"])?;
    let wharf = wharf.as_std();
    let mut line = vec!["new-session", "-d", "-x", "80", "-y", "24", "env", "-i", "TERM=screen"];
    let environment: Vec<String> = wharf
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_str()?, value?.to_str()?)))
        .collect();
    line.extend(environment.iter().map(String::as_str));
    // tmux does not always learn how what it runs ended.
    line.extend(["NO_COLOR=1", "sh", "-c", "trap : INT; \"$@\"; echo ended with $?", "sh"]);
    line.push(wharf.get_program().to_str().context("a path")?);
    for argument in wharf.get_args() {
        line.push(argument.to_str().context("text")?);
    }
    terminal.tmux(&line)?;
    terminal.tmux(&["set-option", "remain-on-exit", "on"])?;
    let screen = terminal
        .until("all hosts", |it| it.contains("51 hosts") && !it.contains("not measured"))
        .await?;
    ensure!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    ensure!(screen.contains("MEM %") && screen.contains("? help  q quit"), "{screen}");

    terminal.press(&["?"])?;
    terminal.until("the help", |it| it.contains("Any key closes this help")).await?;
    terminal.press(&["x"])?;
    terminal.tmux(&["resize-window", "-x", "120", "-y", "40"])?;
    terminal.until("more columns", |it| it.contains("BLOCK I/O")).await?;

    simulation.hosts()[0].host().set_unreachable(true);
    terminal.until("a host is away", |it| it.contains("51 hosts, 1 away")).await?;
    simulation.hosts()[0].host().set_unreachable(false);
    terminal.until("it is back", |it| it.contains("51 hosts") && !it.contains("away")).await?;

    terminal.press(&["/"])?;
    terminal.press(&["-l", &stage.name])?;
    terminal.press(&["Enter"])?;
    terminal.until("one of them", |it| it.contains("Containers (1 of")).await?;
    terminal.press(&["l"])?;
    terminal.until("its log", |it| it.contains("so-it-42")).await?;
    terminal.press(&["C-c"])?;
    terminal.until("the overview again", |it| it.contains("Containers (1 of")).await?;
    terminal.press(&["e"])?;
    terminal
        .until("a shell", |it| it.contains("/ #") || it.contains("$ ") || it.contains("# "))
        .await?;
    terminal.press(&["-l", "echo shell-$((50 + 5))"])?;
    terminal.press(&["Enter"])?;
    terminal.until("its output", |it| it.contains("shell-55")).await?;
    terminal.press(&["-l", "exit"])?;
    terminal.press(&["Enter"])?;
    terminal.until("the overview again", |it| it.contains("Containers (1 of")).await?;

    terminal.press(&["s"])?;
    let question = format!("Stop one/{}?", stage.name);
    terminal.until("the question", |it| it.contains(&question)).await?;
    terminal.press(&["n"])?;
    terminal.until("the answer", |it| it.contains("not stopped")).await?;
    ensure!(stage.inspect().await?["State"]["Running"] == true);
    terminal.press(&["s"])?;
    terminal.until("the question", |it| it.contains(&question)).await?;
    terminal.press(&["y"])?;
    terminal.until("it is stopped", |it| it.contains("is stopped")).await?;
    ensure!(stage.inspect().await?["State"]["Running"] == false);
    terminal.until("it is gone", |it| it.contains("Containers (0 of")).await?;

    terminal.press(&["q"])?;
    let screen = terminal.until("the end", |it| it.contains("ended with 0")).await?;
    ensure!(!screen.contains("Hosts (51)"), "the screen before is there again");
    Ok(())
}
