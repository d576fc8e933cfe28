//! The Engine itself, and logins.

use serde_json::Value;
use wharf_server::engine::{EngineDocument, ErrorKind};

use super::world::{World, kind, login};

super::cases![
    ping_names_the_versions,
    version_info_and_usage_are_documents,
    a_login_is_right_or_wrong,
    a_registry_that_is_not_there_cannot_be_asked,
];

async fn ping_names_the_versions(world: &World<'_>) {
    let ping = world.engine.ping().await.unwrap();
    // Engines before 1.13 do not say it.
    assert!(ping.max_api_version.is_none_or(|max| ping.api_version <= max), "{ping:?}");
    assert!(ping.min_api_version.is_none_or(|min| min <= ping.api_version), "{ping:?}");
}

async fn version_info_and_usage_are_documents(world: &World<'_>) {
    let spoken = world.api_version().await;
    let read = |document: EngineDocument| -> Value {
        assert_eq!(document.api_version, spoken);
        document.parse().unwrap()
    };
    let version = read(world.engine.version().await.unwrap());
    for key in ["Version", "ApiVersion", "MinAPIVersion", "Os", "Arch"] {
        assert!(version[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {version}");
    }
    let info = read(world.engine.info().await.unwrap());
    assert!(info["ID"].as_str().is_some_and(|id| !id.is_empty()), "{info}");
    assert_eq!(info["ServerVersion"], version["Version"]);
    for key in ["Containers", "ContainersRunning", "ContainersStopped", "Images", "NCPU"] {
        assert!(info[key].is_u64(), "{key}: {info}");
    }
    if spoken.minor >= 25 {
        let usage = read(world.engine.disk_usage().await.unwrap());
        let (images, containers) = match spoken.minor {
            ..52 => (&usage["Images"], &usage["Containers"]),
            _ => (&usage["ImageUsage"]["Items"], &usage["ContainerUsage"]["Items"]),
        };
        assert!(images.is_array() && containers.is_array(), "{usage}");
    }
}

async fn a_login_is_right_or_wrong(world: &World<'_>) {
    let fixture = world.fixture;
    let accepted = world.engine.check_login(&world.login(&fixture.password)).await.unwrap();
    assert_eq!(accepted.status, "Login Succeeded");
    assert!(accepted.identity_token.is_none());
    let refused = world.engine.check_login(&world.login("wrong")).await;
    assert_eq!(kind(refused), ErrorKind::LoginRefused);
    let open = login(&fixture.open_registry, "anyone", "anything");
    assert!(world.engine.check_login(&open).await.is_ok());
}

async fn a_registry_that_is_not_there_cannot_be_asked(world: &World<'_>) {
    let nowhere = login("127.0.0.1:1", "anyone", "anything");
    let failed = world.engine.check_login(&nowhere).await;
    assert_eq!(kind(failed), ErrorKind::RegistryUnavailable);
}
