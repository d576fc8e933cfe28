//! From the Engine's `/version`, `/info` and `/system/df` to the messages of the API. Pure.

use serde::Deserialize;
use wharf::v1;

use super::convert::engine_json;
use super::views::parse;
use crate::engine::{EngineDocument, EngineError, null_to_default};

/// `GET /version`.
pub fn engine_version(document: EngineDocument) -> Result<v1::EngineVersion, EngineError> {
    let version: VersionJson = parse(&document, "GET /version")?;
    Ok(v1::EngineVersion {
        version: version.version,
        api_version: document.api_version.to_string(),
        max_api_version: version.api_version,
        min_api_version: version.min_api_version,
        os: version.os,
        arch: version.arch,
        kernel: version.kernel_version,
        engine: Some(engine_json(document)),
    })
}

/// `GET /info`.
pub fn engine_info(document: EngineDocument) -> Result<v1::EngineInfo, EngineError> {
    let info: InfoJson = parse(&document, "GET /info")?;
    Ok(v1::EngineInfo {
        engine_id: info.id,
        hostname: info.name,
        engine_version: info.server_version,
        operating_system: info.operating_system,
        architecture: info.architecture,
        cpus: count(info.n_cpu),
        memory_bytes: u64::try_from(info.mem_total).unwrap_or_default(),
        storage_driver: info.driver,
        containers: count(info.containers),
        containers_running: count(info.containers_running),
        containers_paused: count(info.containers_paused),
        containers_stopped: count(info.containers_stopped),
        images: count(info.images),
        warnings: info.warnings,
        engine: Some(engine_json(document)),
    })
}

/// `GET /system/df`: up to API 1.51 lists, which are counted here; since then the Engine's own
/// sums.
pub fn disk_usage(document: EngineDocument) -> Result<v1::DiskUsage, EngineError> {
    let usage: UsageJson = parse(&document, "GET /system/df")?;
    if let UsageJson {
        image_usage: Some(images),
        container_usage: containers,
        volume_usage: volumes,
        build_cache_usage: build_cache,
        ..
    } = &usage
    {
        let entry = |sums: &Option<UsageSums>| sums.as_ref().map(UsageSums::entry);
        return Ok(v1::DiskUsage {
            images: Some(images.entry()),
            containers: Some(entry(containers).unwrap_or_default()),
            volumes: Some(entry(volumes).unwrap_or_default()),
            build_cache: Some(entry(build_cache).unwrap_or_default()),
            engine: Some(engine_json(document)),
        });
    }
    let unused_images = usage.images.iter().filter(|image| image.containers == 0);
    let images = v1::DiskUsageEntry {
        total: length(&usage.images),
        active: length(&usage.images) - count(unused_images.clone().count()),
        size_bytes: usage.layers_size,
        reclaimable_bytes: unused_images.map(|image| image.size - image.shared_size.max(0)).sum(),
    };
    let stopped = usage.containers.iter().filter(|container| !container.is_active());
    let containers = v1::DiskUsageEntry {
        total: length(&usage.containers),
        active: length(&usage.containers) - count(stopped.clone().count()),
        size_bytes: usage.containers.iter().map(|container| container.size_rw).sum(),
        reclaimable_bytes: stopped.map(|container| container.size_rw).sum(),
    };
    let unused_volumes = usage.volumes.iter().filter(|volume| volume.usage_data.ref_count == 0);
    let volumes = v1::DiskUsageEntry {
        total: length(&usage.volumes),
        active: length(&usage.volumes) - count(unused_volumes.clone().count()),
        size_bytes: usage.volumes.iter().map(|volume| volume.usage_data.size.max(0)).sum(),
        reclaimable_bytes: unused_volumes.map(|volume| volume.usage_data.size.max(0)).sum(),
    };
    let idle_cache = usage.build_cache.iter().filter(|cache| !cache.in_use);
    let build_cache = v1::DiskUsageEntry {
        total: length(&usage.build_cache),
        active: length(&usage.build_cache) - count(idle_cache.clone().count()),
        size_bytes: usage.build_cache.iter().map(|cache| cache.size).sum(),
        reclaimable_bytes: idle_cache.map(|cache| cache.size).sum(),
    };
    Ok(v1::DiskUsage {
        images: Some(images),
        containers: Some(containers),
        volumes: Some(volumes),
        build_cache: Some(build_cache),
        engine: Some(engine_json(document)),
    })
}

/// The status of a host for `CheckHosts`: from `/info`, and from `/version` if available.
pub fn host_status(
    info: &EngineDocument,
    version: &EngineDocument,
) -> Result<v1::HostStatus, EngineError> {
    let version_json: VersionJson = parse(version, "GET /version")?;
    let info: InfoJson = parse(info, "GET /info")?;
    Ok(v1::HostStatus {
        engine_version: version_json.version,
        api_version: version.api_version.to_string(),
        max_api_version: version_json.api_version,
        min_api_version: version_json.min_api_version,
        os: version_json.os,
        arch: version_json.arch,
        kernel: version_json.kernel_version,
        engine_id: info.id,
        hostname: info.name,
        containers: count(info.containers),
        containers_running: count(info.containers_running),
        containers_paused: count(info.containers_paused),
        containers_stopped: count(info.containers_stopped),
        images: count(info.images),
        latency: None,
        warnings: Vec::new(),
        engine_name: engine_name(&version_json.components),
    })
}

