//! Where traces go, and the variables of OpenTelemetry that say so too.

use std::fmt;

use url::Url;

use super::{ConfigError, Environment};
use crate::domain::quoted;

/// The endpoint in the order of precedence, below wharfd's own variable.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// The protocol that whoever set the endpoint means.
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];

/// A collector of traces that speaks OTLP over gRPC, such as `http://127.0.0.1:4317`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    endpoint: String,
    is_secured: bool,
}

impl Collector {
    /// Parses `http://HOST:PORT`, or `https://HOST:PORT` for TLS.
    ///
    /// # Errors
    /// The problem, and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = |problem: &str| {
            format!(
                "{} {problem}: write http://HOST:PORT, such as http://127.0.0.1:4317, or https://HOST:PORT",
                quoted(text)
            )
        };
        let url = Url::parse(text).map_err(|_| refused("is no URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            // The text is left out: it has a password.
            return Err("must have no credentials: set them in OTEL_EXPORTER_OTLP_HEADERS, such as \"authorization=Bearer TOKEN\"".to_owned());
        }
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(refused("is not the address of a collector"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(refused("has a path, which OTLP over gRPC has not"));
        }
        let is_secured = url.scheme() == "https";
        Ok(Self { endpoint: url.as_str().trim_end_matches('/').to_owned(), is_secured })
    }

    /// The URL, without a path.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether it uses TLS.
    #[must_use]
    pub fn is_secured(&self) -> bool {
        self.is_secured
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.endpoint)
    }
}

/// The endpoint that OpenTelemetry's own variables give, and which of them.
pub(super) fn of_opentelemetry(
    environment: &Environment,
) -> Result<Option<(String, &'static str)>, ConfigError> {
    let text = |name: &'static str| {
        let value = environment.get(name)?;
        Some(match value.into_string() {
            Ok(value) => Ok((value, name)),
            Err(_) => Err(ConfigError::value(name, "is not UTF-8; write it in UTF-8")),
        })
    };
    let first = |names: [&'static str; 2]| names.into_iter().find_map(text).transpose();
    let is_disabled = text("OTEL_SDK_DISABLED").transpose()?;
    if is_disabled.is_some_and(|(value, _)| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let Some(endpoint) = first(ENDPOINTS)? else { return Ok(None) };
    match first(PROTOCOLS)? {
        Some((protocol, by)) if protocol != "grpc" => {
            let problem = format!(
                "{} is not supported; use grpc, with the port of the collector for it, usually 4317, or unset {}",
                quoted(&protocol),
                endpoint.1
            );
            Err(ConfigError::value(by, problem))
        }
        _ => Ok(Some(endpoint)),
    }
}
