//! The contract, for the in-process model and for the HTTP client on the model.

use std::sync::Arc;

use serde_json::json;
use wharf_server::domain::{HostAddress, Transport};
use wharf_server::engine::http::{ConnectorSettings, HttpConnector};
use wharf_server::engine::{ApiVersion, Engine};
use wharf_simulator::contract::{Fixture, run_all};
use wharf_simulator::{
    EngineOptions, ImageContent, Registries, SimEngine, SimHost, SimRegistry, SimServer,
};

const OPEN: &str = "127.0.0.1:5000";
const LOCKED: &str = "127.0.0.1:5001";

fn host(options: EngineOptions) -> Arc<SimHost> {
    let registries = Registries::default();
    registries.add(OPEN, SimRegistry::open());
    registries.add(LOCKED, SimRegistry::with_user("captain", "hook+line/sinker~?"));
    registries.add("127.0.0.1:1", SimRegistry { down: true, ..SimRegistry::open() });
    SimHost::new(options, registries)
}

fn fixture(host: Arc<SimHost>, engine: Arc<dyn Engine>) -> Fixture {
    let import = move |reference: String, salt: String| {
        let content = ImageContent::builder(&salt)
            .config("Cmd", json!(["/bin/idle"]))
            .config("Env", json!(["COLOUR=blue"]))
            .label("origin", "image")
            .build();
        host.with(|model, _| model.load(&reference, &content));
        Box::pin(async {}) as wharf_simulator::contract::Work<'static>
    };
    Fixture {
        engine,
        import: Box::new(import),
        ready: Box::new(|_| Box::pin(async {})),
        open_registry: OPEN.to_owned(),
        locked_registry: LOCKED.to_owned(),
        user: "captain".to_owned(),
        password: "hook+line/sinker~?".to_owned(),
        prefix: "contract".to_owned(),
    }
}

async fn over_http(options: EngineOptions) {
    let host = host(options);
    let server = SimServer::listen_each(vec![host.clone()]).await.unwrap();
    let address = HostAddress::parse(&server.hosts()[0].address(), Transport::Plain).unwrap();
    let engine = HttpConnector::new(ConnectorSettings::default()).engine(&address, None).unwrap();
    run_all(&fixture(host, engine)).await;
}

#[tokio::test(start_paused = true)]
async fn the_model_in_process_keeps_the_contract() {
    let host = host(EngineOptions::new("sim"));
    let engine = Arc::new(SimEngine::new(host.clone()));
    run_all(&fixture(host, engine)).await;
}

#[tokio::test]
async fn the_client_on_the_model_keeps_the_contract() {
    over_http(EngineOptions::new("sim")).await;
}

#[tokio::test]
async fn the_client_keeps_the_contract_with_engines_of_other_versions() {
    for (max, min) in [(24, 12), (35, 12), (44, 44), (51, 24)] {
        let options = EngineOptions::for_api("sim", ApiVersion::new(1, max));
        over_http(options.with_min_api(ApiVersion::new(1, min))).await;
    }
}
