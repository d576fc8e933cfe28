//! What a pull gets, and what happens to it if the caller disconnects.

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use serde_json::json;
use testbed::{Engine, Image, Registry, Wharfd, eventually, unique};
use wharf::v1::pull_image_response::Event as Pulled;
use wharf::v1::{PullImageRequest, pull_image_response};

use crate::support::{HOSTS, Recorder, Server, World, all, collect, hosts, payload};

#[tokio::test]
async fn reference_without_tag_means_latest_and_never_all_tags() -> anyhow::Result<()> {
    let world = World::start().await?;
    let registry = &world.fleet.open_registry;
    let [alpha, ..] = world.engines();
    for by_grpc in [true, false] {
        let repository = unique("app");
        let plain = registry.reference(&repository);
        for tag in ["v1", "latest", "v2"] {
            let reference = format!("{plain}:{tag}");
            alpha.import(&reference, &Image::new(&format!("{repository} {tag}"))).await?;
            alpha.push(&reference, None).await?;
            alpha.delete(&format!("/images/{reference}")).await?;
        }
        if by_grpc {
            let request =
                PullImageRequest { targets: all(), reference: plain.clone(), ..Default::default() };
            let pulled = collect(world.server.images().pull_image(request)).await?.all_done(true);
            let image = payload!(pulled, "beta", Pulled::Image);
            assert_eq!(image.reference, format!("{plain}:latest"));
        } else {
            world.act(&["pull", &plain], true).await?;
        }
        for engine in world.engines() {
            let filter = json!({ "reference": [plain] });
            let images = engine.get(&format!("/images/json?filters={filter}")).await?;
            assert_eq!(images.as_array().context("a list")?.len(), 1, "{images}");
            assert_eq!(images[0]["RepoTags"], json!([format!("{plain}:latest")]));
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_the_registry_has_not_is_not_found_on_each_host() -> anyhow::Result<()> {
    let world = World::start().await?;
    let reference = world.fleet.open_registry.reference(&format!("{}:v1", unique("none")));
    let request = PullImageRequest { targets: all(), reference, ..Default::default() };
    let pulled = collect(world.server.images().pull_image(request)).await?;
    for host in HOSTS {
        assert_eq!(pulled.failure(host).context("an error")?.1, "IMAGE_NOT_FOUND");
    }
    Ok(())
}

#[tokio::test]
async fn progress_is_told_while_a_pull_is_under_way() -> anyhow::Result<()> {
    const SIZE: usize = 48 << 20;
    let world = World::start().await?;
    let [alpha, ..] = world.engines();
    let reference = world.fleet.open_registry.reference(&format!("{}:v1", unique("big")));
    alpha.import(&reference, &Image::new("big").padding(SIZE)).await?;
    alpha.push(&reference, None).await?;
    let request = PullImageRequest {
        targets: hosts(&["beta", "gamma"]),
        reference: reference.clone(),
        ..Default::default()
    };
    let pulled = collect(world.server.images().pull_image(request)).await?;
    let pulled = pulled.done_on(&["beta", "gamma"], true);
    for host in ["beta", "gamma"] {
        let progress: Vec<_> = pulled
            .of(host)
            .filter_map(|event| match event {
                Pulled::Progress(progress) => Some(progress),
                _ => None,
            })
            .collect();
        assert!(progress.iter().any(|it| it.bytes_total >= SIZE as u64), "{progress:#?}");
        assert!(progress.iter().all(|it| it.layers_done <= it.layers_total), "{progress:#?}");
        assert!(progress.is_sorted_by_key(|it| it.layers_done), "{progress:#?}");
    }
    Ok(())
}

/// One Engine behind a recorder, and an image in a registry that does not answer.
struct Held {
    engine: Engine,
    recorder: Recorder,
    registry: Registry,
    _wharfd: Wharfd,
    server: Server,
    cli: testbed::Wharf,
    repository: String,
    reference: String,
}

impl Held {
    async fn start() -> anyhow::Result<Held> {
        let (engine, registry) = (Engine::start().await?, Registry::open().await?);
        let repository = unique("big");
        let reference = registry.reference(&format!("{repository}:v1"));
        engine.import(&reference, &Image::new("v1").padding(4 << 20)).await?;
        engine.push(&reference, None).await?;
        engine.delete(&format!("/images/{reference}")).await?;
        let recorder = Recorder::start(&engine).await?;
        let wharfd = Wharfd::start().await?;
        let server = Server::of(&wharfd).await?;
        server.add("held", recorder.address()).await?;
        registry.freeze();
        let cli = wharfd.cli()?;
        Ok(Held { engine, recorder, registry, _wharfd: wharfd, server, cli, repository, reference })
    }

    fn request(&self, cancel_on_disconnect: bool) -> PullImageRequest {
        PullImageRequest {
            targets: hosts(&["held"]),
            reference: self.reference.clone(),
            cancel_on_disconnect,
            ..Default::default()
        }
    }

    async fn begun(&self) -> anyhow::Result<()> {
        eventually("the pull to begin", async || {
            ensure!(self.recorder.sent().contains("/images/create?"), "nothing was sent");
            Ok(())
        })
        .await
    }

    async fn image_arrives(&self) -> anyhow::Result<()> {
        eventually("the image", async || {
            self.engine.image(&self.reference).await?.context("it is not there")
        })
        .await?;
        Ok(())
    }

    /// The pull was called off at the Engine, and the registry was never asked for the content.
    async fn nothing_comes(&self) -> anyhow::Result<()> {
        eventually("the connection of the pull to be closed", async || {
            ensure!(self.recorder.closed() > 0, "it is open");
            Ok(())
        })
        .await?;
        self.registry.thaw();
        // Another pull goes the same way to its end meanwhile.
        let other = self.registry.reference(&format!("{}:v1", unique("other")));
        self.engine.import(&other, &Image::new("other")).await?;
        self.engine.push(&other, None).await?;
        self.engine.delete(&format!("/images/{other}")).await?;
        self.engine.pull(&other, None).await?;
        assert!(self.engine.image(&self.reference).await?.is_none());
        let blobs = format!("GET /v2/{}/blobs/", self.repository);
        assert!(!self.registry.log().contains(&blobs), "{}", self.registry.log());
        Ok(())
    }
}

#[tokio::test]
async fn pull_goes_on_when_the_caller_goes_away_by_grpc() -> anyhow::Result<()> {
    let held = Held::start().await?;
    let mut stream = held.server.images().pull_image(held.request(false)).await?.into_inner();
    let first = stream.next().await.context("a message")??;
    assert!(matches!(first.event, Some(pull_image_response::Event::Started(_))), "{first:?}");
    held.begun().await?;
    drop(stream);
    held.registry.thaw();
    held.image_arrives().await
}

#[tokio::test]
async fn pull_ends_with_its_caller_where_that_was_asked_for_by_grpc() -> anyhow::Result<()> {
    let held = Held::start().await?;
    let stream = held.server.images().pull_image(held.request(true)).await?.into_inner();
    held.begun().await?;
    assert_eq!(held.recorder.closed(), 0);
    drop(stream);
    held.nothing_comes().await
}

#[tokio::test]
async fn pull_goes_on_when_the_command_line_is_killed() -> anyhow::Result<()> {
    let held = Held::start().await?;
    let mut child = held.cli.command(&["pull", "-A", &held.reference])?.spawn()?;
    held.begun().await?;
    child.kill().await?;
    held.registry.thaw();
    held.image_arrives().await
}

#[tokio::test]
async fn pull_ends_with_the_command_line_where_that_was_asked_for() -> anyhow::Result<()> {
    let held = Held::start().await?;
    let arguments = ["pull", "-A", "--cancel-on-disconnect", &held.reference];
    let mut child = held.cli.command(&arguments)?.spawn()?;
    held.begun().await?;
    child.kill().await?;
    held.nothing_comes().await
}
