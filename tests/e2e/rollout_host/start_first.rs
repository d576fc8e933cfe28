//! Start-first: the new container becomes healthy beside the old one, which is not touched before.
//! Rule C32, through the service.

use serde_json::{Value, json};
use testbed::{Image, eventually};
use wharf::v1::{Dependents, HostState, HostStep, RolloutOrder, RolloutPolicy, RolloutState};

use super::stage::{Stage, failing, quick, states};

fn order(order: RolloutOrder, policy: RolloutPolicy) -> RolloutPolicy {
    // With dependents refused, that would be what is told of them.
    RolloutPolicy { order: order.into(), dependents: Dependents::Recreate.into(), ..policy }
}

fn first(policy: RolloutPolicy) -> RolloutPolicy {
    order(RolloutOrder::StartFirst, policy)
}

async fn images(stage: &Stage) -> anyhow::Result<[String; 2]> {
    let v1 = stage.scene.image("v1", Image::new("v1")).await?;
    let v2 = stage.scene.image("v2", Image::new("v2")).await?;
    Ok([v1, v2])
}

#[tokio::test]
async fn a_gate_that_is_not_passed_leaves_the_old_container_as_it_was() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let [v1, v2] = images(&stage).await?;
    let always = json!({"RestartPolicy": {"Name": "always"}});
    stage.scene.run(json!({"Image": v1, "HostConfig": always})).await?;
    let old = stage.current().await?;
    let id = stage.begin(&v2, first(failing())).await?;
    // Both run while the new one is at its gate, and the old one has the name.
    let both = eventually("the new container at its gate", async || {
        let now = stage.get(&id).await?;
        anyhow::ensure!(now.steps[0].step() == HostStep::Gate, "{now:#?}");
        let new = stage.scene.inspect(&stage.named("new", &now)).await?;
        Ok((new, stage.current().await?))
    });
    let (new, beside) = both.await?;
    assert_eq!((&new["State"]["Running"], &new["Config"]["Image"]), (&json!(true), &json!(v2)));
    assert_eq!(beside["Id"], old["Id"]);

    let failed = stage.rest(&id).await?;
    assert_eq!(states(&failed), (RolloutState::Paused, HostState::Unchanged), "{failed:#?}");
    let now = stage.current().await?;
    for key in ["/Id", "/State", "/RestartCount", "/HostConfig/RestartPolicy", "/Config"] {
        assert_eq!(now.pointer(key), old.pointer(key), "{key}");
    }
    assert_eq!(stage.names().await?, std::slice::from_ref(&stage.scene.name));
    Ok(())
}

#[tokio::test]
async fn the_old_container_stops_only_after_the_gate() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let [v1, v2] = images(&stage).await?;
    let always = json!({"RestartPolicy": {"Name": "always"}});
    stage.scene.run(json!({"Image": v1, "HostConfig": always})).await?;
    let old = stage.current().await?;
    for wish in [RolloutOrder::StartFirst, RolloutOrder::Auto] {
        let plan = stage.plan(&v2, order(wish, quick())).await?;
        assert_eq!(plan.order(), RolloutOrder::StartFirst, "{plan:#?}");
    }
    let done = stage.roll(&v2, first(quick())).await?;
    assert_eq!(states(&done), (RolloutState::Succeeded, HostState::Updated), "{done:#?}");
    let (new, backup) = (stage.current().await?, stage.backup(&done).await?);
    assert_eq!((&new["State"]["Running"], &new["Config"]["Image"]), (&json!(true), &json!(v2)));
    assert_eq!(new["HostConfig"]["RestartPolicy"]["Name"], "always");
    assert_eq!((&backup["Id"], &backup["State"]["Running"]), (&old["Id"], &json!(false)));
    assert_eq!(backup["HostConfig"]["RestartPolicy"]["Name"], "no");
    let (began, ended) = (text(&new["State"]["StartedAt"]), text(&backup["State"]["FinishedAt"]));
    assert!(began < ended, "{began} {ended}");
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Start-first is refused with these words, and `auto` stops first and says why.
async fn obstacle(stage: &Stage, image: &str, words: &str) -> anyhow::Result<()> {
    let said = stage.refusals(image, first(quick())).await?;
    assert!(said.contains("start-first is not possible") && said.contains(words), "{said}");
    let plan = stage.plan(image, order(RolloutOrder::Auto, quick())).await?;
    assert_eq!(plan.order(), RolloutOrder::StopFirst, "{plan:#?}");
    let told = plan.risks.iter().filter(|risk| risk.contains("stop-first, because"));
    assert!(told.clone().any(|risk| risk.contains(words)), "{:?}", plan.risks);
    assert_eq!(told.count(), 1, "{:?}", plan.risks);
    Ok(())
}

/// A container of this body, which start-first is refused for with these words.
async fn refused(body: Value, words: &str) -> anyhow::Result<Stage> {
    let stage = Stage::new().await?;
    let [v1, v2] = images(&stage).await?;
    let mut body = body;
    body["Image"] = json!(v1);
    stage.scene.run(body).await?;
    obstacle(&stage, &v2, words).await?;
    Ok(stage)
}

