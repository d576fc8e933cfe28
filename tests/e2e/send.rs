//! Images from host to host without a registry, and as archives: on three Engines, over gRPC and with
//! the command line, and from and to Engines of every kind.

use std::fs;
use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testbed::{Engine, EngineKind, Fleet, Image, Wharfd, unique};
use tonic::Code;
use wharf::v1::send_image_response::Event as Sent;
use wharf::v1::{ImageArrival, SendImageRequest};

use crate::support::kinds::{here_and, on_engines, shared, with_containerd};
use crate::support::relay::Relay;
use crate::support::{Server, World, all, collect, hosts, payload};

fn send(image: &str) -> SendImageRequest {
    SendImageRequest {
        targets: all(),
        source_host: "alpha".to_owned(),
        image: image.to_owned(),
        ..Default::default()
    }
}

/// The ID of an image on an Engine; null where it is not.
async fn id(engine: &Engine, reference: &str) -> anyhow::Result<Value> {
    Ok(engine.image(reference).await?.map(|image| image["Id"].clone()).unwrap_or_default())
}

#[tokio::test]
async fn images_are_sent_to_three_engines_by_grpc() -> anyhow::Result<()> {
    let world = World::start().await?;
    let [alpha, beta, gamma] = world.engines();
    let reference = format!("{}:v1", unique("sent"));
    let own = json!(alpha.import(&reference, &Image::new("v1")).await?);
    let old = gamma.import(&reference, &Image::new("old")).await?;
    let mut client = world.server.images();

    let answer = collect(client.send_image(send(&reference))).await?;
    for (host, arrival, replaced) in [
        ("alpha", ImageArrival::Present, ""),
        ("beta", ImageArrival::Loaded, ""),
        ("gamma", ImageArrival::Loaded, &*old),
    ] {
        let image = payload!(answer, host, Sent::Image);
        assert_eq!((image.arrival(), &*image.replaced_id), (arrival, replaced), "{host}");
        assert_eq!((&*image.reference, json!(image.id)), (&*reference, own.clone()));
    }
    for engine in [alpha, beta, gamma] {
        assert_eq!(id(engine, &reference).await?, own);
    }
    collect(client.send_image(send(&reference))).await?.all_done(false);

    // Only the name is missing.
    let other = format!("{}:v2", unique("sent"));
    alpha
        .post(&format!("/images/{reference}/tag?repo={}", other.replace(":v2", "&tag=v2")), None)
        .await?;
    let tagged = SendImageRequest { targets: hosts(&["beta", "gamma"]), ..send(&other) };
    let tagged = collect(client.send_image(tagged)).await?.done_on(&["beta", "gamma"], true);
    assert_eq!(payload!(tagged, "beta", Sent::Image).arrival(), ImageArrival::Tagged);
    assert_eq!(id(beta, &other).await?, own);

    let missing = client.send_image(send("none:v1")).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound, "{missing:?}");
    assert!(missing.message().contains("alpha") || missing.message().contains("none:v1"));
    Ok(())
}

