//! The state of the hosts before a rollout, and the behavior of the new image there.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wharf_server::domain::{ContainerName, ContainerRef, HostName};
use wharf_server::engine::{ApiVersion, ContainerEngine, NetworkEngine};
use wharf_simulator::model::{HealthScript, ImageBuilder};
use wharf_simulator::{
    Behaviour, EngineOptions, ImageContent, Registries, SimEngine, SimHost, SimRegistry,
};

use super::{REGISTRY, SECOND_NETWORK, TARGET};

/// What is on a host before the rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old {
    Running,
    /// Created and never started.
    Stopped,
    AutoRemove,
    Missing,
    Paused,
    /// Stopped by a person.
    Exited,
    /// Ended by itself with an error.
    Crashed,
    /// In a crash loop: its policy starts it again and again.
    Restarting,
    /// Its removal failed.
    Dead,
}

/// How the new image behaves there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum New {
    Good,
    /// Ends by itself in the middle of its gate.
    Ends,
    /// Cannot be started.
    NoStart,
    /// Ends by itself, and takes its time to stop.
    Slow,
    /// Ends at once.
    Dies,
    /// Its health check finds it bad.
    Unhealthy,
}

#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub old: Old,
    pub new: New,
    pub restart: &'static str,
    /// Besides its own it has a network that an Engine of API 1.41 takes only afterwards.
    pub second_network: bool,
    /// How many containers depend on it, each as [`hangs`] says.
    pub dependents: usize,
    /// The minor version of the API that the Engine has at most.
    pub api: u16,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            old: Old::Running,
            new: New::Good,
            restart: "unless-stopped",
            second_network: false,
            dependents: 0,
            api: 41,
        }
    }
}

/// How a container depends on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangs {
    /// It runs in its network.
    InNetwork,
    /// It takes its volumes, by its name.
    OnVolumes,
    /// It is to run in its network, and never ran.
    Stopped,
}

pub fn hangs(number: usize) -> Hangs {
    [Hangs::InNetwork, Hangs::OnVolumes, Hangs::Stopped][number % 3]
}

/// The name of a container that depends on the target.
pub fn dependent(number: usize) -> String {
    format!("side{number}")
}

/// The new image `app:v2`, and `app:v3`, which is good. The first behaves on every host as its setting says: a host finds it by its
/// architecture.
pub fn publish(registries: &Registries) {
    registries.add(REGISTRY, SimRegistry::open());
    let every = [New::Good, New::Ends, New::NoStart, New::Slow, New::Dies, New::Unhealthy];
    let new: Vec<_> = every.into_iter().map(new_image).collect();
    registries.with(REGISTRY, |registry| registry.publish_index("app", "v2", &new));
    let good = |new: New| image("v3", new).behaviour(behaviour(New::Good)).build();
    let newest: Vec<_> = every.into_iter().map(good).collect();
    registries.with(REGISTRY, |registry| registry.publish_index("app", "v3", &newest));
    // What the tag of the old image means by now.
    registries.with(REGISTRY, |registry| registry.publish_index("app", "v1", &new));
}

/// The new image as it behaves on such a host.
fn new_image(new: New) -> Arc<ImageContent> {
    let image = image("v2", new).behaviour(behaviour(new));
    let check = json!({"Test": ["CMD", "check"], "Interval": 500_000_000, "Retries": 1});
    let image = if new == New::Unhealthy { image.config("Healthcheck", check) } else { image };
    image.build()
}

/// Gives a host the new image without the registry. Returns its ID.
pub fn give(engine: &SimEngine, setting: &Setting) -> String {
    let image = new_image(setting.new);
    engine.host().with(|model, _| model.load(&format!("{REGISTRY}/app:v2"), &image))
}

/// An Engine with the old image and containers.
pub async fn set_up(name: &HostName, setting: &Setting, registries: &Registries) -> SimEngine {
    let mut options = EngineOptions::for_api(name.as_str(), ApiVersion::new(1, setting.api));
    architecture(setting.new).clone_into(&mut options.architecture);
    let sim = SimHost::new(options, registries.clone());
    let old = image("v1", setting.new)
        .behaviour(Behaviour::default().stops_after(Duration::from_millis(700), 0))
        .build();
    let unsound = image("v0", setting.new)
        .behaviour(Behaviour::exits_after(Duration::from_secs(2), 3))
        .build();
    sim.with(|model, _| {
        model.load(&format!("{REGISTRY}/app:v1"), &old);
        model.load(&format!("{REGISTRY}/app:v0"), &unsound);
    });
    let engine = SimEngine::new(sim);
    furnish(&engine, setting).await;
    engine
}

