//! On Engines of other kinds.

use anyhow::{Context, ensure};
use serde_json::json;
use testbed::{Engine, EngineKind, Image, Wharfd};
use tokio::sync::Mutex;

use super::mine::{Mine, own};
use crate::support::Server;
use crate::support::kinds::on_engines;

on_engines!(networks_and_volumes_on_other_engines: newer);

/// Podman names the bridges of its networks `podman1`, … and the Engines share those of the machine.
static BRIDGES: Mutex<()> = Mutex::const_new(());

async fn networks_and_volumes_on_other_engines(kind: EngineKind) -> anyhow::Result<()> {
    let _bridges = BRIDGES.lock().await;
    let engine = Engine::shared(kind).await?.context("the kind is available")?;
    let wharfd = Wharfd::start().await?;
    Server::of(&wharfd).await?.add("one", engine.address()).await?;
    let (cli, mine) = (wharfd.cli()?, Mine::new([engine]));
    let (front, data, web) = (mine.called("front"), mine.called("data"), mine.called("web"));
    let (subnet, label) = (mine.subnet(), format!("mine={}", mine.name));
    let act = async |arguments: &[&str], changed: bool| {
        let output =
            cli.run(&[&["-H", "one", "-o", "json"], arguments].concat()).await?.expect(0)?;
        let lines = output.json_lines()?;
        ensure!(lines.len() == 1 && lines[0]["changed"] == changed, "{arguments:?}: {output:?}");
        anyhow::Ok(())
    };
    let create =
        ["network", "create", "--subnet", &subnet, "--label", &label, "--internal", &front];
    act(&create, true).await?;
    act(&create, false).await?;
    let found = own(engine, "/networks", &front).await?;
    assert_eq!((found.len(), &found[0]["Internal"]), (1, &json!(true)));
    assert_eq!(found[0]["Labels"]["mine"], mine.name);
    let differs =
        cli.run(&["network", "create", "-A", "--label", "mine=other", &front]).await?.expect(1)?;
    assert!(
        differs.stderr.contains("label mine: here") && differs.stderr.contains("NAME_IN_USE"),
        "{differs:?}"
    );
    let overlaps =
        cli.run(&["network", "create", "-A", "--subnet", &subnet, &mine.called("x")]).await?;
    assert!(overlaps.expect(1)?.stderr.contains("ENGINE_CONFLICT"));
    act(&["volume", "create", "--label", &label, &data], true).await?;
    act(&["volume", "create", "--label", &label, &data], false).await?;

    let image = format!("{}:v1", mine.name);
    engine.import(&image, &Image::new("v1")).await?;
    let volume = format!("{data}:/data");
    let run = ["run", "-d", "-A", "--name", &web, "--network", &front, "-v", &volume, &image];
    cli.run(&run).await?.expect(0)?;
    let refused = cli.run(&["network", "rm", "-A", &front]).await?.expect(1)?;
    assert!(refused.stderr.contains("ENGINE_CONFLICT"), "{refused:?}");
    assert!(refused.stderr.contains(&format!("used by {web}; ")), "{refused:?}");
    let refused = cli.run(&["volume", "rm", "-A", "-f", &data]).await?.expect(1)?;
    assert!(refused.stderr.contains(&format!("used by {web}; ")), "{refused:?}");
    assert!(engine.container(&web).await?.is_some(), "force removes no container");

    let back = mine.called("back");
    let subnet = subnet.replace("10.", "11.");
    act(&["network", "create", "--subnet", &subnet, &back], true).await?;
    act(&["network", "connect", "--alias", "www", &back, &web], true).await?;
    act(&["network", "connect", "--alias", "www", &back, &web], false).await?;
    let found = engine.container(&web).await?.context("it is there")?;
    let aliases = &found["NetworkSettings"]["Networks"][&back]["Aliases"];
    assert!(aliases.to_string().contains("\"www\""), "{aliases}");
    act(&["network", "disconnect", &back, &web], true).await?;
    act(&["network", "disconnect", &back, &web], false).await?;

    cli.run(&["rm", "-A", "-f", &web]).await?.expect(0)?;
    act(&["network", "rm", &back], true).await?;
    act(&["network", "rm", &front], true).await?;
    let filter = format!("label={label}");
    let anonymous = json!({"Labels": {"mine": mine.name}});
    let anonymous = engine.post("/volumes/create", Some(anonymous)).await?["Name"].clone();
    let prune = ["volume", "prune", "-A", "--filter", &filter, "-o", "name"];
    let pruned = cli.run(&prune).await?.expect(0)?;
    assert_eq!(pruned.stdout.trim(), format!("one/{}", anonymous.as_str().context("a name")?));
    let pruned = cli.run(&[&prune[..], &["--all"]].concat()).await?.expect(0)?;
    assert_eq!(pruned.stdout.trim(), format!("one/{data}"));
    let missing = cli.run(&["volume", "inspect", "-A", &data]).await?.expect(1)?;
    assert!(missing.stderr.contains("VOLUME_NOT_FOUND"), "{missing:?}");
    let missing = cli.run(&["network", "inspect", "-A", &front]).await?.expect(1)?;
    assert!(missing.stderr.contains("NETWORK_NOT_FOUND"), "{missing:?}");
    engine.delete(&format!("/images/{image}?force=1")).await?;
    Ok(())
}
