//! Sends one image from a real Engine to several others: by `wharf image send`, and by
//! `docker save | docker load` for one after the other, in one run. Prints both times and the most
//! memory that `wharfd` had. Run as root, with `docker` in the PATH:
//!
//! ```text
//! cargo build --release -p wharf-server --bin wharfd -p wharf-cli --bin wharf
//! cargo run --release -p wharf-tests --example image_send -- [TARGETS] [MIB]
//! ```

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use testbed::{Engine, Image, Wharf, Wharfd};
use tokio::process::Command;

const TARGETS: usize = 10;
const MIB: usize = 500;
const REFERENCE: &str = "send-bench:v1";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let targets = arguments.next().transpose().context("TARGETS is a number")?.unwrap_or(TARGETS);
    let mib = arguments.next().transpose().context("MIB is a number")?.unwrap_or(MIB);

    let source = Engine::start().await?;
    let id = source.import(REFERENCE, &Image::new("bench").padding(mib << 20)).await?;
    let engines = try_join_all((0..targets).map(|_| Engine::start())).await?;
    let wharfd = Wharfd::start().await?;
    let cli = wharfd.cli()?;
    add(&cli, "source", &source).await?;
    for (number, engine) in engines.iter().enumerate() {
        add(&cli, &format!("target{number}"), engine).await?;
    }

    let begun = Instant::now();
    let sent = ["image", "send", REFERENCE, "--from", "source", "-A", "--exclude", "source"];
    cli.run(&sent).await?.expect(0)?;
    let by_wharf = begun.elapsed();
    let peak = wharfd.peak_resident_bytes()?;
    remove(&engines, &id).await?;

    let begun = Instant::now();
    for engine in &engines {
        save_and_load(&source, engine).await?;
    }
    let one_by_one = begun.elapsed();
    remove(&engines, &id).await?;

    let seconds = Duration::as_secs_f64;
    let mut out = std::io::stdout();
    writeln!(out, "image of {mib} MiB, from one real Engine to {targets} others")?;
    writeln!(out, "wharf image send                {:8.1} s", seconds(&by_wharf))?;
    writeln!(out, "docker save | docker load       {:8.1} s", seconds(&one_by_one))?;
    writeln!(
        out,
        "ratio                           {:8.2}",
        seconds(&by_wharf) / seconds(&one_by_one)
    )?;
    writeln!(out, "peak memory of wharfd (VmHWM)   {:8.1} MB", peak as f64 / 1e6)?;
    Ok(())
}

async fn add(cli: &Wharf, name: &str, engine: &Engine) -> anyhow::Result<()> {
    cli.run(&["host", "add", name, engine.address()]).await?.expect(0)?;
    Ok(())
}

/// Checks that every target has the image, and removes it.
async fn remove(engines: &[Engine], id: &str) -> anyhow::Result<()> {
    for engine in engines {
        let image = engine.image(REFERENCE).await?.context("the image did not arrive")?;
        ensure!(image["Id"] == id, "another image arrived: {}", image["Id"]);
        engine.delete(&format!("/images/{REFERENCE}")).await?;
    }
    Ok(())
}

async fn save_and_load(source: &Engine, target: &Engine) -> anyhow::Result<()> {
    let docker = |engine: &Engine, verb: &str| {
        let mut command = Command::new("docker");
        command.args(["-H", engine.address(), verb]).kill_on_drop(true);
        command
    };
    let mut save =
        docker(source, "save").arg(REFERENCE).stdout(Stdio::piped()).spawn().context("docker")?;
    let archive: Stdio = save.stdout.take().context("its output")?.try_into()?;
    let load = docker(target, "load").stdin(archive).stdout(Stdio::null()).status().await?;
    ensure!(save.wait().await?.success() && load.success(), "docker save | docker load failed");
    Ok(())
}
