//! A changed `wharfd.toml` is applied on SIGHUP, an invalid one is refused as a whole, and calls
//! continue.

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use testbed::{
    Engine, EngineOptions, Fleet, Image, Listen, Wharfd, WharfdOptions, eventually, unique,
};
use tonic::Code;
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1::wait_containers_response::Event as Waited;
use wharf::v1::{
    GetHostRequest, ListContainersRequest, ListHostsRequest, RemoveHostRequest,
    UpdateHostLabelsRequest, WaitContainersRequest,
};

use crate::support::{Server, all, collect, hosts, reason};

async fn names(server: &Server) -> anyhow::Result<Vec<String>> {
    let listed = server.hosts().list_hosts(ListHostsRequest::default()).await?.into_inner();
    Ok(listed.hosts.into_iter().map(|host| host.name).collect())
}

#[tokio::test]
async fn changed_file_is_taken_in_and_a_bad_one_refused_whole() -> anyhow::Result<()> {
    let fleet = Fleet::shared().await?;
    let entry = |name: &str, index: usize, tier: &str| {
        let address = fleet.engines[index].address();
        format!(
            "[[host]]\nname = \"{name}\"\naddress = \"{address}\"\nlabels = {{ tier = \"{tier}\" }}\n"
        )
    };
    let first = entry("one", 0, "web") + &entry("two", 1, "web");
    let wharfd = Wharfd::start_with(WharfdOptions {
        configuration: Some(first.clone()),
        ..Default::default()
    })
    .await?;
    let server = Server::of(&wharfd).await?;
    server.add("kept", fleet.engines[2].address()).await?;
    assert_eq!(names(&server).await?, ["kept", "one", "two"]);

    // A call in flight, on a host that the next file no longer has.
    let (image, name) = (format!("{}:v1", unique("app")), unique("web"));
    fleet.engines[1].import(&image, &Image::new("v1")).await?;
    fleet.engines[1].run(&name, &image).await?;
    let wait = WaitContainersRequest {
        targets: hosts(&["two"]),
        containers: vec![name.clone()],
        ..Default::default()
    };
    let mut waiting = server.containers().wait_containers(wait).await?.into_inner();
    waiting.next().await.context("`started`")??;

    wharfd.reload(&(entry("one", 0, "db") + &entry("three", 1, "web")))?;
    eventually("the new hosts", async || {
        let names = names(&server).await?;
        ensure!(names == ["kept", "one", "three"], "{names:?}");
        Ok(())
    })
    .await?;
    let get = GetHostRequest { name: "one".to_owned() };
    let one = server.hosts().get_host(get).await?.into_inner().host.context("a host")?;
    assert_eq!(one.labels["tier"], "db");
    let list = ListContainersRequest { targets: all(), ..Default::default() };
    collect(server.containers().list_containers(list))
        .await?
        .done_on(&["kept", "one", "three"], false);

    fleet.engines[1].post(&format!("/containers/{name}/stop?t=30"), None).await?;
    let mut exits = 0;
    while let Some(message) = waiting.next().await {
        match message?.into_envelope().1 {
            Some(Envelope::Payload(Waited::Exit(exit))) => exits += 1 + exit.exit_code,
            Some(Envelope::Outcome(outcome)) => {
                assert_eq!(outcome.status.map_or(0, |status| status.code), 0);
            }
            _ => {}
        }
    }
    assert_eq!(exits, 1);

    for (bad, said) in [
        (first.clone() + "nonsense = 1\n", "nonsense"),
        (first.clone() + &entry("two", 2, "web"), "two"),
        (first.clone() + "[[host]]\nname = \"..\"\naddress = \"unix:///x\"\n", ".."),
        (first.clone() + "[[host]\n", "wharfd.toml:"),
    ] {
        wharfd.reload(&bad)?;
        eventually("the refusal", async || {
            let log = wharfd.log();
            let mut refused = log.lines().filter(|line| line.contains("configuration refused"));
            ensure!(refused.next_back().is_some_and(|line| line.contains(said)), "{said}: {log}");
            Ok(())
        })
        .await?;
        assert_eq!(names(&server).await?, ["kept", "one", "three"]);
    }
    wharfd.reload(&first)?;
    eventually("the first hosts again", async || {
        let names = names(&server).await?;
        ensure!(names == ["kept", "one", "two"], "{names:?}");
        Ok(())
    })
    .await?;

    // What is in the file is changed in the file.
    let set = UpdateHostLabelsRequest {
        targets: hosts(&["one"]),
        set: [("a".to_owned(), "b".to_owned())].into(),
        ..Default::default()
    };
    let refused = server.hosts().update_host_labels(set).await.expect_err("a host of the file");
    assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "HOST_READ_ONLY"));
    let remove = RemoveHostRequest { name: "one".to_owned(), ..Default::default() };
    let refused = server.hosts().remove_host(remove).await.expect_err("a host of the file");
    assert_eq!(reason(&refused), "HOST_READ_ONLY");
    Ok(())
}

#[tokio::test]
async fn group_of_certificates_serves_several_hosts() -> anyhow::Result<()> {
    let engine =
        Engine::start_with(EngineOptions { listen: Listen::Tls, ..Default::default() }).await?;
    let tls = engine.tls().context("certificates")?;
    let group =
        format!("[tls.lab]\nca = {:?}\ncert = {:?}\nkey = {:?}\n", tls.ca, tls.cert, tls.key);
    let host = |name: &str, group: &str| {
        format!(
            "[[host]]\nname = \"{name}\"\naddress = \"{}\"\ntls = \"{group}\"\n",
            engine.address()
        )
    };
    let configuration = group.clone() + &host("one", "lab");
    let wharfd = Wharfd::start_with(WharfdOptions {
        configuration: Some(configuration.clone()),
        ..Default::default()
    })
    .await?;
    let server = Server::of(&wharfd).await?;
    let cli = wharfd.cli()?;
    cli.run(&["host", "add", "two", engine.address(), "--tls-group", "lab"]).await?.expect(0)?;
    let list = ListContainersRequest { targets: all(), ..Default::default() };
    collect(server.containers().list_containers(list.clone()))
        .await?
        .done_on(&["one", "two"], false);
    let refused = cli
        .run(&["host", "add", "three", engine.address(), "--tls-group", "none"])
        .await?
        .expect(2)?;
    assert!(refused.stderr.contains("none"), "{refused:?}");

    // A group that a host of the API still uses cannot go.
    wharfd.reload(&group.replace("lab", "other").replace("one", "other"))?;
    eventually("an answer", async || {
        let log = wharfd.log();
        ensure!(
            log.contains("configuration refused") || log.contains("configuration loaded"),
            "{log}"
        );
        Ok(())
    })
    .await?;
    assert!(wharfd.log().contains("configuration refused"), "{}", wharfd.log());
    collect(server.containers().list_containers(list)).await?.done_on(&["one", "two"], false);
    Ok(())
}
