//! Which image runs where: on three Engines and with a real registry, by API and command line.

mod kinds;
mod registry;

use anyhow::Context;
use serde_json::json;
use testbed::{Image, unique};
use tonic::Code;
use wharf::v1::image_difference::Subject;
use wharf::v1::list_used_images_response::Event;
use wharf::v1::{
    CordonHostsRequest, ImageUser, ListUsedImagesRequest, ReferenceCheck, RegistryComparison,
    UsedImage,
};

use crate::support::{HOSTS, Server, World, all, collect, hosts};

/// What a call says about all hosts.
#[derive(Debug, Default)]
pub struct Told {
    pub images: Vec<UsedImage>,
    /// Subject and majority, then each image with its hosts.
    pub differences: Vec<(String, String, Vec<(String, Vec<String>)>)>,
    pub references: Vec<ReferenceCheck>,
}

impl Told {
    /// Calls and reads everything; every host must succeed.
    pub async fn by(server: &Server, request: ListUsedImagesRequest) -> anyhow::Result<Told> {
        let answer = collect(server.images().list_used_images(request)).await?;
        anyhow::ensure!(answer.end.is_none(), "{answer:#?}");
        let mut told = Told::default();
        for (host, event) in answer.payloads {
            assert_eq!(host, "", "it is about all hosts");
            match event {
                Event::Image(image) => told.images.push(image),
                Event::Difference(it) => {
                    let subject = match it.subject.context("a subject")? {
                        Subject::Container(name) => name,
                        Subject::Reference(reference) => reference,
                    };
                    let variants = it.variants.into_iter().map(|it| (it.image, it.hosts));
                    told.differences.push((subject, it.majority, variants.collect()));
                }
                Event::Reference(check) => told.references.push(check),
                other => panic!("{other:?}"),
            }
        }
        Ok(told)
    }

    /// The digest of the image that a container has on a host, and what is said of the container.
    pub fn user(&self, host: &str, container: &str) -> anyhow::Result<(&str, &ImageUser)> {
        let users = self
            .images
            .iter()
            .flat_map(|image| image.users.iter().map(|user| (image.digest.as_str(), user)));
        let mut users = users.filter(|(_, user)| user.host == host && user.container == container);
        users.next().with_context(|| format!("{host}/{container} in {self:#?}"))
    }

    pub fn comparison(&self, host: &str, name: &str) -> anyhow::Result<RegistryComparison> {
        Ok(self.user(host, name)?.1.comparison())
    }
}

/// A request for the containers of one name on every host.
pub fn of(container: &str, check_registry: bool) -> ListUsedImagesRequest {
    let containers = vec![container.to_owned()];
    ListUsedImagesRequest { targets: all(), containers, check_registry, ..Default::default() }
}

/// A container of one name and one tag on three hosts, and a tag that has moved since: `alpha` has lost
/// the tag, `beta` has pulled the new image and still runs the old one, `gamma` runs the new one.
struct Moved {
    world: World,
    name: String,
    reference: String,
    old: String,
    new: String,
}

impl Moved {
    async fn start() -> anyhow::Result<Moved> {
        let world = World::start().await?;
        let registry = &world.fleet.open_registry;
        let (name, repository) = (unique("used"), unique("app"));
        let reference = registry.reference(&format!("{repository}:v1"));
        let [alpha, beta, gamma] = world.engines();
        alpha.import(&reference, &Image::new("v1")).await?;
        alpha.push(&reference, None).await?;
        let old = registry.digest(&repository, "v1").await?;
        for engine in world.engines() {
            engine.pull(&reference, None).await?;
            engine.run(&name, &reference).await?;
        }
        alpha.import(&reference, &Image::new("v2")).await?;
        alpha.push(&reference, None).await?;
        alpha.delete(&format!("/images/{reference}")).await?;
        let new = registry.digest(&repository, "v1").await?;
        assert_ne!(old, new);
        beta.pull(&reference, None).await?;
        gamma.pull(&reference, None).await?;
        gamma.delete(&format!("/containers/{name}?force=1")).await?;
        gamma.run(&name, &reference).await?;
        // What the Engines say themselves: an ID in the list, the reference only in the inspection.
        let listed =
            alpha.get(&format!("/containers/json?filters={}", json!({"name": [name]}))).await?;
        assert!(listed[0]["Image"].as_str().context("text")?.starts_with("sha256:"), "{listed}");
        assert_eq!(
            world.read(&name, "/Config/Image").await?,
            [json!(reference), json!(reference), json!(reference)]
        );
        Ok(Moved { world, name, reference, old, new })
    }
}

