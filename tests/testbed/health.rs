//! Podman leaves its health checks to timers of systemd, and the testbed has none.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// Has podman run the health check of every running container once a second, whatever its interval
/// says, until this process is killed.
pub async fn watch(socket: &Path) -> anyhow::Result<()> {
    testbed::tools::install_crypto();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .timeout(Duration::from_secs(10))
        .unix_socket(socket)
        .build()?;
    let get = async |path: &str| -> reqwest::Result<Value> {
        client
            .get(format!("http://podman/v4.0.0/libpod/containers/{path}"))
            .send()
            .await?
            .json()
            .await
    };
    loop {
        // An error is no news: podman is being restarted, or the container is gone.
        if let Ok(list) = get("json").await {
            for container in list.as_array().into_iter().flatten() {
                let id = container["Id"].as_str().unwrap_or_default();
                let _ = get(&format!("{id}/healthcheck")).await;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