/// The Engine's own name, if it is not Docker.
fn engine_name(components: &[Component]) -> String {
    let own = components.first().map(|component| component.name.as_str()).unwrap_or_default();
    match own {
        "" | "Engine" => "docker".to_owned(),
        "Podman Engine" => "podman".to_owned(),
        other => other.to_lowercase(),
    }
}

fn count(number: impl TryInto<u32>) -> u32 {
    number.try_into().unwrap_or_default()
}

fn length<T>(list: &[T]) -> u32 {
    count(list.len())
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Component {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct VersionJson {
    components: Vec<Component>,
    version: String,
    api_version: String,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: String,
    os: String,
    arch: String,
    kernel_version: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct InfoJson {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    server_version: String,
    operating_system: String,
    architecture: String,
    #[serde(rename = "NCPU")]
    n_cpu: i64,
    mem_total: i64,
    driver: String,
    containers: i64,
    containers_running: i64,
    containers_paused: i64,
    containers_stopped: i64,
    images: i64,
    #[serde(deserialize_with = "null_to_default")]
    warnings: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct UsageJson {
    layers_size: i64,
    #[serde(deserialize_with = "null_to_default")]
    images: Vec<UsedImage>,
    #[serde(deserialize_with = "null_to_default")]
    containers: Vec<UsedContainer>,
    #[serde(deserialize_with = "null_to_default")]
    volumes: Vec<UsedVolume>,
    #[serde(deserialize_with = "null_to_default")]
    build_cache: Vec<UsedCache>,
    // The Engine's changelog uses the plural, its code does not.
    #[serde(alias = "ImagesUsage")]
    image_usage: Option<UsageSums>,
    #[serde(alias = "ContainersUsage")]
    container_usage: Option<UsageSums>,
    #[serde(alias = "VolumesUsage")]
    volume_usage: Option<UsageSums>,
    build_cache_usage: Option<UsageSums>,
}

/// The sums of one kind of object, since API 1.52. Zeros may be left out.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct UsageSums {
    total_count: i64,
    active_count: i64,
    total_size: i64,
    reclaimable: i64,
}

impl UsageSums {
    fn entry(&self) -> v1::DiskUsageEntry {
        v1::DiskUsageEntry {
            total: count(self.total_count),
            active: count(self.active_count),
            size_bytes: self.total_size,
            reclaimable_bytes: self.reclaimable,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct UsedImage {
    containers: i64,
    size: i64,
    shared_size: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct UsedContainer {
    size_rw: i64,
    state: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct UsedVolume {
    #[serde(deserialize_with = "null_to_default")]
    usage_data: VolumeUsage,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct VolumeUsage {
    size: i64,
    ref_count: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct UsedCache {
    in_use: bool,
    size: i64,
}

impl UsedContainer {
    /// Like the docker command counts: running or paused.
    fn is_active(&self) -> bool {
        matches!(self.state.as_str(), "running" | "paused" | "restarting")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::engine::ApiVersion;

    fn usage(json: &Value, minor: u16) -> v1::DiskUsage {
        let document =
            EngineDocument { json: json.to_string(), api_version: ApiVersion::new(1, minor) };
        v1::DiskUsage { engine: None, ..disk_usage(document).unwrap() }
    }

    #[test]
    fn disk_usage_is_the_same_in_all_versions() {
        let lists = json!({
            "LayersSize": 30,
            "Images": [{"Containers": 1, "Size": 20, "SharedSize": 0},
                {"Containers": 0, "Size": 10, "SharedSize": 0}],
            "Containers": [{"SizeRw": 5, "State": "exited"}],
            "Volumes": [{"UsageData": {"Size": 7, "RefCount": 0}}],
            "BuildCache": null,
        });
        for suffix in ["", "s"] {
            let sums = json!({
                format!("Image{suffix}Usage"):
                    {"TotalCount": 2, "ActiveCount": 1, "TotalSize": 30, "Reclaimable": 10,
                        "Items": [{"Id": "a"}, {"Id": "b"}]},
                format!("Container{suffix}Usage"):
                    {"TotalCount": 1, "TotalSize": 5, "Reclaimable": 5},
                format!("Volume{suffix}Usage"): {"TotalCount": 1, "TotalSize": 7, "Reclaimable": 7},
                "BuildCacheUsage": {},
            });
            assert_eq!(usage(&lists, 51), usage(&sums, 53));
            let mut both = lists.clone();
            both.as_object_mut().unwrap().extend(sums.as_object().unwrap().clone());
            assert_eq!(usage(&both, 52), usage(&sums, 53));
        }
    }
}
