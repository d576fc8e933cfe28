//! The questions to an Engine.

use std::time::UNIX_EPOCH;

use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;

use super::{
    ContainerFacts, HostFacts, MadeContainer, NetworkFacts, OldContainer, as_docker, podman,
};
use crate::domain::{ContainerName, ContainerRef, ImageName};
use crate::engine::{
    ApiVersion, ContainerListing, ContainerSummary, Engine, EngineDocument, EngineError, ErrorKind,
    Platform, Result,
};
use crate::rollout::model::ROLLOUT_LABEL;

/// The last version in which the settings of a container show the MAC address that was asked for.
const SHOWS_MAC_ADDRESS: ApiVersion = ApiVersion::new(1, 51);

/// Inspections at a time: an Engine answers one in a third of a millisecond.
const AT_ONCE: usize = 8;

/// What is on a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The container of that name; `None` where there is none.
    pub old: Option<OldContainer>,
    /// What is around it.
    pub host: HostFacts,
}

/// Asks an Engine for all that a plan for `target` needs. Changes nothing.
///
/// # Errors
/// Whatever the Engine fails with. A container or image that is not there is none, and of the
/// containers around the target those that cannot be read are noted as such.
pub async fn gather(engine: &dyn Engine, target: &ContainerName) -> Result<Facts> {
    let info = engine.info().await?;
    let api_version = info.api_version;
    let info = read(&info)?;
    let text = |key: &str| info[key].as_str().unwrap_or_default().to_owned();
    let networks = networks(engine).await?;
    let inspect = by_name(engine, target).await?;
    let old = match inspect {
        Some(inspect) => Some(old_container(engine, inspect, api_version).await?),
        None => None,
    };
    let listing = ContainerListing { all: true, ..ContainerListing::default() };
    let listed = engine.list_containers(&listing).await?.items;
    let made = listed.iter().filter_map(made).collect();
    let (containers, unread) = containers(engine, listed).await?;
    let host = HostFacts {
        fixed_restart_policies: podman::has_fixed_restart_policies(&info),
        api_version,
        engine_name: text("Name"),
        log_driver: text("LoggingDriver"),
        runtime: text("DefaultRuntime"),
        platform: Platform {
            os: text("OSType"),
            architecture: architecture(&text("Architecture")),
        },
        networks,
        containers,
        unread,
        made,
        now: unix_seconds(&text("SystemTime")),
    };
    Ok(Facts { old, host })
}

/// The name that images have for what the kernel calls a machine; empty for one that is not known.
fn architecture(machine: &str) -> String {
    match machine {
        "x86_64" | "amd64" => "amd64",
        "aarch64" | "arm64" => "arm64",
        "armv6l" | "armv7l" | "armv8l" | "arm" => "arm",
        "i386" | "i686" | "386" => "386",
        "loongarch64" => "loong64",
        "ppc64le" | "riscv64" | "s390x" | "mips64le" => machine,
        _ => "",
    }
    .to_owned()
}

/// A container by its full ID; `None` where it is not there any more. Changes nothing.
///
/// # Errors
/// Whatever the Engine fails with.
pub async fn container(engine: &dyn Engine, id: &str) -> Result<Option<OldContainer>> {
    let Ok(id) = ContainerRef::parse(id) else { return Ok(None) };
    match found(engine.inspect_container(&id, false).await)? {
        Some(found) => {
            let api_version = found.api_version;
            old_container(engine, read(&found)?, api_version).await.map(Some)
        }
        None => Ok(None),
    }
}

/// The container of exactly that name: an Engine also takes a beginning of an ID.
async fn by_name(engine: &dyn Engine, name: &ContainerName) -> Result<Option<Value>> {
    let container = ContainerRef::from(name.clone());
    let Some(found) = found(engine.inspect_container(&container, false).await)? else {
        return Ok(None);
    };
    let inspect = read(&found)?;
    let its_name = inspect["Name"].as_str().unwrap_or_default().trim_start_matches('/');
    Ok((its_name == name.as_str()).then_some(inspect))
}

async fn old_container(
    engine: &dyn Engine,
    inspect: Value,
    api_version: ApiVersion,
) -> Result<OldContainer> {
    let is_podman = podman::made(&inspect);
    let mut inspect = as_docker(inspect);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if api_version > SHOWS_MAC_ADDRESS {
        add_mac_address(engine, &mut inspect).await;
    }
    let mut image = image(engine, &text(&inspect["Image"])).await?;
    if is_podman {
        image = image.map(podman::with_health_defaults);
        inspect = podman::with_environment(inspect, image.as_ref());
    }
    let named_image = image_id(engine, &text(&inspect["Config"]["Image"])).await?;
    let changes = match ContainerRef::parse(&text(&inspect["Id"])) {
        // Some storage drivers cannot tell, and for others it takes long; a plan can do without.
        Ok(id) => engine.container_changes(&id).await.ok(),
        Err(_) => None,
    };
    Ok(OldContainer { inspect, image, named_image, changes })
}

