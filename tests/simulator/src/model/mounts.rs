//! The mounts of a container: binds, mounts, the volumes of its image, those of other containers.

use serde_json::{Value, json};

use super::container::Mount;
use super::content::strings;
use super::create_body::CreateBody;
use super::refusal::Refusal;
use super::time::Time;
use super::{Model, Volume};

impl Model {
    /// Makes a volume that has a name.
    pub fn add_volume(&mut self, name: &str) {
        let created = self.now;
        self.volumes.entry(name.to_owned()).or_insert(Volume::new(created, false));
    }

    /// The mounts of a container that is created, its volumes made where they are missing.
    pub(super) fn mounts(
        &mut self,
        now: Time,
        body: &mut CreateBody,
    ) -> Result<Vec<Mount>, Refusal> {
        let mut mounts = Vec::new();
        for from in strings(body.host_config.get("VolumesFrom")) {
            let parent = from.split(':').next().unwrap_or_default();
            mounts.extend(self.found(parent)?.mounts.iter().cloned());
        }
        for bind in strings(body.host_config.get("Binds")) {
            let mount = self.bind(now, &bind)?;
            mounts.retain(|other: &Mount| other.destination != mount.destination);
            mounts.push(mount);
        }
        let of_binds = strings(body.host_config.get("Binds"));
        let wanted = body.host_config["Mounts"].as_array().cloned().unwrap_or_default();
        for spec in &wanted {
            let mount = self.mount(now, spec)?;
            let twice =
                of_binds.iter().any(|bind| bind.split(':').nth(1) == Some(&mount.destination));
            if twice {
                return Err(Refusal::bad_request(format!(
                    "Duplicate mount point: {}",
                    mount.destination
                )));
            }
            mounts.push(mount);
        }
        let paths = body.config["Volumes"].as_object().cloned().unwrap_or_default();
        for path in paths.keys() {
            let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
            if !mounts.iter().any(|mount| mount.destination == path) {
                mounts.push(self.anonymous(now, path, ""));
            }
        }
        Ok(mounts)
    }

    fn bind(&mut self, now: Time, text: &str) -> Result<Mount, Refusal> {
        let parts: Vec<&str> = text.split(':').collect();
        let invalid = || Refusal::bad_request(format!("invalid volume specification: '{text}'"));
        let (source, destination, mode) = match parts.as_slice() {
            [destination] => ("", *destination, "z"),
            [source, destination] => (*source, *destination, ""),
            [source, destination, mode] => (*source, *destination, *mode),
            _ => return Err(invalid()),
        };
        if !destination.starts_with('/') || destination == "/" {
            return Err(invalid());
        }
        let destination =
            if destination.len() > 1 { destination.trim_end_matches('/') } else { destination };
        let writable = !mode.split(',').any(|option| option == "ro");
        if source.is_empty() {
            return Ok(self.anonymous(now, destination, mode));
        }
        let is_bind = source.starts_with('/');
        if !is_bind {
            self.volumes.entry(source.to_owned()).or_insert(Volume::new(now, false));
        }
        let mode = if !is_bind && mode.is_empty() { "z" } else { mode };
        Ok(Mount {
            kind: if is_bind { "bind" } else { "volume" },
            name: if is_bind { String::new() } else { source.to_owned() },
            source: if is_bind { source.to_owned() } else { String::new() },
            destination: destination.to_owned(),
            mode: mode.to_owned(),
            writable,
            anonymous: false,
        })
    }

    fn mount(&mut self, now: Time, spec: &Value) -> Result<Mount, Refusal> {
        let text = |key: &str| spec[key].as_str().unwrap_or_default().to_owned();
        let (source, destination) = (text("Source"), text("Target"));
        let writable = spec["ReadOnly"] != json!(true);
        let invalid = |what: &str| {
            Refusal::bad_request(format!(
                "invalid mount config for type \"{}\": {what}",
                text("Type")
            ))
        };
        if destination.is_empty() {
            return Err(invalid("field Target must not be empty"));
        }
        let (kind, name, source) = match text("Type").as_str() {
            "volume" if source.is_empty() => {
                let mut mount = self.anonymous(now, &destination, "z");
                mount.writable = writable;
                return Ok(mount);
            }
            "volume" => {
                let volume = Volume::new(now, false);
                self.volumes.entry(source.clone()).or_insert(volume);
                ("volume", source, String::new())
            }
            "bind" if source.is_empty() => return Err(invalid("field Source must not be empty")),
            "bind" => ("bind", String::new(), source),
            "tmpfs" => ("tmpfs", String::new(), String::new()),
            _ => return Err(Refusal::bad_request("mount type unknown")),
        };
        let mode = if kind == "volume" { "z".to_owned() } else { String::new() };
        Ok(Mount { kind, name, source, destination, mode, writable, anonymous: false })
    }

    fn anonymous(&mut self, now: Time, destination: &str, mode: &str) -> Mount {
        let name = self.new_id("volume");
        self.volumes.insert(name.clone(), Volume::new(now, true));
        Mount {
            kind: "volume",
            name,
            source: String::new(),
            destination: destination.to_owned(),
            mode: mode.to_owned(),
            writable: true,
            anonymous: true,
        }
    }
}

impl Mount {
    /// As inspections (`whole`) and lists have it; these leave out where a new volume lies.
    pub(super) fn json(&self, whole: bool) -> Value {
        let propagation = if self.kind == "bind" { "rprivate" } else { "" };
        let rest = json!({
            "Destination": self.destination,
            "Mode": self.mode,
            "RW": self.writable,
            "Propagation": propagation,
        });
        let mut json = match self.kind {
            "volume" => {
                let path = format!("/var/lib/docker/volumes/{}/_data", self.name);
                let source = if whole || !self.anonymous { path } else { String::new() };
                json!({"Type": "volume", "Name": self.name, "Source": source, "Destination": "", "Driver": "local"})
            }
            kind => json!({"Type": kind, "Source": self.source}),
        };
        if let (Some(json), Value::Object(rest)) = (json.as_object_mut(), rest) {
            json.extend(rest);
        }
        json
    }
}
