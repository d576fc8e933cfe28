//! The minimal cost of such a list: one reqwest client, one request per host, and parsing of the
//! fields that `wharfd` reads.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Client;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::time::Instant;

use super::{AT_ONCE, Measured, Round, median, roles};

/// The fields of wharfd's typed view. It is built from these; nothing is built here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "reading them is what is measured")]
struct Item {
    id: String,
    names: Vec<String>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    command: String,
    created: i64,
    state: String,
    status: String,
    ports: Option<Vec<Port>>,
    labels: Option<BTreeMap<String, String>>,
    network_settings: Option<NetworkSettings>,
    size_rw: Option<i64>,
    size_root_fs: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "reading them is what is measured")]
struct Port {
    private_port: i64,
    public_port: Option<i64>,
    r#type: String,
    #[serde(rename = "IP")]
    ip: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "reading them is what is measured")]
struct NetworkSettings {
    networks: Option<BTreeMap<String, IgnoredAny>>,
}

pub async fn measure(
    addresses: &[String],
    containers: usize,
    rounds: usize,
) -> anyhow::Result<Measured> {
    let client =
        Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
    let cold = round(&client, addresses, containers).await?;
    let mut warm = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        warm.push(round(&client, addresses, containers).await?);
    }
    Ok(Measured { cold, warm: median(&warm) })
}

async fn round(client: &Client, addresses: &[String], containers: usize) -> anyhow::Result<Round> {
    let (begun, cpu) = (Instant::now(), roles::cpu("self")?);
    let mut first = Duration::ZERO;
    // Tasks, as in the server, so that both use all processors.
    let mut lists = stream::iter(addresses)
        .map(|address| {
            let authority = address.trim_start_matches("tcp://");
            let url = format!("http://{authority}/v1.41/containers/json?all=true");
            let client = client.clone();
            async move { tokio::spawn(async move { list(&client, &url).await }).await? }
        })
        .buffer_unordered(AT_ONCE);
    while let Some(found) = lists.try_next().await? {
        ensure!(found == containers, "{found} containers of {containers}");
        if first.is_zero() {
            first = begun.elapsed();
        }
    }
    Ok(Round { wall: begun.elapsed(), cpu: roles::cpu("self")? - cpu, first })
}

async fn list(client: &Client, url: &str) -> anyhow::Result<usize> {
    let body = client.get(url).send().await?.error_for_status()?.bytes().await?;
    let items: Vec<Item> = serde_json::from_slice(&body)?;
    Ok(items.len())
}
