//! Hosts in a listing: the inventory entry and the status of the host.

use serde_json::{Map, Value};
use wharf::v1::{Host, HostCordon, HostSource, HostStatus, HostUnreachable};

use super::labels;
use super::units::rfc3339;
use crate::duration;
use crate::json;
use crate::status::ErrorText;
use crate::table::Column;

/// Columns of `host ls`.
pub const COLUMNS: &[Column] = &[
    Column::new("HOST"),
    Column::new("STATUS"),
    Column::new("ENGINE"),
    Column::new("API"),
    Column::new("RUNNING").number(),
    Column::new("LATENCY").number(),
    Column::new("LABELS").shrinks(),
    Column::new("ADDRESS").wide(),
    Column::new("SOURCE").wide(),
    Column::new("TLS").wide(),
    Column::new("PLATFORM").wide(),
    Column::new("WARNINGS").wide().shrinks(),
    Column::new("ERROR").wide().shrinks(),
];

/// A host to show.
#[derive(Debug, Clone)]
pub struct Known {
    /// The inventory's entry.
    pub host: Host,
    /// The status of the host; `None` if it was not contacted.
    pub answer: Option<Result<HostStatus, ErrorText>>,
}

/// The version of the Engine, after its kind if that is not Docker: `podman 4.3.1`.
pub fn engine(status: &HostStatus) -> String {
    match status.engine_name.as_str() {
        "" | "docker" => status.engine_version.clone(),
        other => format!("{other} {}", status.engine_version),
    }
}

impl Known {
    /// The row of a table.
    pub fn row(&self) -> Vec<String> {
        let status = self.answer.as_ref().and_then(|answer| answer.as_ref().ok());
        let of = |text: fn(&HostStatus) -> String| status.map(text).unwrap_or_default();
        vec![
            self.host.name.clone(),
            match &self.answer {
                None if self.host.unreachable.is_some() => "unreachable".to_owned(),
                None => "not checked".to_owned(),
                Some(Ok(_)) => "reachable".to_owned(),
                Some(Err(error)) => error.short(),
            } + if self.host.cordon.is_some() { ", cordoned" } else { "" },
            of(engine),
            of(|status| status.api_version.clone()),
            of(|status| format!("{}/{}", status.containers_running, status.containers)),
            of(|status| {
                let latency = status.latency.as_ref().map(duration::milliseconds);
                latency.map(|latency| format!("{latency:.1}ms")).unwrap_or_default()
            }),
            labels(&self.host.labels),
            self.host.address.clone(),
            source(self.host.source()).to_owned(),
            tls(&self.host),
            of(|status| format!("{}/{}", status.os, status.arch)),
            self.warnings().join("; "),
            self.error().map(ErrorText::line).unwrap_or_default(),
        ]
    }

    /// The error of the check.
    pub fn error(&self) -> Option<&ErrorText> {
        self.answer.as_ref().and_then(|answer| answer.as_ref().err())
    }

    /// Warnings for the operator.
    pub fn warnings(&self) -> Vec<String> {
        let of_host = self.answer.iter().flatten().flat_map(|status| status.warnings.iter());
        let cordon = self.host.cordon.as_ref().map(cordon);
        let unreachable = self.host.unreachable.as_ref().map(unreachable);
        let first = cordon.into_iter().chain(unreachable);
        first.chain(self.host.warnings.iter().chain(of_host).cloned()).collect()
    }

    /// The line for programs: the entry, and `status` or `error` if the host was contacted.
    pub fn json(&self) -> String {
        let mut fields: Map<String, Value> = json::message(&self.host);
        match &self.answer {
            None => {}
            Some(Ok(status)) => {
                fields.insert("status".to_owned(), json::message(status).into());
            }
            Some(Err(error)) => {
                fields.insert("error".to_owned(), error.json());
            }
        }
        json::line(&self.host.name, fields)
    }
}

/// The source of an entry, for people.
pub fn source(source: HostSource) -> &'static str {
    match source {
        HostSource::File => "file",
        HostSource::Api => "api",
        HostSource::Local => "local",
        HostSource::Unspecified => "",
    }
}

/// Who cordoned a host, when, and why.
pub fn cordon(cordon: &HostCordon) -> String {
    let since = rfc3339(cordon.since.as_ref());
    let why = if cordon.reason.is_empty() { String::new() } else { format!(": {}", cordon.reason) };
    format!("cordoned by {} at {since}{why}", cordon.principal)
}

/// Since when a host is known to be unreachable.
fn unreachable(unreachable: &HostUnreachable) -> String {
    format!("unreachable since {}", rfc3339(unreachable.since.as_ref()))
}

fn tls(host: &Host) -> String {
    match &host.tls {
        None => String::new(),
        Some(tls) if !tls.group.is_empty() => format!("group {}", tls.group),
        Some(tls) if tls.client_certificate => "mutual".to_owned(),
        Some(_) => "server".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_host_that_does_not_answer_says_why_and_keeps_its_entry() {
        let host = Host { name: "web1".into(), address: "tcp://a:1".into(), ..Host::default() };
        let error = ErrorText::local(Code::Unavailable, "HOST_UNREACHABLE", "connection refused");
        let known = Known { host, answer: Some(Err(error)) };
        let row = known.row();
        assert_eq!(row.len(), COLUMNS.len());
        assert_eq!(row[..3], ["web1", "unreachable", ""]);
        assert_eq!(row[COLUMNS.len() - 1], "connection refused (HOST_UNREACHABLE)");
        assert!(known.json().starts_with(r#"{"host":"web1","name":"web1","address":"tcp://a:1""#));
        assert!(known.json().contains(r#""error":{"code":"UNAVAILABLE""#));
    }
}
