//! The least that such work can cost: one reqwest client, the requests of each host one after the other,
//! and for lists the fields that `wharfd` reads.

use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::{Certificate, Client, Identity};
use tokio::time::Instant;

use super::Measure;
use super::bare_calls::{Host, containers};
use super::record::{Meter, Phase, Round, Work};

pub async fn measure(measure: &Measure) -> anyhow::Result<()> {
    let addresses = measure.addresses()?;
    for &work in &measure.work {
        // A new client each time, so that the first round opens the connections.
        let meter = Meter::start("reqwest", "self")?;
        let begun = Instant::now();
        let client = client(measure)?;
        let first = round(&client, measure, &addresses, work, 0, begun).await?;
        meter.print(work, Phase::Cold, &first)?;
        for number in 1..=measure.rounds {
            let meter = Meter::start("reqwest", "self")?;
            let again = round(&client, measure, &addresses, work, number, Instant::now()).await?;
            meter.print(work, Phase::Warm, &again)?;
        }
    }
    Ok(())
}

async fn round(
    client: &Client,
    measure: &Measure,
    addresses: &[String],
    work: Work,
    number: usize,
    begun: Instant,
) -> anyhow::Result<Round> {
    let mut round = Round { asked: addresses.len(), ..Round::default() };
    let limit = Duration::from_secs(measure.timeout);
    let scheme = if measure.tls.is_some() { "https" } else { "http" };
    // Tasks, as in the server, so that both use all processors.
    let mut answers = stream::iter(addresses)
        .map(|address| {
            let authority = address.trim_start_matches("tcp://");
            let host = Host::new(client.clone(), format!("{scheme}://{authority}/v1.41"));
            async move {
                let answer = tokio::spawn(async move { call(&host, work, number).await });
                tokio::time::timeout(limit, answer).await
            }
        })
        .buffer_unordered(measure.parallel);
    while let Some(answer) = answers.next().await {
        let now = begun.elapsed();
        match answer {
            Ok(answer) => {
                answer??;
                if round.ok == 0 {
                    round.first = now;
                }
                round.ok += 1;
                round.healthy = now;
            }
            Err(_late) => round.failed += 1,
        }
    }
    round.wall = begun.elapsed();
    Ok(round)
}

async fn call(host: &Host, work: Work, number: usize) -> anyhow::Result<()> {
    match work {
        Work::List | Work::ListView => containers(host, false).await,
        Work::ListJson => containers(host, true).await,
        Work::Inspect => host.inspect("web").await,
        Work::Pull => host.pull(tag(number)).await,
        Work::Exec => host.exec("web", &["true"]).await,
        Work::Logs => host.logs("web").await,
        Work::Upgrade => host.upgrade("web", tag(number)).await,
    }
}

/// The version of a round; the next one has the other.
pub fn tag(number: usize) -> &'static str {
    if number.is_multiple_of(2) { "v2" } else { "v1" }
}

fn client(measure: &Measure) -> anyhow::Result<Client> {
    let builder = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let Some(directory) = &measure.tls else {
        return Ok(builder.tls_certs_only([]).build()?);
    };
    let read = |name: &str| std::fs::read(Path::new(directory).join(name));
    let authority = Certificate::from_pem(&read("ca.pem")?)?;
    let identity = Identity::from_pem(&[read("cert.pem")?, read("key.pem")?].concat())?;
    Ok(builder.tls_certs_only([authority]).identity(identity).build()?)
}
