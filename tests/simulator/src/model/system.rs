//! The information of an Engine about itself.

use serde_json::{Value, json};
use wharf_server::engine::ApiVersion;

use super::Model;
use super::container::Status;
use super::content::{hex, template};
use super::filters::Filters;

impl Model {
    /// `GET /version`.
    pub fn version(&self) -> Value {
        let options = &self.options;
        let (version, api, min) = (
            &options.engine_version,
            options.api_version.to_string(),
            options.min_api_version.to_string(),
        );
        json!({
            "Platform": {"Name": ""},
            "Components": [{
                "Name": "Engine",
                "Version": version,
                "Details": {
                    "ApiVersion": api,
                    "Arch": options.architecture,
                    "BuildTime": "2025-01-01T00:00:00.000000000+00:00",
                    "Experimental": "false",
                    "GitCommit": "5d6db84",
                    "GoVersion": "go1.19.8",
                    "KernelVersion": "6.1.0",
                    "MinAPIVersion": min,
                    "Os": "linux",
                },
            }],
            "Version": version,
            "ApiVersion": api,
            "MinAPIVersion": min,
            "GitCommit": "5d6db84",
            "GoVersion": "go1.19.8",
            "Os": "linux",
            "Arch": options.architecture,
            "KernelVersion": "6.1.0",
            "BuildTime": "2025-01-01T00:00:00.000000000+00:00",
        })
    }

    /// `GET /info`.
    pub fn info(&self) -> Value {
        let mut info = template(include_str!("../templates/info.json"));
        let count = |statuses: &[Status]| {
            self.containers().filter(|one| statuses.contains(&one.state.status)).count()
        };
        info["ID"] = json!(self.engine_id());
        info["Containers"] = json!(self.order.len());
        info["ContainersRunning"] = json!(count(&[Status::Running, Status::Restarting]));
        info["ContainersPaused"] = json!(count(&[Status::Paused]));
        info["ContainersStopped"] =
            json!(count(&[Status::Created, Status::Exited, Status::Removing, Status::Dead]));
        info["Images"] = json!(self.images.all().len());
        info["SystemTime"] = json!(self.now.rfc3339());
        info["Name"] = json!(self.options.name);
        info["ServerVersion"] = json!(self.options.engine_version);
        info["Architecture"] = json!(match self.options.architecture.as_str() {
            "amd64" => "x86_64",
            "arm64" => "aarch64",
            other => other,
        });
        info
    }

    /// `GET /system/df`.
    pub fn disk_usage(&self, version: ApiVersion) -> Value {
        let none = Filters::default();
        let images: Vec<Value> = self
            .images
            .all()
            .into_iter()
            .map(|image| self.image_summary(version, image, &none, true))
            .collect();
        let containers: Vec<Value> =
            self.containers().rev().map(|one| self.summary(version, one, true)).collect();
        let mut layers: Vec<(&str, u64)> = self
            .images
            .all()
            .into_iter()
            .flat_map(|image| &image.content.layers)
            .map(|layer| (layer.diff_id.as_str(), layer.size))
            .collect();
        layers.sort_unstable();
        layers.dedup();
        let volumes: Vec<Value> = self
            .volumes
            .iter()
            .map(|(name, volume)| {
                let users = self
                    .containers()
                    .filter(|container| container.mounts.iter().any(|mount| mount.name == *name));
                json!({
                    "CreatedAt": volume.created.rfc3339(),
                    "Driver": "local",
                    "Labels": null,
                    "Mountpoint": format!("/var/lib/docker/volumes/{name}/_data"),
                    "Name": name,
                    "Options": null,
                    "Scope": "local",
                    "UsageData": {"RefCount": users.count(), "Size": 0},
                })
            })
            .collect();
        let size: u64 = layers.iter().map(|(_, size)| size).sum();
        if version.minor >= 52 {
            return sums(size, &images, &containers, &volumes);
        }
        let mut usage = json!({
            "LayersSize": size,
            "Images": images,
            "Containers": containers,
            "Volumes": volumes,
            "BuildCache": null,
        });
        if version.minor < 42 {
            usage["BuilderSize"] = json!(0);
        }
        usage
    }

    /// Twelve groups of four characters, as Engines had it until their IDs became UUIDs.
    fn engine_id(&self) -> String {
        let digits = hex(&format!("engine {}", self.options.seed)).to_uppercase();
        let groups: Vec<&str> = (0..12).map(|place| &digits[place * 4..place * 4 + 4]).collect();
        groups.join(":")
    }
}

/// `GET /system/df?verbose=1` since 1.52: sums with the items that they are of.
fn sums(layers: u64, images: &[Value], containers: &[Value], volumes: &[Value]) -> Value {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let entry = |items: &[Value], size: &dyn Fn(&Value) -> u64, used: &dyn Fn(&Value) -> bool| {
        let unused = || items.iter().filter(|item| !used(item));
        json!({
            "TotalCount": items.len(),
            "ActiveCount": items.len() - unused().count(),
            "TotalSize": items.iter().map(size).sum::<u64>(),
            "Reclaimable": unused().map(size).sum::<u64>(),
            "Items": items,
        })
    };
    let mut of_images =
        entry(images, &|it| number(&it["Size"]), &|it| number(&it["Containers"]) > 0);
    of_images["TotalSize"] = json!(layers);
    let runs =
        |it: &Value| matches!(it["State"].as_str(), Some("running" | "paused" | "restarting"));
    json!({
        "ImageUsage": of_images,
        "ContainerUsage": entry(containers, &|it| number(&it["SizeRw"]), &runs),
        "VolumeUsage": entry(
            volumes,
            &|it| number(&it["UsageData"]["Size"]),
            &|it| number(&it["UsageData"]["RefCount"]) > 0,
        ),
        "BuildCacheUsage": {},
    })
}
