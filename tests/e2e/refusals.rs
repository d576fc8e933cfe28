//! Invalid requests are refused before any host is contacted.
//!
//! The one host is a recorder in front of a healthy Engine, which would see a request that was not
//! refused.

use anyhow::Context;
use testbed::{Fleet, Wharf, Wharfd};
use tonic::{Code, Status};
use wharf::v1::host_selector::Selection;
use wharf::v1::{
    AddHostRequest, AllHosts, CheckHostsRequest, ContainerSpec, CreateContainerRequest,
    GetContainerChangesRequest, GetHostRequest, GetImageHistoryRequest, HostNames, HostSelector,
    InspectContainersRequest, InspectImagesRequest, KillContainersRequest, ListContainersRequest,
    ListProcessesRequest, LoginRequest, LogoutRequest, PauseContainersRequest, PullImageRequest,
    PushImageRequest, RegistryCredentials, RemoveContainersRequest, RemoveHostRequest,
    RemoveImagesRequest, RenameContainerRequest, RestartContainersRequest, StartContainersRequest,
    StopContainersRequest, TagImageRequest, UnpauseContainersRequest, UpdateContainersRequest,
    WaitContainersRequest,
};

use crate::support::answer::fields;
use crate::support::{Recorder, Server, all, collect, hosts, labels, reason};

/// A server that knows one host.
struct Guarded {
    recorder: Recorder,
    server: Server,
    cli: Wharf,
    _wharfd: Wharfd,
}

impl Guarded {
    async fn start() -> anyhow::Result<Guarded> {
        let recorder = Recorder::start(&Fleet::shared().await?.engines[0]).await?;
        let wharfd = Wharfd::start().await?;
        let server = Server::of(&wharfd).await?;
        server.add_labelled("guarded", recorder.address(), &[("env", "prod")]).await?;
        let cli = wharfd.cli()?;
        Ok(Guarded { recorder, server, cli, _wharfd: wharfd })
    }

    /// Nothing was sent so far, although it would have been seen.
    async fn untouched(&self) -> anyhow::Result<()> {
        assert_eq!(self.recorder.opened(), 0, "{}", self.recorder.sent());
        let request = ListContainersRequest { targets: all(), ..Default::default() };
        let listed = collect(self.server.containers().list_containers(request)).await?;
        listed.done_on(&["guarded"], false);
        assert!(self.recorder.sent().contains("/containers/json"));
        Ok(())
    }
}

fn bad_names() -> Vec<String> {
    let long = "n".repeat(300);
    ["..", "a/../../b", "x?force=1", "%2e%2e", "", &long, "a\nb", "\n"].map(str::to_owned).to_vec()
}

/// The status with which a fan-out was refused.
macro_rules! refused {
    ($client:expr, $method:ident, $request:expr) => {{
        let answer = collect($client.$method($request)).await?;
        assert!(answer.started.is_none(), "{}: {answer:#?}", stringify!($method));
        answer.end.with_context(|| format!("{} is refused", stringify!($method)))?
    }};
}

#[tokio::test]
async fn names_that_are_none_are_refused_and_nothing_is_sent() -> anyhow::Result<()> {
    let guarded = Guarded::start().await?;
    for name in bad_names() {
        for (field, status) in refusals(&guarded.server, &name).await? {
            let seen = (status.code(), reason(&status), fields(&status));
            let expected =
                (Code::InvalidArgument, "INVALID_FIELD".to_owned(), vec![field.to_owned()]);
            assert_eq!(seen, expected, "{name:?}: {status:?}");
            assert!(status.message().contains(field), "{}", status.message());
            assert!(!status.message().contains('\n'), "{}", status.message());
        }
    }
    guarded.untouched().await
}

