//! The calls about volumes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharf_server::engine::{ApiVersion, ErrorKind};

use super::filters::Filters;
use super::refusal::Refusal;
use super::time::Time;
use super::{Model, Volume};

/// Newer Engines mark volumes without a name, and leave others in a prune.
const MARKED: u16 = 42;

impl Model {
    /// `GET /volumes`, the list in it.
    pub fn list_volumes(
        &self,
        version: ApiVersion,
        filters: &Filters,
    ) -> Result<Vec<Value>, Refusal> {
        filters.only(&["dangling", "driver", "label", "name"])?;
        let dangling = filters.flag("dangling")?;
        let matches = |(name, volume): &(&String, &Volume)| {
            filters.any("name", |wanted| name.contains(wanted))
                && filters.any("driver", |driver| driver == "local")
                && filters.labels_match(&volume.labels_for(version))
                && dangling.is_none_or(|wanted| wanted == self.volume_users(name).is_empty())
        };
        let found = self.volumes.iter().filter(matches);
        Ok(found.map(|(name, volume)| volume.json(version, name)).collect())
    }

    /// `GET /volumes/{name}`.
    pub fn inspect_volume(&self, version: ApiVersion, name: &str) -> Result<Value, Refusal> {
        let volume = self.volumes.get(name).ok_or_else(|| no_such_volume(name))?;
        Ok(volume.json(version, name))
    }

    /// `POST /volumes/create`: an existing one is given back as it is.
    pub fn create_volume(
        &mut self,
        now: Time,
        version: ApiVersion,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let name = match body["Name"].as_str().unwrap_or_default() {
            "" => self.new_id("volume"),
            name => name.to_owned(),
        };
        let driver = body["Driver"].as_str().unwrap_or_default();
        if !matches!(driver, "" | "local") {
            let message = format!(
                "create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found"
            );
            return Err(Refusal::new(404, ErrorKind::Unsupported, message));
        }
        let map = |key: &str| -> BTreeMap<String, String> {
            serde_json::from_value(body[key].clone()).unwrap_or_default()
        };
        let anonymous = body["Name"].as_str().unwrap_or_default().is_empty();
        let made = Volume {
            options: map("DriverOpts"),
            labels: map("Labels"),
            ..Volume::new(now, anonymous)
        };
        if !self.volumes.contains_key(&name) {
            self.emit("volume", "create", &name, &[("driver", "local")]);
        }
        let volume = self.volumes.entry(name.clone()).or_insert(made);
        Ok(volume.json(version, &name))
    }

    /// `DELETE /volumes/{name}`.
    pub fn remove_volume(&mut self, name: &str, force: bool) -> Result<(), Refusal> {
        if !self.volumes.contains_key(name) {
            return if force { Ok(()) } else { Err(no_such_volume(name)) };
        }
        let users = self.volume_users(name);
        if !users.is_empty() {
            let message = format!("remove {name}: volume is in use - [{}]", users.join(", "));
            return Err(Refusal::conflict(message));
        }
        self.volumes.remove(name);
        self.emit("volume", "destroy", name, &[("driver", "local")]);
        Ok(())
    }

    /// `POST /volumes/prune`; gives the names of what is gone.
    pub fn prune_volumes(
        &mut self,
        version: ApiVersion,
        filters: &Filters,
    ) -> Result<Vec<String>, Refusal> {
        let known = ["label", "label!", "all"];
        filters.only(if version.minor < MARKED { &known[..2] } else { &known })?;
        let all = version.minor < MARKED || filters.flag("all")? == Some(true);
        let goes = |(name, volume): &(&String, &Volume)| {
            (all || volume.anonymous)
                && volume.options.is_empty()
                && self.volume_users(name).is_empty()
                && filters.labels_match(&volume.labels_for(version))
        };
        let names: Vec<String> =
            self.volumes.iter().filter(goes).map(|(name, _)| name.clone()).collect();
        self.volumes.retain(|name, _| !names.contains(name));
        Ok(names)
    }

    /// The IDs of the containers that have a volume, running or not.
    fn volume_users(&self, name: &str) -> Vec<String> {
        self.containers()
            .filter(|it| it.mounts.iter().any(|mount| mount.name == name))
            .map(|it| it.id.clone())
            .collect()
    }
}

impl Volume {
    fn labels_for(&self, version: ApiVersion) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        if self.anonymous && version.minor >= MARKED {
            labels.insert("com.docker.volume.anonymous".to_owned(), String::new());
        }
        labels
    }

    fn json(&self, version: ApiVersion, name: &str) -> Value {
        let labels = self.labels_for(version);
        let or_null = |map: &BTreeMap<String, String>| {
            if map.is_empty() { Value::Null } else { json!(map) }
        };
        json!({
            "CreatedAt": self.created.rfc3339(),
            "Driver": "local",
            "Labels": or_null(&labels),
            "Mountpoint": format!("/var/lib/docker/volumes/{name}/_data"),
            "Name": name,
            "Options": or_null(&self.options),
            "Scope": "local",
        })
    }
}

fn no_such_volume(name: &str) -> Refusal {
    let message = format!("get {name}: no such volume");
    Refusal::new(404, ErrorKind::VolumeNotFound, message)
}
