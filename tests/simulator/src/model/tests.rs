//! Cases that the contract suite cannot test on every Engine: networks, ports, versions, timing.

use std::time::Duration;

use serde_json::{Value, json};
use wharf_server::engine::{ApiVersion, Change, ErrorKind};

use super::*;

struct Bench {
    model: Model,
    now: Time,
}

impl Bench {
    fn new() -> Self {
        Self::of(EngineOptions::new("sim"))
    }

    fn of(options: EngineOptions) -> Self {
        let mut model = Model::new(options, Registries::default());
        model.load("app:v1", &ImageContent::builder("v1").build());
        Self { model, now: Time::BEGINNING }
    }

    fn create(&mut self, name: &str, more: &Value) -> String {
        let version = self.model.options().api_version;
        self.try_create(version, name, more).unwrap()
    }

    fn try_create(
        &mut self,
        version: ApiVersion,
        name: &str,
        more: &Value,
    ) -> Result<String, Refusal> {
        let mut body = json!({"Image": "app:v1"});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        self.model.create(self.now, version, Some(name), None, &body).map(|(id, _)| id)
    }

    fn run(&mut self, name: &str, more: &Value) -> String {
        let id = self.create(name, more);
        assert_eq!(self.model.start(self.now, name).unwrap(), Change::Made);
        id
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now = self.now + Duration::from_millis(milliseconds);
        self.model.advance(self.now);
    }

    fn status(&self, name: &str) -> Status {
        self.model.container(name).unwrap().state.status
    }

    fn inspect(&self, minor: u16, name: &str) -> Value {
        self.model.inspect(ApiVersion::new(1, minor), name, false).unwrap()
    }
}

#[test]
fn a_port_is_published_once_and_free_again_after_the_stop() {
    let mut bench = Bench::new();
    let ports = json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}});
    bench.run("first", &ports);
    bench.create("second", &ports);
    let refused = bench.model.start(bench.now, "second").unwrap_err();
    assert_eq!((refused.status, refused.kind), (500, ErrorKind::Engine));
    assert!(refused.message.ends_with("port is already allocated"), "{}", refused.message);
    assert_eq!(bench.model.container("second").unwrap().state.exit_code, 128);
    bench.model.stop(bench.now, "first", None).unwrap();
    bench.pass(1);
    assert_eq!(bench.model.start(bench.now, "second").unwrap(), Change::Made);
    let shown = &bench.inspect(41, "second")["NetworkSettings"]["Ports"];
    assert_eq!(shown["80/tcp"][0]["HostPort"], "8080");
}