/// A call for every place where a name goes, and the field that it goes to.
async fn refusals(server: &Server, name: &str) -> anyhow::Result<Vec<(&'static str, Status)>> {
    let mut containers = server.containers();
    let mut images = server.images();
    let mut inventory = server.hosts();
    let mut registries = server.registries();
    let (targets, good) = (all(), "web".to_owned());
    let name = name.to_owned();
    let names = vec![good.clone(), name.clone()];
    macro_rules! on_containers {
        ($($method:ident $request:ident),* $(,)?) => {
            vec![$((
                "containers[1]",
                refused!(containers, $method, $request {
                    targets: targets.clone(), containers: names.clone(), ..Default::default()
                }),
            )),*]
        };
    }
    let select = |selection, exclude| ListContainersRequest {
        targets: Some(HostSelector { selection: Some(selection), exclude }),
        ..Default::default()
    };
    let by_name = select(Selection::Hosts(HostNames { names: vec![name.clone()] }), Vec::new());
    let without = select(Selection::All(AllHosts {}), vec![name.clone()]);
    let mut found = on_containers![
        start_containers StartContainersRequest,
        stop_containers StopContainersRequest,
        restart_containers RestartContainersRequest,
        kill_containers KillContainersRequest,
        pause_containers PauseContainersRequest,
        unpause_containers UnpauseContainersRequest,
        wait_containers WaitContainersRequest,
        inspect_containers InspectContainersRequest,
        remove_containers RemoveContainersRequest,
    ];
    found.push(("targets.hosts.names[0]", refused!(containers, list_containers, by_name)));
    found.push(("targets.exclude[0]", refused!(containers, list_containers, without)));
    let update = UpdateContainersRequest {
        targets: targets.clone(),
        containers: names.clone(),
        cpu_shares: Some(512),
        ..Default::default()
    };
    found.push(("containers[1]", refused!(containers, update_containers, update)));
    let rename = |container: &str, new_name: &str| RenameContainerRequest {
        targets: targets.clone(),
        container: container.to_owned(),
        new_name: new_name.to_owned(),
        ..Default::default()
    };
    found.push(("container", refused!(containers, rename_container, rename(&name, &good))));
    found.push(("new_name", refused!(containers, rename_container, rename(&good, &name))));
    let top = ListProcessesRequest {
        targets: targets.clone(),
        container: name.clone(),
        ..Default::default()
    };
    found.push(("container", refused!(containers, list_processes, top)));
    let changes = GetContainerChangesRequest {
        targets: targets.clone(),
        container: name.clone(),
        ..Default::default()
    };
    found.push(("container", refused!(containers, get_container_changes, changes)));
    let create = |container: &str, image: &str| CreateContainerRequest {
        targets: targets.clone(),
        name: container.to_owned(),
        spec: Some(ContainerSpec { image: image.to_owned(), ..Default::default() }),
        ..Default::default()
    };
    if !name.is_empty() {
        // Without a name, the Engine makes one up.
        found.push(("name", refused!(containers, create_container, create(&name, "app"))));
    }
    found.push(("spec.image", refused!(containers, create_container, create(&good, &name))));

    let pull = PullImageRequest {
        targets: targets.clone(),
        reference: name.clone(),
        ..Default::default()
    };
    found.push(("reference", refused!(images, pull_image, pull)));
    let push = PushImageRequest {
        targets: targets.clone(),
        reference: name.clone(),
        ..Default::default()
    };
    found.push(("reference", refused!(images, push_image, push)));
    let tag = |source: &str, target: &str| TagImageRequest {
        targets: targets.clone(),
        source: source.to_owned(),
        target: target.to_owned(),
        ..Default::default()
    };
    found.push(("source", refused!(images, tag_image, tag(&name, "app:v2"))));
    found.push(("target", refused!(images, tag_image, tag("app:v1", &name))));
    let images_named = vec!["app".to_owned(), name.clone()];
    let remove = RemoveImagesRequest {
        targets: targets.clone(),
        images: images_named.clone(),
        ..Default::default()
    };
    found.push(("images[1]", refused!(images, remove_images, remove)));
    let inspect = InspectImagesRequest {
        targets: targets.clone(),
        images: images_named,
        ..Default::default()
    };
    found.push(("images[1]", refused!(images, inspect_images, inspect)));
    let history = GetImageHistoryRequest {
        targets: targets.clone(),
        image: name.clone(),
        ..Default::default()
    };
    found.push(("image", refused!(images, get_image_history, history)));

    macro_rules! unary {
        ($field:literal, $client:ident.$method:ident($request:expr)) => {
            let refused = $client.$method($request).await.err();
            found.push(($field, refused.with_context(|| stringify!($method).to_owned())?));
        };
    }
    unary!(
        "name",
        inventory.add_host(AddHostRequest {
            name: name.clone(),
            address: "unix:///nowhere".to_owned(),
            ..Default::default()
        })
    );
    unary!("name", inventory.get_host(GetHostRequest { name: name.clone() }));
    unary!(
        "name",
        inventory.remove_host(RemoveHostRequest { name: name.clone(), ..Default::default() })
    );
    let credentials = RegistryCredentials {
        registry: name.clone(),
        username: "u".to_owned(),
        password: "p".to_owned(),
        ..Default::default()
    };
    unary!(
        "credentials.registry",
        registries.login(LoginRequest { credentials: Some(credentials), ..Default::default() })
    );
    unary!("registry", registries.logout(LogoutRequest { registry: name, ..Default::default() }));
    Ok(found)
}

