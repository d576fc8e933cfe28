//! Measures how long a host does not answer while its container is replaced: by a rollout, and by
//! the bare calls create, stop, rename, rename, start; alternating, on one real Engine. Measured
//! from outside: from the last response of the old container to the first of the new one. Run as
//! root:
//!
//! ```text
//! cargo build --release -p wharf-server --bin wharfd
//! cargo run --release -p wharf-tests --example rollout_downtime -- [ROUNDS]
//! ```

mod bare;
mod outside;
mod rollout;

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use testbed::{Engine, Image};

use bare::Bare;
use outside::Outside;
use rollout::Rollouts;

const ROUNDS: usize = 15;

/// The name of the container.
const NAME: &str = "web";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let rounds = match std::env::args().nth(1) {
        Some(rounds) => rounds.parse().context("ROUNDS is a number")?,
        None => ROUNDS,
    };
    let engine = Engine::start().await?;
    for version in ["v1", "v2"] {
        let image = Image::new(version).command(&["/bin/web"]);
        engine.import(&reference(version), &image).await?;
    }
    let outside = Outside::new().await?;
    let bare = Bare::new(&engine)?;
    let rollouts = Rollouts::new(&engine).await?;
    bare.create(NAME, &body("v1", outside.port())).await?;
    bare.start(NAME).await?;
    outside.answers("v1").await?;

    let (mut by_calls, mut by_wharfd) = (Vec::new(), Vec::new());
    let mut versions = ["v2", "v1"].into_iter().cycle();
    for round in 0..rounds {
        // Whoever comes first in a round has the same share of what continues besides.
        for turn in 0..2 {
            let version = versions.next().context("a version")?;
            let watch = outside.watch(version);
            if (round + turn) % 2 == 0 {
                bare.replace(NAME, &body(version, outside.port())).await?;
                by_calls.push(watch.await?);
            } else {
                rollouts.replace(NAME, &reference(version)).await?;
                by_wharfd.push(watch.await?);
            }
        }
    }
    let (calls, wharfd) = (median(&mut by_calls), median(&mut by_wharfd));
    report("bare calls", &by_calls, calls);
    report("rollout", &by_wharfd, wharfd);
    compare(wharfd, calls);
    Ok(())
}

fn reference(version: &str) -> String {
    format!("downtime:{version}")
}

/// On the network of the host: these Engines have no bridge, and publish nothing.
fn body(version: &str, port: u16) -> Value {
    json!({
        "Image": reference(version),
        "Env": [format!("PORT={port}")],
        "HostConfig": {"NetworkMode": "host", "RestartPolicy": {"Name": "always"}},
    })
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[expect(clippy::print_stdout, reason = "it is what a benchmark is for")]
fn compare(rollout: Duration, calls: Duration) {
    println!("ratio of the medians: {:.3}", rollout.as_secs_f64() / calls.as_secs_f64());
}

#[expect(clippy::print_stdout, reason = "it is what a benchmark is for")]
fn report(what: &str, sorted: &[Duration], median: Duration) {
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
    println!(
        "{what:>10}: median {:6.1} ms, from {:6.1} to {:6.1} ms, {} times",
        millis(median),
        millis(least),
        millis(most),
        sorted.len()
    );
}