#[tokio::test]
async fn images_are_sent_saved_and_loaded_by_command_line() -> anyhow::Result<()> {
    let world = World::start().await?;
    let [alpha, beta, gamma] = world.engines();
    let (cli, directory) = (&world.cli, tempfile::tempdir()?);
    let reference = format!("{}:v1", unique("sent"));
    let own = json!(alpha.import(&reference, &Image::new("v1")).await?);

    let sent = cli.run(&["image", "send", &reference, "--from", "alpha", "--to", "beta"]).await?;
    let sent = sent.expect(0)?;
    assert!(sent.stdout.contains("beta") && sent.stdout.contains("loaded"), "{sent:?}");
    assert_eq!(id(beta, &reference).await?, own);
    let again = ["image", "send", &reference, "--from", "alpha", "--to", "beta", "-o", "json"];
    let again = cli.run(&again).await?.expect(0)?.json_lines()?;
    assert_eq!(again[0]["arrival"], "IMAGE_ARRIVAL_PRESENT", "{again:?}");
    let wrong = cli.run(&["image", "send", "none:v1", "--from", "alpha", "-A"]).await?.expect(1)?;
    assert!(wrong.stderr.contains("IMAGE_NOT_FOUND"), "{wrong:?}");
    cli.run(&["image", "send", &reference, "--from", "nobody", "-A"]).await?.expect(2)?;
    cli.run(&["image", "send", &reference, "--from", "alpha"]).await?.expect(2)?;

    // To a file, which is not there before it is complete, and through gzip.
    let file = directory.path().join("app.tar");
    let path = file.to_str().context("a path")?;
    cli.run(&["save", "none:v1", "--from", "alpha", "-f", path]).await?.expect(1)?;
    assert_eq!(fs::read_dir(directory.path())?.count(), 0, "no part of it is left");
    cli.run(&["save", &reference, "--from", "alpha", "-f", path]).await?.expect(0)?;
    beta.delete(&format!("/images/{reference}")).await?;
    let loaded =
        cli.run(&["load", "-i", path, "-H", "beta,gamma", "-o", "json"]).await?.expect(0)?;
    assert_eq!(loaded.json_lines()?.len(), 2);
    for engine in [beta, gamma] {
        assert_eq!(id(engine, &reference).await?, own);
    }
    let packed = directory.path().join("app.tar.gz");
    let output = std::process::Command::new("gzip").args(["-c", path]).output()?;
    fs::write(&packed, output.stdout)?;
    gamma.delete(&format!("/images/{reference}")).await?;
    let mut child = cli.command(&["load", "--to", "gamma"])?;
    let input = fs::File::open(&packed)?;
    let child = child.stdin(Stdio::from(input)).stdout(Stdio::null()).stderr(Stdio::null());
    let status = child.spawn()?.wait().await?;
    ensure!(status.success(), "{status}");
    assert_eq!(id(gamma, &reference).await?, own);

    // A part of an archive is loaded nowhere.
    let archive = fs::read(&file)?;
    fs::write(&file, &archive[..archive.len() / 2])?;
    gamma.delete(&format!("/images/{reference}")).await?;
    let part = cli.run(&["load", "-i", path, "--to", "gamma"]).await?.expect(1)?;
    assert!(part.stderr.contains("LOAD_FAILED"), "{part:?}");
    assert_eq!(id(gamma, &reference).await?, Value::Null);
    fs::write(&file, "no archive")?;
    let refused = cli.run(&["load", "-i", path, "-A"]).await?.expect(2)?;
    assert!(refused.stderr.contains("must be an archive"), "{refused:?}");
    Ok(())
}

/// From the machine's Engine to one of that kind, and back.
async fn to_and_from(kind: EngineKind) -> anyhow::Result<()> {
    between(shared(kind).await?).await
}

on_engines!(to_and_from: newer);

/// The same with containerd's store, in which images have other IDs.
async fn to_and_from_containerd(kind: EngineKind) -> anyhow::Result<()> {
    between(&with_containerd(kind).await?).await
}

on_engines!(to_and_from_containerd: docker28 = Docker28);

async fn between(there: &Engine) -> anyhow::Result<()> {
    let (here, _wharfd, server) = here_and(there).await?;
    let name = unique("sent");
    let (ours, theirs) = (format!("{name}:ours"), format!("{name}:theirs"));
    here.import(&ours, &Image::new("ours")).await?;
    there.import(&theirs, &Image::new("theirs")).await?;
    for (image, source, target, engine) in
        [(&ours, "here", "there", there), (&theirs, "there", "here", here)]
    {
        let request = SendImageRequest {
            targets: hosts(&[target]),
            source_host: source.to_owned(),
            image: image.clone(),
            ..Default::default()
        };
        let answer = collect(server.images().send_image(request.clone())).await?;
        let answer = answer.done_on(&[target], true);
        let sent = payload!(answer, target, Sent::Image);
        assert_eq!(sent.arrival(), ImageArrival::Loaded);
        assert_eq!(id(engine, image).await?, json!(sent.id));
        engine.run(&unique("runs"), image).await?;
        let again = collect(server.images().send_image(request)).await?;
        again.done_on(&[target], false);
    }
    Ok(())
}

#[tokio::test]
async fn an_engine_that_is_killed_in_a_load_has_its_own_error_and_no_image() -> anyhow::Result<()> {
    let ([source, other, _], killed) = (&Fleet::shared().await?.engines, Engine::start().await?);
    let reference = format!("{}:v1", unique("sent"));
    let own = json!(source.import(&reference, &Image::new("v1").padding(32 << 20)).await?);
    let wharfd = Wharfd::start().await?;
    let server = Server::of(&wharfd).await?;
    let relay = Relay::to(&killed).await?;
    server.add("alpha", source.address()).await?;
    server.add("beta", &relay.address).await?;
    server.add("gamma", other.address()).await?;
    let mut client = server.images();
    let request = SendImageRequest { targets: hosts(&["beta", "gamma"]), ..send(&reference) };
    let sending = tokio::spawn(async move { collect(client.send_image(request)).await });
    relay.half_way().await;
    killed.kill();
    let answer = sending.await??;
    assert_eq!(answer.failure("beta").context("an error")?.1, "LOAD_FAILED");
    assert_eq!(payload!(answer, "gamma", Sent::Image).arrival(), ImageArrival::Loaded);
    assert_eq!(id(other, &reference).await?, own);
    killed.restart().await?;
    assert_eq!(id(&killed, &reference).await?, Value::Null);
    Ok(())
}
