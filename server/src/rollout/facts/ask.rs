//! The questions to an Engine.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;

use super::{HostFacts, MadeContainer, OldContainer};
use crate::domain::{ContainerName, ContainerRef, ImageName};
use crate::engine::{
    ApiVersion, ContainerFacts, ContainerListing, ContainerSummary, Engine, EngineDocument,
    EngineError, ErrorKind, Inspection, NetworkListing, NetworkSummary, Platform, Result, podman,
};
use crate::rollout::model::ROLLOUT_LABEL;

/// The last version in which the settings of a container show an explicit MAC address.
const SHOWS_MAC_ADDRESS: ApiVersion = ApiVersion::new(1, 51);

/// Inspections at a time: an Engine answers one in a third of a millisecond.
const AT_ONCE: usize = 8;

/// The facts of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The container with that name; `None` if there is none.
    pub old: Option<OldContainer>,
    /// Its environment.
    pub host: HostFacts,
}

/// Queries an Engine for everything that a plan for `target` needs. Changes nothing.
///
/// # Errors
/// Errors of the Engine. A missing container or image is `None`, and unreadable containers around
/// the target are listed as such.
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

/// The name that images use for what the kernel calls a machine; empty for an unknown one.
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

/// A container by its full ID; `None` if it no longer exists. Changes nothing.
///
/// # Errors
/// Whatever the Engine fails with.
pub async fn container(engine: &dyn Engine, id: &str) -> Result<Option<OldContainer>> {
    let Ok(id) = ContainerRef::parse(id) else { return Ok(None) };
    match found(engine.inspect_container(&id, false).await)? {
        Some(found) => {
            let api_version = found.api_version;
            old_container(engine, Inspection::read(&found)?, api_version).await.map(Some)
        }
        None => Ok(None),
    }
}

/// The container with exactly that name: an Engine also accepts the beginning of an ID.
async fn by_name(engine: &dyn Engine, name: &ContainerName) -> Result<Option<Inspection>> {
    let container = ContainerRef::from(name.clone());
    let found = found(engine.inspect_container(&container, false).await)?;
    let inspect = found.as_ref().map(Inspection::read).transpose()?;
    Ok(inspect.filter(|inspect| inspect.name == name.as_str()))
}

async fn old_container(
    engine: &dyn Engine,
    mut inspect: Inspection,
    api_version: ApiVersion,
) -> Result<OldContainer> {
    if api_version > SHOWS_MAC_ADDRESS {
        add_mac_address(engine, &mut inspect).await;
    }
    let mut image = image(engine, &inspect.image_id).await?;
    if inspect.is_podman {
        image = image.map(podman::with_health_defaults);
        podman::order_environment(&mut inspect.json["Config"], image.as_ref());
    }
    let named_image = image_id(engine, &inspect.image).await?;
    let changes = match ContainerRef::parse(&inspect.id) {
        // Some storage drivers cannot tell, and others take long; a plan does not require it.
        Ok(id) => engine.container_changes(&id).await.ok(),
        Err(_) => None,
    };
    Ok(OldContainer { inspect, image, named_image, changes })
}

/// Adds the explicit MAC address, or the empty text for none; nothing if the Engine no longer
/// reports it.
async fn add_mac_address(engine: &dyn Engine, inspect: &mut Inspection) {
    let Ok(id) = ContainerRef::parse(&inspect.id) else { return };
    let Ok(found) = engine.inspect_container_as_of(&id, SHOWS_MAC_ADDRESS).await else { return };
    if found.api_version > SHOWS_MAC_ADDRESS {
        return;
    }
    if let Ok(older) = read(&found) {
        let address = older["Config"]["MacAddress"].as_str().unwrap_or_default();
        inspect.json["Config"]["MacAddress"] = address.into();
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

async fn networks(engine: &dyn Engine) -> Result<Vec<NetworkSummary>> {
    let mut networks = engine.list_networks(&NetworkListing::default()).await?.items;
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
            let inspect = inspect.and_then(|it| it.as_ref().map(Inspection::read).transpose());
            // Of a thousand hosts, only what is needed is held: neither JSON nor labels.
            let facts =
                |inspect: Inspection| ContainerFacts { labels: BTreeMap::new(), ..inspect.facts };
            (summary.id, inspect.map(|it| it.map(facts)))
        })
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let (mut containers, mut unread) = (Vec::new(), Vec::new());
    for (id, facts) in inspections {
        match facts {
            Ok(Some(facts)) => containers.push(facts),
            Ok(None) => {}
            // The whole host is gone.
            Err(error) if error.kind.is_without_connection() => return Err(error),
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