#[tokio::test]
async fn a_fleet_after_a_tag_has_moved_is_told_by_grpc() -> anyhow::Result<()> {
    let Moved { world, name, reference, old, new } = Moved::start().await?;
    let cordon = CordonHostsRequest { targets: hosts(&["beta"]), ..Default::default() };
    world.server.hosts().cordon_hosts(cordon).await?;
    let told = Told::by(&world.server, of(&name, true)).await?;

    let images: Vec<_> = told.images.iter().map(|it| (&it.digest, it.users.len())).collect();
    assert_eq!(images, [(&old, 2), (&new, 1)]);
    for (engine, host) in world.engines().iter().zip(HOSTS) {
        let (digest, user) = told.user(host, &name)?;
        let container = engine.container(&name).await?.context("the container")?;
        assert_eq!(
            (json!(user.container_id), json!(user.image_id)),
            (container["Id"].clone(), container["Image"].clone())
        );
        let image = engine.image(&user.image_id).await?.context("its image")?;
        assert!(image["RepoDigests"].to_string().contains(digest), "{image}");
        assert_eq!((&user.reference, &*user.state), (&reference, "running"));
        assert_eq!(user.cordoned, host == "beta");
    }
    use RegistryComparison::{Current, Newer};
    for (host, comparison, pulled) in
        [("alpha", Newer, ""), ("beta", Newer, new.as_str()), ("gamma", Current, "")]
    {
        let (_, user) = told.user(host, &name)?;
        assert_eq!((user.comparison(), &*user.pulled_digest), (comparison, pulled), "{host}");
    }
    let beta = world.engines()[1].image(&reference).await?.context("the new image")?;
    assert_eq!(json!(told.user("beta", &name)?.1.pulled_image_id), beta["Id"]);
    let variants = vec![
        (old.clone(), vec!["alpha".to_owned(), "beta".to_owned()]),
        (new.clone(), vec!["gamma".to_owned()]),
    ];
    assert_eq!(told.differences, [(name.clone(), old.clone(), variants)]);
    let [check] = &told.references[..] else { panic!("{told:#?}") };
    assert_eq!((&check.reference, &check.digest), (&reference, &new));
    assert_eq!((check.containers, check.newer, &*check.asked_host), (3, 2, "alpha"));

    // Without a check, and only of some.
    let told = Told::by(&world.server, of(&name, false)).await?;
    assert!(told.references.is_empty());
    assert_eq!(told.comparison("alpha", &name)?, RegistryComparison::Unspecified);
    let repository = reference.rsplit_once(':').context("a tag")?.0.to_owned();
    for (references, count) in [(vec![repository], 3), (vec!["nothing:v1".to_owned()], 0)] {
        let request = ListUsedImagesRequest { targets: all(), references, ..Default::default() };
        let told = Told::by(&world.server, request).await?;
        assert_eq!(told.images.iter().map(|it| it.users.len()).sum::<usize>(), count);
    }
    world.engines()[2].post(&format!("/containers/{name}/kill"), None).await?;
    let running = Told::by(&world.server, of(&name, false)).await?;
    assert!(running.user("gamma", &name).is_err() && running.differences.is_empty());
    let every =
        Told::by(&world.server, ListUsedImagesRequest { all: true, ..of(&name, false) }).await?;
    assert_eq!(every.user("gamma", &name)?.1.state, "exited");
    Ok(())
}