fn image(salt: &str, new: New) -> ImageBuilder {
    ImageContent::builder(salt).architecture(architecture(new))
}

fn architecture(new: New) -> &'static str {
    match new {
        New::Good => "amd64",
        New::Ends => "arm64",
        New::NoStart => "riscv64",
        New::Slow => "s390x",
        New::Dies => "ppc64le",
        New::Unhealthy => "mips64le",
    }
}

fn behaviour(new: New) -> Behaviour {
    let stops = Duration::from_millis(300);
    match new {
        New::Good => Behaviour::default().stops_after(stops, 0),
        New::Ends => Behaviour::exits_after(Duration::from_millis(2_300), 3),
        New::NoStart => Behaviour::fails_to_start("exec: \"/bin/app\": not found: unknown"),
        New::Slow => {
            Behaviour::exits_after(Duration::from_millis(4_100), 9).stops_after(stops * 4, 0)
        }
        New::Dies => Behaviour::exits_after(Duration::ZERO, 1),
        New::Unhealthy => Behaviour::default()
            .with_health(HealthScript {
                unhealthy_after: Some(Duration::from_secs(1)),
                ..HealthScript::default()
            })
            .stops_after(stops, 0),
    }
}

async fn furnish(engine: &SimEngine, setting: &Setting) {
    let name = |name: &str| ContainerName::parse(name).expect("a name");
    let unsound = matches!(setting.old, Old::Crashed | Old::Restarting);
    let body = |called: &str, host_config: Value| {
        let tag = if called == TARGET && unsound { "v0" } else { "v1" };
        let image = format!("{REGISTRY}/app:{tag}");
        // Old and new would both write to it, which start-first does not allow.
        let shared = called == TARGET && setting.dependents > 0;
        let volumes = if shared { json!({"/data": {}}) } else { json!({}) };
        json!({"Image": image, "Env": ["A=1"], "Volumes": volumes, "HostConfig": host_config})
    };
    let create = async |called: &str, host_config: Value, start: bool| {
        let (called, body) = (name(called), body(called, host_config));
        let created = engine.create_container(Some(&called), None, &body).await;
        let id = ContainerRef::parse(&created.expect("it is created").id).expect("an ID");
        if start {
            engine.start_container(&id).await.expect("it starts");
        }
    };
    let policy = json!({"RestartPolicy": {"Name": setting.restart}});
    // A neighbour whose name is alike, which nobody may touch.
    create("web2", json!({"RestartPolicy": {"Name": "always"}}), true).await;
    if setting.second_network {
        engine.host().with(|model, _| model.add_network(SECOND_NETWORK));
    }
    match setting.old {
        Old::Running | Old::Paused | Old::Exited | Old::Restarting => {
            create(TARGET, policy.clone(), true).await;
        }
        Old::Crashed => create(TARGET, json!({}), true).await,
        Old::Dead => create(TARGET, policy.clone(), false).await,
        Old::Stopped => create(TARGET, policy.clone(), false).await,
        Old::AutoRemove => create(TARGET, json!({"AutoRemove": true}), true).await,
        Old::Missing => {}
    }
    let target = ContainerRef::parse(TARGET).expect("a name");
    match setting.old {
        Old::Paused => {
            engine.pause_container(&target).await.expect("it is paused");
        }
        Old::Exited => {
            engine.stop_container(&target, None).await.expect("it is stopped");
        }
        // Until it has ended once.
        Old::Crashed | Old::Restarting => tokio::time::sleep(Duration::from_millis(2_050)).await,
        Old::Dead => {
            engine.host().with(|model, _| model.leave_dead(TARGET)).expect("it is there");
        }
        Old::Running | Old::Stopped | Old::AutoRemove | Old::Missing => {}
    }
    if setting.second_network {
        let connected = engine.connect_network(SECOND_NETWORK, &target, &json!({})).await;
        connected.expect("it is connected");
    }
    if setting.dependents > 0 {
        let target = ContainerRef::parse(TARGET).expect("a name");
        let target = engine.inspect_container(&target, false).await.expect("it is there");
        let target: Value = target.parse().expect("JSON");
        let mode = format!("container:{}", target["Id"].as_str().expect("an ID"));
        for number in 0..setting.dependents {
            let mut host_config = policy.clone();
            let hangs = hangs(number);
            match hangs {
                Hangs::InNetwork | Hangs::Stopped => {
                    host_config["NetworkMode"] = mode.clone().into();
                }
                Hangs::OnVolumes => host_config["VolumesFrom"] = json!([format!("{TARGET}:ro")]),
            }
            let runs = setting.old == Old::Running && hangs != Hangs::Stopped;
            create(&dependent(number), host_config, runs).await;
        }
    }
}