#[test]
fn ports_that_the_engine_chooses_change_with_every_start() {
    let mut bench = Bench::new();
    bench.run("web", &json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": ""}]}}}));
    let port = |bench: &Bench| bench.model.container("web").unwrap().published[0].port;
    let before = port(&bench);
    bench.model.restart(bench.now, "web", None).unwrap();
    bench.pass(10);
    assert_ne!(port(&bench), before);
}

#[test]
fn addresses_come_with_the_start_and_go_with_the_stop() {
    let mut bench = Bench::new();
    bench.model.add_network("back");
    let fixed = json!({"IPAMConfig": {"IPv4Address": "172.18.0.9"}, "Aliases": ["db"]});
    let more = json!({
        "HostConfig": {"NetworkMode": "back"},
        "NetworkingConfig": {"EndpointsConfig": {"back": fixed}},
    });
    let id = bench.run("first", &more);
    bench.create("second", &more);
    let refused = bench.model.start(bench.now, "second").unwrap_err();
    assert_eq!((refused.status, refused.message.as_str()), (403, "Address already in use"));
    let shown = &bench.inspect(41, "first")["NetworkSettings"]["Networks"]["back"];
    assert_eq!(shown["IPAddress"], "172.18.0.9");
    assert_eq!(shown["Aliases"], json!(["db", id[..12]]), "the short ID until 1.44");
    let shown = &bench.inspect(45, "first")["NetworkSettings"]["Networks"]["back"];
    assert_eq!(shown["Aliases"], json!(["db"]));
    bench.model.stop(bench.now, "first", None).unwrap();
    bench.pass(1);
    assert_eq!(bench.model.start(bench.now, "second").unwrap(), Change::Made);
}

#[test]
fn a_network_of_another_container_needs_that_one_to_run() {
    let mut bench = Bench::new();
    let parent = bench.create("parent", &json!({}));
    bench.create("child", &json!({"HostConfig": {"NetworkMode": format!("container:{parent}")}}));
    assert_eq!(bench.model.start(bench.now, "child").unwrap_err().status, 409);
    bench.model.start(bench.now, "parent").unwrap();
    bench.model.start(bench.now, "child").unwrap();
    bench.model.remove(bench.now, "parent", true, false).unwrap();
    bench.model.stop(bench.now, "child", None).unwrap();
    bench.pass(1);
    let refused = bench.model.start(bench.now, "child").unwrap_err();
    assert_eq!(refused.message, format!("No such container: {parent}"));
}

#[test]
fn the_version_of_the_request_changes_what_is_created() {
    let more = json!({
        "Healthcheck": {"Test": ["CMD", "/bin/true"], "StartInterval": 1_000_000_000},
        "NetworkingConfig": {"EndpointsConfig": {"a": {}, "b": {}}},
    });
    let mut bench = Bench::of(EngineOptions::for_api("sim", ApiVersion::new(1, 51)));
    let refused = bench.try_create(ApiVersion::new(1, 43), "old", &more).unwrap_err();
    let expected = "Container cannot be connected to network endpoints: a, b";
    assert_eq!((refused.status, refused.message.as_str()), (400, expected));
    bench.try_create(ApiVersion::new(1, 44), "new", &more).unwrap();
    let config = bench.inspect(44, "new")["Config"].take();
    assert_eq!(config["Healthcheck"]["StartInterval"], 1_000_000_000);
    for (minor, ipc, cgroup) in
        [(24, "shareable", "host"), (40, "private", "host"), (41, "private", "private")]
    {
        let name = format!("v{minor}");
        bench.try_create(ApiVersion::new(1, minor), &name, &json!({})).unwrap();
        let host_config = bench.inspect(minor, &name)["HostConfig"].take();
        let seen = (&host_config["IpcMode"], &host_config["CgroupnsMode"]);
        assert_eq!(seen, (&json!(ipc), &json!(cgroup)), "{minor}");
    }
}

#[test]
fn unknown_fields_survive_and_keys_may_be_in_any_case() {
    let mut bench = Bench::new();
    let more = json!({
        "Future": {"deep": [1]}, "env": ["A=b"],
        "HostConfig": {"AlsoFuture": true, "memory": 64_000_000},
    });
    bench.create("web", &more);
    let seen = bench.inspect(41, "web");
    assert_eq!(seen["Config"]["Future"], json!({"deep": [1]}));
    assert_eq!(seen["Config"]["Env"], json!(["A=b"]));
    assert_eq!(seen["HostConfig"]["AlsoFuture"], true);
    assert_eq!(seen["HostConfig"]["Memory"], 64_000_000);
}

#[test]
fn a_crash_loop_waits_twice_as_long_each_time_and_cannot_be_renamed_meanwhile() {
    let mut bench = Bench::new();
    let more = json!({
        "Labels": {"sim.exit-after": "1ms", "sim.exit-code": "3"},
        "HostConfig": {"RestartPolicy": {"Name": "always"}},
    });
    bench.run("web", &more);
    let mut starts = vec![bench.now];
    while starts.len() < 6 {
        bench.now = bench.model.next_event().expect("it goes on for ever");
        bench.model.advance(bench.now);
        let state = &bench.model.container("web").unwrap().state;
        if state.status == Status::Running && state.started_at != starts.last().copied() {
            starts.extend(state.started_at);
        }
    }
    let gaps: Vec<u128> =
        starts.windows(2).map(|pair| pair[1].since(pair[0]).as_millis()).collect();
    assert_eq!(gaps, [101, 201, 401, 801, 1601]);
    bench.pass(1);
    assert_eq!(bench.status("web"), Status::Restarting);
    let refused = bench.model.rename("web", "other").unwrap_err();
    assert_eq!(refused.status, 404);
    assert!(refused.message.starts_with("sandbox "), "{}", refused.message);
    assert_eq!(bench.model.container("web").unwrap().restart_count, 6);
}

#[test]
fn an_update_of_the_policy_is_seen_at_the_next_exit() {
    let mut bench = Bench::new();
    let more = json!({
        "Labels": {"sim.exit-after": "1s", "sim.exit-code": "3"},
        "HostConfig": {"RestartPolicy": {"Name": "always"}},
    });
    bench.run("web", &more);
    bench.model.update("web", &json!({"RestartPolicy": {"Name": "no"}})).unwrap();
    bench.pass(1000);
    assert_eq!(bench.status("web"), Status::Exited);
}

#[test]
fn a_fleeting_container_is_there_for_a_moment_after_its_end() {
    let mut bench = Bench::new();
    bench.run("web", &json!({"Volumes": {"/data": {}}, "HostConfig": {"AutoRemove": true}}));
    assert_eq!(bench.model.volumes().len(), 1);
    bench.model.stop(bench.now, "web", None).unwrap();
    bench.pass(1);
    assert_eq!(bench.status("web"), Status::Removing);
    let refused = bench.try_create(ApiVersion::new(1, 41), "web", &json!({})).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NameInUse);
    let refused = bench.model.remove(bench.now, "web", true, true).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::RemovalInProgress);
    bench.pass(20);
    assert!(bench.model.container("web").is_none() && bench.model.volumes().is_empty());
}

