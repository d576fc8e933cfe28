//! Probes of what runs on a host, for the gates of rollouts: a plain HTTP request, a TCP
//! connection. Here because this folder is the only user of reqwest.

use std::sync::LazyLock;
use std::time::Duration;

use reqwest::redirect::Policy;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::transport::innermost;

/// Bytes of a body to read: a probe looks for a word.
const BODY_CAP: usize = 64 << 10;

/// No proxy, no redirects, and no certificates: it connects only to the given target. No connection
/// is kept, because a probe checks whether a new one is accepted.
static CLIENT: LazyLock<reqwest::Result<reqwest::Client>> = LazyLock::new(|| {
    reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .redirect(Policy::none())
        .tls_certs_only([])
        .pool_max_idle_per_host(0)
        .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")))
        .build()
});

/// `GET http://{authority}{path}`: the status and the start of the body, or why there is no
/// response, as text.
pub async fn get(authority: &str, path: &str, limit: Duration) -> Result<(u16, String), String> {
    let client = CLIENT.as_ref().map_err(ToString::to_string)?;
    let url = format!("http://{authority}{path}");
    let attempt = async {
        let mut response = client.get(&url).send().await.map_err(|error| innermost(&error))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while body.len() < BODY_CAP
            && let Some(chunk) = response.chunk().await.map_err(|error| innermost(&error))?
        {
            body.extend_from_slice(&chunk);
        }
        body.truncate(BODY_CAP);
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    match timeout(limit, attempt).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}

/// Opens a TCP connection to `authority`; the error is in words.
pub async fn connect(authority: &str, limit: Duration) -> Result<(), String> {
    match timeout(limit, TcpStream::connect(authority)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {limit:?}")),
    }
}