#[tokio::test]
async fn c32_what_old_and_new_cannot_both_have_stands_against_it() -> anyhow::Result<()> {
    let ports = json!({"80/tcp": [{"HostPort": "18081"}]});
    refused(json!({"HostConfig": {"PortBindings": ports}}), "the host port 18081").await?;
    refused(json!({"HostConfig": {"NetworkMode": "host"}}), "the host's network").await?;
    refused(json!({"MacAddress": "02:42:0a:00:00:97"}), "a fixed MAC address").await?;
    refused(json!({"HostConfig": {"AutoRemove": true}}), "it has auto-remove").await?;
    let stage = refused(json!({"Volumes": {"/data": {}}}), "both write to").await?;
    // What was refused or only planned has changed nothing.
    assert_eq!(stage.names().await?, std::slice::from_ref(&stage.scene.name));
    // With `auto` it is carried out in that order.
    let [_, v2] = images(&stage).await?;
    let done = stage.roll(&v2, order(RolloutOrder::Auto, quick())).await?;
    assert_eq!(states(&done), (RolloutState::Succeeded, HostState::Updated), "{done:#?}");
    let (new, old) = (stage.current().await?, stage.backup(&done).await?);
    assert!(text(&old["State"]["FinishedAt"]) < text(&new["State"]["StartedAt"]));
    Ok(())
}

#[tokio::test]
async fn c32_fixed_addresses_and_dependents_stand_against_it() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let [v1, v2] = images(&stage).await?;
    let (network, prefix) = stage.scene.network("own").await?;
    let endpoint = json!({"IPAMConfig": {"IPv4Address": format!("{prefix}.9")}});
    let body = json!({
        "Image": v1,
        "HostConfig": {"NetworkMode": network},
        "NetworkingConfig": {"EndpointsConfig": {network.as_str(): endpoint}},
    });
    let id = stage.scene.run(body).await?;
    obstacle(&stage, &v2, &format!("a fixed address in the network {network}")).await?;
    let side = stage.scene.other("side");
    let mode = json!({"NetworkMode": format!("container:{id}")});
    stage.scene.create(&side, json!({"Image": v1, "HostConfig": mode})).await?;
    let said = stage.refusals(&v2, first(quick())).await?;
    let words = format!("the container {side} depends on it");
    assert!(said.contains("start-first is not possible") && said.contains(&words), "{said}");
    Ok(())
}

#[tokio::test]
async fn names_in_networks_are_shared_only_where_start_first_was_asked_for() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let [v1, v2] = images(&stage).await?;
    let (network, _) = stage.scene.network("own").await?;
    let body = json!({
        "Image": v1,
        "HostConfig": {"NetworkMode": network},
        "NetworkingConfig": {"EndpointsConfig": {network.as_str(): {"Aliases": ["shop"]}}},
    });
    stage.scene.run(body).await?;
    // The Engine cannot withhold a name from a container that is in the network already.
    let words = format!("its name shop in the network {network} would resolve to both");
    let auto = stage.plan(&v2, order(RolloutOrder::Auto, quick())).await?;
    assert_eq!(auto.order(), RolloutOrder::StopFirst, "{auto:#?}");
    assert!(auto.risks.iter().any(|risk| risk.contains(&words)), "{:?}", auto.risks);
    let wished = stage.plan(&v2, first(quick())).await?;
    assert_eq!(wished.order(), RolloutOrder::StartFirst, "{wished:#?}");
    let told = format!("the name shop in the network {network} resolves to both containers");
    assert!(wished.risks.iter().any(|risk| risk.contains(&told)), "{:?}", wished.risks);

    // At the gate the name leads to both; afterwards to the new one alone.
    let seeker = stage.scene.other("seeker");
    let body = json!({"Image": v1, "HostConfig": {"NetworkMode": network}});
    stage.scene.start(&stage.scene.create(&seeker, body).await?).await?;
    let id = stage.begin(&v2, first(failing())).await?;
    let both = eventually("both under the name", async || {
        let found = addresses(&stage, &seeker).await?;
        anyhow::ensure!(found.len() == 2, "{found:?}");
        Ok(found)
    });
    both.await?;
    let failed = stage.rest(&id).await?;
    assert_eq!(states(&failed), (RolloutState::Paused, HostState::Unchanged), "{failed:#?}");
    assert_eq!(addresses(&stage, &seeker).await?, [address(&stage).await?]);
    stage.abort(&failed).await?;
    let done = stage.roll(&v2, first(quick())).await?;
    assert_eq!(states(&done), (RolloutState::Succeeded, HostState::Updated), "{done:#?}");
    assert_eq!(addresses(&stage, &seeker).await?, [address(&stage).await?]);
    Ok(())
}

/// Where the name leads to from another container of the network.
async fn addresses(stage: &Stage, seeker: &str) -> anyhow::Result<Vec<String>> {
    let said = stage.run_in(seeker, "busybox nslookup shop 127.0.0.11").await?;
    let answer = said.split_once("shop").map_or("", |(_, answer)| answer);
    let words = answer.split_whitespace().map(|word| word.trim_end_matches('\r'));
    let mut found: Vec<String> = words
        .filter(|word| word.parse::<std::net::Ipv4Addr>().is_ok())
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// The address of the container that has the name.
async fn address(stage: &Stage) -> anyhow::Result<String> {
    let networks = stage.current().await?["NetworkSettings"]["Networks"].clone();
    let network = networks.as_object().and_then(|networks| networks.values().next().cloned());
    Ok(network.unwrap_or_default()["IPAddress"].as_str().unwrap_or_default().to_owned())
}