#[test]
fn a_frozen_process_does_nothing_until_it_thaws() {
    let mut bench = Bench::new();
    bench.run("web", &json!({"Labels": {"sim.exit-after": "1s"}}));
    bench.pass(400);
    bench.model.pause(bench.now, "web").unwrap();
    bench.pass(10_000);
    assert_eq!(bench.status("web"), Status::Paused);
    bench.model.unpause(bench.now, "web").unwrap();
    bench.pass(599);
    assert_eq!(bench.status("web"), Status::Running);
    bench.pass(1);
    assert_eq!(bench.status("web"), Status::Exited);
}

#[test]
fn signals_other_than_the_stop_signal_leave_the_policy_alone() {
    for (stop_signal, signal, restarts) in [
        (json!(null), "HUP", false),
        (json!("SIGQUIT"), "TERM", true),
        (json!("SIGQUIT"), "QUIT", false),
        (json!("SIGQUIT"), "KILL", false),
    ] {
        let mut bench = Bench::new();
        let policy = json!({"RestartPolicy": {"Name": "always"}});
        bench.run("web", &json!({"StopSignal": stop_signal, "HostConfig": policy}));
        bench.model.kill(bench.now, "web", Some(signal)).unwrap();
        bench.pass(5_000);
        let expected = if restarts { Status::Running } else { Status::Exited };
        assert_eq!(bench.status("web"), expected, "{stop_signal} {signal}");
    }
}

#[test]
fn fields_come_and_go_with_the_version() {
    let mut bench = Bench::of(EngineOptions::for_api("sim", ApiVersion::new(1, 52)));
    bench.run("web", &json!({}));
    let image =
        |minor: u16| bench.model.inspect_image(ApiVersion::new(1, minor), "app:v1").unwrap();
    assert!(image(43).get("VirtualSize").is_some() && image(44).get("VirtualSize").is_none());
    assert!(
        image(44).get("ContainerConfig").is_some() && image(45).get("ContainerConfig").is_none()
    );
    assert!(image(51)["Config"].get("Env").is_some() && image(52)["Config"].get("Env").is_none());
    let ip = |minor: u16| bench.inspect(minor, "web")["NetworkSettings"].get("IPAddress").cloned();
    assert_eq!((ip(51), ip(52)), (Some(json!("172.17.0.2")), None));
    bench.model.remove_image("app:v1", true).unwrap();
    let tags = |minor: u16| {
        let none = Filters::default();
        bench.model.list_images(ApiVersion::new(1, minor), &none).unwrap()[0]["RepoTags"].clone()
    };
    assert_eq!((tags(42), tags(43)), (json!(["<none>:<none>"]), json!([])));
}

#[test]
fn an_index_gives_each_architecture_its_image_and_one_digest() {
    let registries = Registries::default();
    registries.add("r.sim", SimRegistry::open());
    let images: Vec<_> = ["amd64", "arm64"]
        .map(|architecture| ImageContent::builder("app").architecture(architecture).build())
        .into();
    let index = registries.with("r.sim", |registry| registry.publish_index("app", "v1", &images));
    let mut ids = Vec::new();
    for architecture in ["amd64", "arm64", "s390x"] {
        let mut options = EngineOptions::new("sim");
        options.architecture = architecture.to_owned();
        let mut model = Model::new(options, registries.clone());
        match model.begin_pull("r.sim/app", "v1", None, None) {
            Ok(plans) => {
                assert_eq!(plans[0].digest(), index);
                ids.push(model.finish_pull(Time::BEGINNING, &plans[0]));
            }
            Err(refusal) => {
                assert_eq!((architecture, refusal.status), ("s390x", 404));
            }
        }
    }
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
}

#[test]
fn the_containerd_store_drops_credentials_for_another_registry() {
    let registries = Registries::default();
    registries.add("r.sim:5000", SimRegistry::with_user("ann", "secret"));
    registries.publish("r.sim:5000", "app", "v1", &ImageContent::builder("app").build());
    let auth = |server: &str| RegistryAuth {
        username: "ann".to_owned(),
        password: "secret".to_owned(),
        server_address: server.to_owned(),
        ..RegistryAuth::default()
    };
    for (minor, server, works) in [
        (41, "elsewhere.sim", true),
        (52, "elsewhere.sim", false),
        (52, "r.sim:5000", true),
        (52, "", true),
    ] {
        let options = EngineOptions::for_api("sim", ApiVersion::new(1, minor));
        let model = Model::new(options, registries.clone());
        let begun = model.begin_pull("r.sim:5000/app", "v1", None, Some(&auth(server)));
        assert_eq!(begun.is_ok(), works, "{minor} {server}");
    }
}

#[test]
fn a_pull_without_a_tag_pulls_every_tag() {
    let registries = Registries::default();
    registries.add("r.sim", SimRegistry::open());
    for tag in ["v1", "v2", "v3"] {
        registries.publish("r.sim", "app", tag, &ImageContent::builder(tag).build());
    }
    let model = Model::new(EngineOptions::new("sim"), registries);
    assert_eq!(model.begin_pull("r.sim/app", "", None, None).unwrap().len(), 3);
    assert_eq!(model.begin_pull("r.sim/app", "v2", None, None).unwrap().len(), 1);
}
