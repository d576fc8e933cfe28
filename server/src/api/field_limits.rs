//! The size limits of request fields. One table, checked before a request is decoded: large input
//! takes no memory, and no host is touched.
//!
//! Every text has a maximum number of bytes, and every repeated field a maximum number of entries.
//! Fields that are not in [`OTHERS`] have the [`DEFAULT`], so new fields have limits from the
//! start.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::encoded::{Malformed, Reader, Value};
use crate::body::violation::FieldViolation;

/// The limits of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Bytes of a text: of each entry, and of each key and value of a map.
    pub bytes: usize,
    /// Entries, if it is repeated or a map.
    pub entries: usize,
}

/// Of every field without a line of its own. Names, references, addresses and selectors are far
/// shorter.
pub const DEFAULT: Limit = Limit { bytes: 4 << 10, entries: 1000 };

/// The kernel's limit for one argument or variable is 128 KiB.
const ARGUMENTS: Limit = Limit { bytes: 128 << 10, entries: 10_000 };
/// Maximum number of hosts in one call: as many as it can contact at the same time.
const HOSTS: Limit = Limit { entries: 10_000, ..DEFAULT };
/// One for each container whose log is read.
const POSITIONS: Limit = Limit { entries: 10_000, ..DEFAULT };
/// One for each port that there is.
const PORTS: Limit = Limit { entries: 65_536, ..DEFAULT };
const CERTIFICATE: Limit = Limit { bytes: 256 << 10, ..DEFAULT };
const PASSWORD: Limit = Limit { bytes: 64 << 10, ..DEFAULT };
/// Some tools store whole configurations in them.
const LABELS: Limit = Limit { bytes: 256 << 10, ..DEFAULT };
/// A seccomp profile is passed as its JSON.
const PROFILES: Limit = Limit { bytes: 1 << 20, ..DEFAULT };
/// As much as the inspection of a container may have.
const ENGINE_JSON: Limit = Limit { bytes: 3 << 20, ..DEFAULT };

/// Of standard input, or of an upload, in one message.
const INPUT: Limit = Limit { bytes: 1 << 20, ..DEFAULT };

/// The fields that need more than the default. They are also listed in docs/api.md.
pub const OTHERS: [(&str, Limit); 30] = [
    ("BuildImageRequest.build_args", ARGUMENTS),
    ("BuildImageRequest.chunk", INPUT),
    ("BuildImageRequest.labels", LABELS),
    ("CommandSpec.command", ARGUMENTS),
    ("CommandSpec.env", ARGUMENTS),
    ("ContainerSpec.command", ARGUMENTS),
    ("ContainerSpec.entrypoint", ARGUMENTS),
    ("ContainerSpec.env", ARGUMENTS),
    ("ContainerSpec.expose", PORTS),
    ("ContainerSpec.labels", LABELS),
    ("ContainerSpec.ports", PORTS),
    ("ContainerSpec.security_opt", PROFILES),
    ("EngineJson.json", ENGINE_JSON),
    ("ExecRequest.stdin", INPUT),
    ("HealthCheck.test", ARGUMENTS),
    ("HostNames.names", HOSTS),
    ("HostSelector.exclude", HOSTS),
    ("ListContainersRequest.min_generation", HOSTS),
    ("LoadImagesRequest.chunk", INPUT),
    ("RegistryCredentials.identity_token", PASSWORD),
    ("RegistryCredentials.password", PASSWORD),
    ("RolloutPolicy.drain", ARGUMENTS),
    ("RolloutPolicy.verify", ARGUMENTS),
    ("SendSessionInputRequest.stdin", INPUT),
    ("StreamEventsRequest.after", HOSTS),
    ("StreamLogsRequest.after", POSITIONS),
    ("TlsMaterial.ca_pem", CERTIFICATE),
    ("TlsMaterial.certificate_pem", CERTIFICATE),
    ("TlsMaterial.private_key_pem", CERTIFICATE),
    ("UploadArchiveRequest.chunk", INPUT),
];

/// Maximum number of fields to report.
const MOST_VIOLATIONS: usize = 6;

