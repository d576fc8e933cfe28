//! The tests' own requests to an Engine: list, create another container, and clean up.

use anyhow::Context;
use serde_json::Value;
use testbed::Engine;

/// What an Engine says of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub id: String,
    /// As given at its creation.
    pub image: String,
    pub status: String,
    pub restart: String,
    pub started_at: String,
}

/// Removes what has a name that begins so. Networks too: one that stayed would leave a network card
/// on this machine.
pub async fn remove(engine: &Engine, prefix: &str) -> anyhow::Result<()> {
    for found in containers(engine, prefix).await? {
        // One that is being removed already is as good as gone.
        let _ = engine.delete(&format!("/containers/{}?force=1&v=1", found.id)).await;
    }
    for network in engine.get("/networks").await?.as_array().into_iter().flatten() {
        let name = network["Name"].as_str().unwrap_or_default();
        if name.starts_with(prefix) {
            engine.delete(&format!("/networks/{name}")).await?;
        }
    }
    Ok(())
}

/// Creates a container and starts it.
pub async fn create(engine: &Engine, name: &str, body: Value) -> anyhow::Result<()> {
    let created = engine.post(&format!("/containers/create?name={name}"), Some(body)).await?;
    let id = created["Id"].as_str().context("an answer without an ID")?;
    engine.post(&format!("/containers/{id}/start"), None).await?;
    Ok(())
}

/// The containers whose names begin with this one, by name.
pub async fn containers(engine: &Engine, name: &str) -> anyhow::Result<Vec<Found>> {
    let list = engine.get("/containers/json?all=1").await?;
    let mut found = Vec::new();
    for container in list.as_array().into_iter().flatten() {
        let of_it = container["Names"][0].as_str().unwrap_or_default();
        if !of_it.trim_start_matches('/').starts_with(name) {
            continue;
        }
        // One that went meanwhile is not there.
        let id = container["Id"].as_str().unwrap_or_default();
        let Some(inspected) = engine.container(id).await? else { continue };
        let text = |pointer: &str| {
            let value = inspected.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        found.push(Found {
            name: text("/Name").trim_start_matches('/').to_owned(),
            id: text("/Id"),
            image: text("/Config/Image"),
            status: text("/State/Status"),
            restart: text("/HostConfig/RestartPolicy/Name"),
            started_at: text("/State/StartedAt"),
        });
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}