#[tokio::test]
async fn a_fleet_after_a_tag_has_moved_is_shown_by_command_line() -> anyhow::Result<()> {
    let Moved { world, name, reference, old, new } = Moved::start().await?;
    let cli = &world.cli;
    cli.run(&["host", "cordon", "beta"]).await?.expect(0)?;
    let short = |digest: &str| digest["sha256:".len()..][..12].to_owned();

    let check = ["image", "used", "--check", "--container", &name];
    let table = cli.run(&check).await?.expect(0)?;
    let row = |image: &str, host: &str| {
        let lines = table.stdout.lines();
        let mut lines = lines.filter(|line| line.starts_with(&short(image)) && line.contains(host));
        lines.next().with_context(|| format!("{host} in {table:?}"))
    };
    assert!(row(&old, "alpha")?.ends_with("newer"), "{table:?}");
    assert!(row(&old, "beta (cordoned)")?.ends_with("pulled, newer"), "{table:?}");
    assert!(row(&new, "gamma")?.ends_with("differs, current"), "{table:?}");
    let differs = format!(
        "container {name} differs: {} (majority) on alpha, beta; {} on gamma",
        short(&old),
        short(&new)
    );
    assert!(table.stdout.lines().any(|line| line == differs), "{table:?}");
    assert!(table.stderr.contains("wharf rollout plan --newer"), "{table:?}");

    let lines = cli.run(&[&check[..], &["-o", "json"]].concat()).await?.expect(0)?.json_lines()?;
    let of_type = |kind: &str| lines.iter().filter(|it| it["type"] == kind).collect::<Vec<_>>();
    assert_eq!(of_type("image").len(), 2, "{lines:?}");
    assert_eq!(of_type("image")[0]["users"][1]["comparison"], "REGISTRY_COMPARISON_NEWER");
    assert_eq!(of_type("difference")[0]["container"], json!(name));
    let reference_line = of_type("reference")[0];
    assert_eq!((&reference_line["digest"], &reference_line["newer"]), (&json!(new), &json!(2)));
    let names = cli.run(&["image", "used", "-o", "name", "--container", &name]).await?.expect(0)?;
    assert_eq!(names.stdout, format!("alpha/{name}\nbeta/{name}\ngamma/{name}\n"));

    // What could be upgraded; then it is, as the note says.
    let plan = ["rollout", "plan", "--newer", &name];
    let listed = cli.run(&plan).await?.expect(0)?;
    let row = listed.stdout.lines().nth(1).context("a row")?;
    for part in [&name, &reference, &short(&old), &short(&new), "alpha, beta (cordoned)"] {
        assert!(row.contains(part), "{part}: {listed:?}");
    }
    assert!(row.ends_with("beta") && listed.stdout.lines().count() == 2, "{listed:?}");
    let command = format!("wharf rollout restart {name} --pull-policy always -H alpha");
    assert!(listed.stderr.contains(&command), "{listed:?}");
    let lines = cli.run(&[&plan[..], &["-o", "json"]].concat()).await?.expect(0)?.json_lines()?;
    assert_eq!(
        (&lines[0]["hosts"], &lines[0]["pulledHosts"]),
        (&json!(["alpha", "beta"]), &json!(["beta"]))
    );
    let names =
        cli.run(&["rollout", "plan", "--newer", "-l", "tier=web", "-o", "name", &name]).await?;
    assert_eq!(names.expect(0)?.stdout, format!("alpha/{name}\nbeta/{name}\n"));
    assert_eq!(world.read(&name, "/State/Running").await?, [json!(true), json!(true), json!(true)]);

    let arguments = ["rollout", "restart", &name, "--pull-policy", "always", "-H", "alpha"];
    let quick = ["--min-healthy-time", "0s", "--monitor", "0s", "--stop-timeout", "0s"];
    cli.run(&[&arguments[..], &quick].concat()).await?.expect(0)?;
    let left = cli.run(&["rollout", "plan", "--newer", "-o", "name", &name]).await?.expect(0)?;
    assert_eq!(left.stdout, format!("beta/{name}\n"));
    Ok(())
}

