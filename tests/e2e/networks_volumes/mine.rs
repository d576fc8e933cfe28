//! What a test makes on Engines, and what these say of it.

use std::process::Command;

use anyhow::ensure;
use serde_json::Value;
use testbed::{Engine, tools, unique};

/// The networks, volumes, and containers of a test: all whose names begin with this one. They are
/// removed with it; a network that stayed would leave a network card on this machine.
pub struct Mine {
    pub name: String,
    engines: Vec<&'static Engine>,
    /// The first three numbers of the addresses of its network.
    pub prefix: String,
}

impl Mine {
    pub fn new(engines: impl IntoIterator<Item = &'static Engine>) -> Mine {
        let name = unique("mine");
        let number = name
            .bytes()
            .fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let prefix = format!("10.{}.{}", 128 + number % 64, number / 64 % 256);
        Mine { name, engines: engines.into_iter().collect(), prefix }
    }

    /// A name of this test.
    pub fn called(&self, what: &str) -> String {
        format!("{}-{what}", self.name)
    }

    /// The subnet of its network.
    pub fn subnet(&self) -> String {
        format!("{}.0/24", self.prefix)
    }

    async fn clean_up(&self) -> anyhow::Result<()> {
        for engine in &self.engines {
            let list = engine.get("/containers/json?all=1").await?;
            for container in list.as_array().into_iter().flatten() {
                if container["Names"].to_string().contains(&self.name) {
                    let id = container["Id"].as_str().unwrap_or_default();
                    let _ = engine.delete(&format!("/containers/{id}?force=1&v=1")).await;
                }
            }
            let networks = engine.get("/networks").await?;
            let volumes = engine.get("/volumes").await?["Volumes"].clone();
            for (list, path) in [(networks, "networks"), (volumes, "volumes")] {
                for item in list.as_array().into_iter().flatten() {
                    let name = item["Name"].as_str().unwrap_or_default();
                    if name.starts_with(&self.name) {
                        let _ = engine.delete(&format!("/{path}/{name}")).await;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                if let Ok(runtime) = runtime {
                    let _ = runtime.block_on(self.clean_up());
                }
            });
        });
    }
}

/// The networks or volumes of a name, as an Engine itself lists them.
pub async fn own(engine: &Engine, path: &str, name: &str) -> anyhow::Result<Vec<Value>> {
    let list = engine.get(path).await?;
    let list = if list.is_array() { list } else { list["Volumes"].clone() };
    Ok(list.as_array().into_iter().flatten().filter(|it| it["Name"] == name).cloned().collect())
}

/// What docker's own command line prints on an Engine.
pub fn docker(engine: &Engine, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(tools::system("docker")?)
        .arg("--host")
        .arg(engine.address())
        .args(arguments)
        .env_clear()
        .env("HOME", engine.directory())
        .output()?;
    ensure!(output.status.success(), "docker {arguments:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