#[tokio::test]
async fn command_line_refuses_names_that_are_none() -> anyhow::Result<()> {
    let guarded = Guarded::start().await?;
    for name in bad_names() {
        for arguments in [
            &["start", "-A", "--", &name][..],
            &["stop", "-A", &name],
            &["rm", "-f", "-A", &name],
            &["kill", "-A", &name],
            &["rename", "-A", "web", &name],
            &["inspect", "-A", &name],
            &["pull", "-A", &name],
            &["rmi", "-A", &name],
            &["tag", "-A", "app", &name],
            &["create", "-A", &name],
            &["host", "rm", &name],
            &["host", "add", &name, "unix:///nowhere"],
        ] {
            let output = guarded.cli.run(arguments).await?;
            assert_eq!(output.status, 2, "{arguments:?}: {output:#?}");
            assert_eq!(output.stdout, "", "{arguments:?}: {output:#?}");
            assert!(
                output.stderr.starts_with("wharf: ") || output.stderr.starts_with("error: "),
                "{arguments:?}: {output:#?}"
            );
        }
    }
    guarded.untouched().await
}

#[tokio::test]
async fn selections_that_are_none_are_refused_and_nothing_is_sent() -> anyhow::Result<()> {
    let guarded = Guarded::start().await?;
    let select = |selection| Some(HostSelector { selection, exclude: Vec::new() });
    let none: &[&str] = &[];
    let except = |names: &[&str]| {
        let exclude = names.iter().map(|name| (*name).to_owned()).collect();
        Some(HostSelector { selection: Some(Selection::All(AllHosts {})), exclude })
    };
    let not_found = |reason| (Code::NotFound, reason, none);
    let invalid = |fields| (Code::InvalidArgument, "INVALID_FIELD", fields);
    for (targets, (code, expected, wrong), said) in [
        (None, invalid(&["targets"][..]), "targets"),
        (select(None), invalid(&["targets"]), "targets"),
        (select(Some(Selection::Hosts(HostNames::default()))), invalid(&["targets"]), ""),
        (hosts(&["guarded", "nobody"]), not_found("HOST_NOT_FOUND"), "nobody"),
        (hosts(&["guarded", ".."]), invalid(&["targets.hosts.names[1]"]), ""),
        (except(&["nobody"]), not_found("HOST_NOT_FOUND"), "nobody"),
        (except(&["guarded"]), not_found("NO_HOSTS_MATCHED"), ""),
        (labels("env=test"), not_found("NO_HOSTS_MATCHED"), "env=test"),
        (labels(""), invalid(&["targets.labels"]), ""),
        (labels("env=prod,tier in web"), invalid(&["targets.labels"]), "17"),
        (labels("env=prod,,"), invalid(&["targets.labels"]), ""),
    ] {
        let list = ListContainersRequest { targets: targets.clone(), ..Default::default() };
        let stop = StopContainersRequest {
            targets: targets.clone(),
            containers: vec!["web".to_owned()],
            ..Default::default()
        };
        let check = CheckHostsRequest { targets: targets.clone(), ..Default::default() };
        let mut containers = guarded.server.containers();
        for status in [
            refused!(containers, list_containers, list),
            refused!(containers, stop_containers, stop),
            refused!(guarded.server.hosts(), check_hosts, check),
        ] {
            assert_eq!(
                (status.code(), &*reason(&status)),
                (code, expected),
                "{targets:?}: {status:?}"
            );
            assert_eq!(fields(&status), wrong, "{targets:?}: {status:?}");
            assert!(status.message().contains(said), "{targets:?}: {status:?}");
        }
    }
    guarded.untouched().await
}

#[tokio::test]
async fn command_line_refuses_selections_that_are_none() -> anyhow::Result<()> {
    let guarded = Guarded::start().await?;
    for (arguments, said) in [
        (&["stop", "-H", "nobody", "web"][..], "HOST_NOT_FOUND"),
        (&["stop", "nobody/web"], "HOST_NOT_FOUND"),
        (&["stop", "-l", "env=test", "web"], "NO_HOSTS_MATCHED"),
        (&["stop", "-l", "env in prod", "web"], "INVALID_FIELD"),
        (&["stop", "-l", "", "web"], "the selector is empty"),
        (&["stop", "web"], "-A for every host"),
        (&["ps", "-l", "env=test"], "NO_HOSTS_MATCHED"),
        (&["ps", "-A", "-H", "guarded"], "one of them"),
        (&["ps", "--exclude", "guarded", "-A"], "NO_HOSTS_MATCHED"),
    ] {
        let output = guarded.cli.run(arguments).await?.expect(2)?;
        assert!(output.stderr.contains(said), "{arguments:?}: {output:?}");
        assert_eq!(output.stdout, "");
    }
    guarded.untouched().await
}