#[tokio::test]
async fn what_has_no_registry_is_told_as_such() -> anyhow::Result<()> {
    let world = World::start().await?;
    let registry = &world.fleet.open_registry;
    let mark = unique("mark");
    let run = async |host: usize, name: &str, image: &str| -> anyhow::Result<()> {
        let body = json!({
            "Image": image, "Labels": { &mark: "1" }, "HostConfig": { "NetworkMode": "none" },
        });
        let engine = &world.engines()[host];
        engine.post(&format!("/containers/create?name={name}"), Some(body)).await?;
        engine.post(&format!("/containers/{name}/start"), None).await.map(drop)
    };
    let name = |what: &str| format!("{mark}-{what}");
    let built = world.image(&Image::new("v1")).await?;
    run(0, &name("built"), &built).await?;
    let id = world.engines()[1].image(&built).await?.context("an image")?["Id"].clone();
    run(1, &name("id"), id.as_str().context("text")?).await?;
    let repository = unique("app");
    let reference = registry.reference(&format!("{repository}:v1"));
    world.engines()[2].import(&reference, &Image::new("v1")).await?;
    world.engines()[2].push(&reference, None).await?;
    let digest = registry.digest(&repository, "v1").await?;
    let pinned = format!("{}@{digest}", registry.reference(&repository));
    run(2, &name("pinned"), &pinned).await?;

    let request = ListUsedImagesRequest {
        targets: all(),
        labels: vec![mark.clone()],
        check_registry: true,
        ..Default::default()
    };
    let told = Told::by(&world.server, request).await?;
    use RegistryComparison::{Local, NoReference, Pinned};
    for (host, what, comparison) in
        [("alpha", "built", Local), ("beta", "id", NoReference), ("gamma", "pinned", Pinned)]
    {
        assert_eq!(told.comparison(host, &name(what))?, comparison, "{told:#?}");
    }
    assert_eq!(told.user("alpha", &name("built"))?.0, "");
    assert_eq!(told.user("gamma", &name("pinned"))?.0, digest);
    assert!(told.references.is_empty() && told.differences.is_empty(), "{told:#?}");

    let table = world.cli.run(&["image", "used", "--check", "--label", &mark]).await?.expect(0)?;
    for (what, note) in [("built", "local"), ("id", "ID"), ("pinned", "pinned")] {
        let line = table.stdout.lines().find(|line| line.contains(&name(what))).context("a row")?;
        assert!(line.ends_with(note), "{table:?}");
    }
    let nothing =
        world.cli.run(&["rollout", "plan", "--newer", "--label", &mark]).await?.expect(0)?;
    assert_eq!(nothing.stdout.lines().count(), 1, "{nothing:?}");
    assert!(nothing.stderr.contains("not compared: 1 ID, 1 local, 1 pinned"), "{nothing:?}");
    Ok(())
}

#[tokio::test]
async fn bad_input_is_refused_before_a_host_is_touched() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut images = world.server.images();
    let unknown = ListUsedImagesRequest { targets: hosts(&["nowhere"]), ..of("web", true) };
    let refused = collect(images.list_used_images(unknown)).await?;
    assert_eq!(refused.refusal(), (Code::NotFound, "HOST_NOT_FOUND".to_owned()));
    let unset = ListUsedImagesRequest { targets: None, ..of("web", true) };
    assert_eq!(collect(images.list_used_images(unset)).await?.fields(), ["targets"]);
    let wrong = ListUsedImagesRequest {
        labels: vec!["=a".to_owned()],
        references: vec!["UPPER".to_owned()],
        ..of("a/b", true)
    };
    let fields = collect(images.list_used_images(wrong)).await?.fields();
    assert_eq!(fields, ["containers[0]", "references[0]", "labels[0]"]);

    let cli = &world.cli;
    let refused = cli.run(&["image", "used", "-H", "nowhere"]).await?.expect(2)?;
    assert!(
        refused.stderr.contains("nowhere") && refused.stderr.contains("HOST_NOT_FOUND"),
        "{refused:?}"
    );
    for more in [&["--image", "app:v2"][..], &["-e", "A=1"], &["--max-parallel", "3"], &["--whole"]]
    {
        let arguments = [&["rollout", "plan", "--newer"][..], more].concat();
        let refused = cli.run(&arguments).await?.expect(2)?;
        assert!(refused.stderr.contains("--newer lists what could be upgraded"), "{refused:?}");
    }
    Ok(())
}