/// Adds the MAC address that was asked for, or the empty text for none; nothing where the Engine
/// does not say it any more.
async fn add_mac_address(engine: &dyn Engine, inspect: &mut Value) {
    let Some(id) = inspect["Id"].as_str().and_then(|id| ContainerRef::parse(id).ok()) else {
        return;
    };
    let Ok(found) = engine.inspect_container_as_of(&id, SHOWS_MAC_ADDRESS).await else { return };
    if found.api_version > SHOWS_MAC_ADDRESS {
        return;
    }
    if let Ok(older) = read(&found) {
        let address = older["Config"]["MacAddress"].as_str().unwrap_or_default();
        inspect["Config"]["MacAddress"] = address.into();
    }
}

async fn image_id(engine: &dyn Engine, name: &str) -> Result<Option<String>> {
    let image = image(engine, name).await?;
    Ok(image.and_then(|image| image["Id"].as_str().map(str::to_owned)))
}

async fn image(engine: &dyn Engine, name: &str) -> Result<Option<Value>> {
    let Ok(name) = ImageName::parse(name) else { return Ok(None) };
    found(engine.inspect_image(&name).await)?.as_ref().map(read).transpose()
}

async fn networks(engine: &dyn Engine) -> Result<Vec<NetworkFacts>> {
    let listing = engine.list_networks().await?;
    let mut networks: Vec<NetworkFacts> = listing
        .items
        .into_iter()
        .map(|network| NetworkFacts {
            id: network.id,
            name: network.name,
            driver: network.driver,
            scope: network.scope,
        })
        .collect();
    networks.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    Ok(networks)
}

/// The container, if a rollout made it.
fn made(summary: &ContainerSummary) -> Option<MadeContainer> {
    Some(MadeContainer {
        name: summary.names.first()?.clone(),
        rollout: summary.labels.get(ROLLOUT_LABEL)?.clone(),
        created: summary.created?,
    })
}

/// A time as Engines write that of their host: RFC 3339, with the offset of its time zone.
fn unix_seconds(time: &str) -> Option<i64> {
    let (local, offset) = match time.strip_suffix('Z') {
        Some(local) => (local, 0),
        None => {
            let (local, offset) = time.split_at_checked(time.len().checked_sub(6)?)?;
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            (local, if offset.starts_with('-') { -seconds } else { seconds })
        }
    };
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let local = local.duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(i64::try_from(local).ok()? - offset)
}

/// All containers of a list, sorted by ID, and those that could not be read.
async fn containers(
    engine: &dyn Engine,
    listed: Vec<ContainerSummary>,
) -> Result<(Vec<ContainerFacts>, Vec<String>)> {
    let inspections = stream::iter(listed)
        .map(|summary| async move {
            let inspect = match ContainerRef::parse(&summary.id) {
                Ok(id) => found(engine.inspect_container(&id, false).await),
                Err(_) => Ok(None),
            };
            (summary.id, inspect.and_then(|found| found.as_ref().map(read).transpose()))
        })
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let (mut containers, mut unread) = (Vec::new(), Vec::new());
    for (id, inspect) in inspections {
        match inspect {
            Ok(Some(inspect)) => containers.push(ContainerFacts::read(&inspect)),
            Ok(None) => {}
            // The host as a whole is not there any more.
            Err(error) if matches!(error.kind, ErrorKind::Unreachable | ErrorKind::NoResources) => {
                return Err(error);
            }
            Err(_) => unread.push(id),
        }
    }
    containers.sort_by(|one, other| one.id.cmp(&other.id));
    unread.sort();
    Ok((containers, unread))
}

fn found(result: Result<EngineDocument>) -> Result<Option<EngineDocument>> {
    match result {
        Ok(document) => Ok(Some(document)),
        Err(error)
            if matches!(error.kind, ErrorKind::ContainerNotFound | ErrorKind::ImageNotFound) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn read(document: &EngineDocument) -> Result<Value> {
    document.parse().map_err(|error| {
        EngineError::new(ErrorKind::BadAnswer, "reading an inspection", error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::unix_seconds;

    #[test]
    fn the_clock_of_a_host_is_read_in_every_time_zone() {
        for time in [
            "2026-11-27T03:19:09Z",
            "2026-11-27T03:19:09.123456789Z",
            "2026-11-27T05:19:09.123456789+02:00",
            "2026-11-26T21:49:09-05:30",
        ] {
            assert_eq!(unix_seconds(time), Some(1_795_749_549), "{time}");
        }
        for text in ["", "now", "2026-11-27", "+02:00", "2026-11-27T05:19:09+xx:00"] {
            assert_eq!(unix_seconds(text), None, "{text}");
        }
    }
}