/// The limit of a field.
pub fn limit(field: &FieldDescriptor) -> Limit {
    let name = field.full_name().strip_prefix("wharf.v1.").unwrap_or(field.full_name());
    let found = OTHERS.binary_search_by(|(other, _)| other.cmp(&name));
    found.map_or(DEFAULT, |place| OTHERS[place].1)
}

/// The fields that are too long in an encoded message. The decoder refuses what cannot be decoded.
pub fn violations(message: &MessageDescriptor, encoded: &[u8]) -> Vec<FieldViolation> {
    let mut walk = Walk::default();
    let _ = walk.message(message, None, &mut Seen::default(), None, encoded);
    walk.0
}

/// Findings so far.
#[derive(Default)]
struct Walk(Vec<FieldViolation>);

/// Entries of the repeated fields of one message, by number. The decoder merges a message that
/// comes in pieces, so the pieces count together.
#[derive(Default)]
struct Seen {
    entries: HashMap<u32, usize>,
    messages: HashMap<u32, Seen>,
}

/// The walk is over: the message is broken, or enough was found.
struct Stop;

impl From<Malformed> for Stop {
    fn from(_: Malformed) -> Self {
        Self
    }
}

/// The path of a field in the request.
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    name: &'a str,
    /// Its place in a list.
    index: Option<usize>,
}

impl Walk {
    /// `limit`: of the map whose entry the message is.
    fn message(
        &mut self,
        message: &MessageDescriptor,
        map: Option<Limit>,
        seen: &mut Seen,
        parent: Option<&Path<'_>>,
        encoded: &[u8],
    ) -> Result<(), Stop> {
        let mut left = Reader(encoded);
        while !left.is_empty() {
            let (number, form) = left.key()?;
            let value = match left.value(number, form)? {
                Value::Bytes(bytes) => Some(bytes),
                Value::Number(_) | Value::Fixed => None,
                Value::Group => continue,
            };
            let Some(field) = message.get_field(number) else { continue };
            let limit = map.unwrap_or_else(|| limit(&field));
            let mut path = Path { parent, name: field.name(), index: None };
            if field.is_list() || field.is_map() {
                let entries = seen.entries.entry(number).or_default();
                path.index = field.is_list().then_some(*entries);
                *entries += value.map_or(1, |value| packed(&field.kind(), value));
                if *entries > limit.entries {
                    path.index = None;
                    self.add(&path, format!("must have at most {} entries", limit.entries))?;
                    return Err(Stop);
                }
            }
            let Some(value) = value else { continue };
            match field.kind() {
                Kind::String | Kind::Bytes if value.len() > limit.bytes => {
                    let (most, length) = (limit.bytes, value.len());
                    self.add(&path, format!("must be at most {most} bytes, but has {length}"))?;
                }
                Kind::Message(entry) if field.is_map() => {
                    let mut seen = Seen::default();
                    self.message(&entry, Some(limit), &mut seen, Some(&path), value)?;
                }
                Kind::Message(inner) if field.is_list() => {
                    self.message(&inner, None, &mut Seen::default(), Some(&path), value)?;
                }
                Kind::Message(inner) => {
                    let seen = seen.messages.entry(number).or_default();
                    self.message(&inner, None, seen, Some(&path), value)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path<'_>, description: String) -> Result<(), Stop> {
        self.0.push(FieldViolation { field: path.to_string(), description });
        if self.0.len() > MOST_VIOLATIONS { Err(Stop) } else { Ok(()) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(formatter, "{parent}.")?;
        }
        formatter.write_str(self.name)?;
        match self.index {
            Some(index) => write!(formatter, "[{index}]"),
            None => Ok(()),
        }
    }
}

/// The entries in one value of a repeated field: numbers may be packed.
fn packed(kind: &Kind, value: &[u8]) -> usize {
    match kind {
        Kind::String | Kind::Bytes | Kind::Message(_) => 1,
        Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => value.len() / 4,
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => value.len() / 8,
        // The last byte of each number has no high bit.
        _ => value.iter().filter(|byte| **byte < 0x80).count(),
    }
}
