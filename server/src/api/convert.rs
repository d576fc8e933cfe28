//! Converts messages of the API to checked values. Every wrong field is named; nothing unchecked
//! passes this module.

use std::fmt;
use std::time::{Duration, SystemTime};

use uuid::Uuid;
use wharf::v1;
use wharf::v1::host_selector::Selection as Wanted;

use super::problem::Finish;
use super::problem::Problem;
use crate::body::violation::Violations;
use crate::domain::{
    ContainerRef, HostName, ImageName, LabelSelector, NetworkRef, Reason, RegistryHost,
    RegistryLogin, Role, Secret, VolumeName,
};
use crate::engine::{EngineDocument, Filters, OutputSource};
use crate::fleet::select::{SelectError, Selection, Targets};

/// Maximum seconds of a `google.protobuf.Duration`: 10,000 years.
const LONGEST_DURATION: u64 = 315_576_000_000;

/// Maximum bytes of the filters of a call. They are sent in the request line, escaped.
const LONGEST_FILTERS: usize = 8192;
/// Longest labels by which containers are found, in bytes. All are sent in the request line.
const LONGEST_LABELS: usize = 4096;
/// Longest arguments of `ps`, in bytes.
const LONGEST_PS_ARGS: usize = 1000;

/// The options of a fan-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FanoutSettings {
    /// Longest time for one host.
    pub host_timeout: Option<Duration>,
    /// Hosts at the same time.
    pub max_parallel: Option<usize>,
    /// Whether some failures leave the call OK.
    pub allow_partial: Option<bool>,
    /// Whether a call that changes something also goes to cordoned hosts.
    pub include_cordoned: bool,
    /// Whether a read also tries hosts that are known to be unreachable.
    pub try_unreachable: bool,
    /// After which time a quick read is attempted once more.
    pub hedge_after: Option<Duration>,
}

/// A role, as the contract has it.
pub fn role(role: Role) -> v1::Role {
    match role {
        Role::Reader => v1::Role::Reader,
        Role::Operator => v1::Role::Operator,
        Role::Admin => v1::Role::Admin,
    }
}

/// Refuses a limit for the hosts at the same time in a call whose work does not end by itself.
/// `when` says when there may be one.
pub fn refuse_host_limit(
    violations: &mut Violations,
    fanout: Option<&v1::FanoutOptions>,
    when: &str,
) {
    if fanout.is_some_and(|fanout| fanout.max_parallel > 0) {
        let problem = format!("{when}, because hosts that wait would never have their turn");
        violations.add("fanout.max_parallel", problem);
    }
}

/// The options of a fan-out.
pub fn fanout_options(options: Option<&v1::FanoutOptions>) -> Result<FanoutSettings, Problem> {
    let default = v1::FanoutOptions::default();
    let options = options.unwrap_or(&default);
    let positive = |field: &str, given: Option<&prost_types::Duration>| {
        let checked = |given| match duration(given)? {
            Duration::ZERO => Err("must be greater than zero"),
            time => Ok(time),
        };
        let invalid = |error| Problem::invalid_field(field, error);
        given.map(|given| checked(given).map_err(invalid)).transpose()
    };
    let host_timeout = positive("fanout.host_timeout", options.host_timeout.as_ref())?;
    let hedge_after = positive("fanout.hedge_after", options.hedge_after.as_ref())?;
    let max_parallel = (options.max_parallel > 0).then_some(options.max_parallel as usize);
    let v1::FanoutOptions { allow_partial, include_cordoned, try_unreachable, .. } = *options;
    Ok(FanoutSettings {
        host_timeout,
        max_parallel,
        allow_partial,
        include_cordoned,
        try_unreachable,
        hedge_after,
    })
}

/// The ID that makes a retry safe; `None` if there is none.
pub fn request_id(text: &str) -> Result<Option<Uuid>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    match Uuid::try_parse(text) {
        Ok(id) if !id.is_nil() => Ok(Some(id)),
        _ => Err(Problem::invalid_field(
            "request_id",
            "must be a UUID, such as 0e2a7f5e-3f4c-4d0e-9d43-1f6f0c1d2b3a, or empty",
        )),
    }
}

/// The selected hosts. The selection itself refuses an unset target.
pub fn selection(targets: Option<&v1::HostSelector>) -> Result<Selection, Problem> {
    let Some(selector) = targets else { return Ok(Selection::default()) };
    let mut violations = Violations::default();
    let targets = match &selector.selection {
        None => None,
        Some(Wanted::Hosts(hosts)) => {
            Some(Targets::Hosts(host_names(&mut violations, "targets.hosts.names", &hosts.names)))
        }
        Some(Wanted::Labels(text)) => {
            violations.check("targets.labels", LabelSelector::parse(text)).map(Targets::Labels)
        }
        Some(Wanted::All(v1::AllHosts {})) => Some(Targets::All),
    };
    let exclude = host_names(&mut violations, "targets.exclude", &selector.exclude);
    violations.finish()?;
    Ok(Selection { targets, exclude })
}

fn host_names(violations: &mut Violations, field: &str, names: &[String]) -> Vec<HostName> {
    let mut valid = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        valid.extend(violations.check(&format!("{field}[{index}]"), HostName::parse(name)));
    }
    valid
}

/// Why a selection has no hosts.
pub fn select_problem(error: &SelectError) -> Problem {
    let reason = match error {
        SelectError::Unset => return Problem::invalid_field("targets", error),
        SelectError::UnknownHosts(_) => Reason::HostNotFound,
        SelectError::EmptyInventory => Reason::NoHosts,
        SelectError::NoneMatched { .. } | SelectError::AllExcluded => Reason::NoHostsMatched,
        SelectError::Cordoned(_) => Reason::HostCordoned,
    };
    Problem::new(reason, error.to_string())
}

/// The field `containers`: names or IDs, at least one, without duplicates.
pub fn container_refs(violations: &mut Violations, names: &[String]) -> Vec<ContainerRef> {
    each_name(violations, "containers", names, ContainerRef::parse)
}

/// The field `labels`: labels by which containers are found, each `KEY` or `KEY=VALUE`.
pub fn container_labels(violations: &mut Violations, labels: &[String]) -> Vec<String> {
    if labels.iter().map(String::len).sum::<usize>() > LONGEST_LABELS {
        let problem = format!("must not be longer than {LONGEST_LABELS} bytes together");
        violations.add("labels", problem);
    }
    for (index, label) in labels.iter().enumerate() {
        let key = label.split('=').next().unwrap_or_default();
        if key.trim().is_empty() || label.contains(char::is_control) {
            let problem = "must be KEY or KEY=VALUE, on one line";
            violations.add(format!("labels[{index}]"), problem);
        }
    }
    labels.to_vec()
}

/// The field `images`: references or IDs, at least one, without duplicates.
pub fn image_names(violations: &mut Violations, names: &[String]) -> Vec<ImageName> {
    each_name(violations, "images", names, ImageName::parse)
}

/// The field `networks`: names or IDs, at least one, without duplicates.
pub fn network_refs(violations: &mut Violations, names: &[String]) -> Vec<NetworkRef> {
    each_name(violations, "networks", names, NetworkRef::parse)
}

/// The field `volumes`: names, at least one, without duplicates.
pub fn volume_names(violations: &mut Violations, names: &[String]) -> Vec<VolumeName> {
    each_name(violations, "volumes", names, VolumeName::parse)
}

fn each_name<T: PartialEq, E: fmt::Display>(
    violations: &mut Violations,
    field: &str,
    names: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
) -> Vec<T> {
    if names.is_empty() {
        violations.add(field, "must name at least one");
    }
    let mut valid = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        if let Some(value) = violations.check(&format!("{field}[{index}]"), parse(name))
            && !valid.contains(&value)
        {
            valid.push(value);
        }
    }
    valid
}

/// Filters of a listing or prune; an entry without values is wrong.
pub fn filters(violations: &mut Violations, filters: &[v1::Filter]) -> Filters {
    let mut valid = Filters::new();
    let texts = |filter: &v1::Filter| filter.values.iter().map(String::len).sum::<usize>();
    if filters.iter().map(|filter| filter.key.len() + texts(filter)).sum::<usize>()
        > LONGEST_FILTERS
    {
        violations
            .add("filters", format!("must not be longer than {LONGEST_FILTERS} bytes together"));
        return valid;
    }
    let broken = |text: &String| text.contains(char::is_control);
    for (index, filter) in filters.iter().enumerate() {
        if filter.key.is_empty() {
            violations.add(format!("filters[{index}].key"), "must not be empty");
        } else if filter.values.is_empty() {
            violations.add(format!("filters[{index}].values"), "must have at least one value");
        } else if broken(&filter.key) {
            violations.add(format!("filters[{index}].key"), "must not contain control characters");
        } else if let Some(place) = filter.values.iter().position(broken) {
            let field = format!("filters[{index}].values[{place}]");
            violations.add(field, "must not contain control characters");
        } else {
            valid.entry(filter.key.clone()).or_default().extend(filter.values.iter().cloned());
        }
    }
    valid
}

/// The arguments of `ps` on the host; `None` for the empty text.
pub fn ps_args(violations: &mut Violations, text: &str) -> Option<String> {
    if text.len() > LONGEST_PS_ARGS || text.contains(char::is_control) {
        violations.add("ps_args", "must be one line of at most 1000 bytes");
        return None;
    }
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// The credentials of a call. `fallback` is the registry if they name none.
pub fn login(
    violations: &mut Violations,
    field: &str,
    credentials: &v1::RegistryCredentials,
    fallback: Option<RegistryHost>,
) -> Option<RegistryLogin> {
    let registry = match (credentials.registry.is_empty(), fallback) {
        (true, Some(fallback)) => fallback,
        (true, None) => {
            violations.add(
                format!("{field}.registry"),
                "must name the registry, such as registry.example.com:5000",
            );
            return None;
        }
        (false, _) => violations
            .check(&format!("{field}.registry"), RegistryHost::parse(&credentials.registry))?,
    };
    let login = RegistryLogin::new(
        registry,
        &credentials.username,
        Secret::new(credentials.password.as_str()),
        Secret::new(credentials.identity_token.as_str()),
    );
    violations.check(field, login)
}

/// A duration of the API: not negative, and in protobuf's range. Does not use the conversion of
/// `prost_types`, which panics for the minimum.
pub fn duration(duration: &prost_types::Duration) -> Result<Duration, &'static str> {
    match (u64::try_from(duration.seconds), u32::try_from(duration.nanos)) {
        (Ok(seconds @ ..=LONGEST_DURATION), Ok(nanos @ ..=999_999_999)) => {
            Ok(Duration::new(seconds, nanos))
        }
        // Without seconds, negative nanos are a well-formed duration: one below 0s.
        _ if !(-999_999_999..=999_999_999).contains(&duration.nanos)
            || (duration.seconds > 0 && duration.nanos < 0) =>
        {
            Err("is malformed: nanos must be from 0 to 999,999,999")
        }
        _ => Err("must be a duration from 0s to 10,000 years"),
    }
}

/// A duration in whole seconds, which the Engine requires for stops.
pub fn whole_seconds(
    violations: &mut Violations,
    field: &str,
    value: Option<&prost_types::Duration>,
) -> Option<i64> {
    let value = value?;
    if value.nanos != 0 {
        violations.add(field, "must be whole seconds; the Engine does not accept fractions");
        return None;
    }
    let duration = violations.check(field, duration(value))?;
    // The Engine turns it into nanoseconds, which overflow above 292 years.
    let seconds = i32::try_from(duration.as_secs()).map_err(|_| "must be at most 68 years");
    violations.check(field, seconds).map(i64::from)
}

/// The output to which a container or a command wrote.
pub fn output_source(source: OutputSource) -> v1::OutputSource {
    match source {
        OutputSource::Stdout => v1::OutputSource::Stdout,
        OutputSource::Stderr => v1::OutputSource::Stderr,
    }
}

/// A point in time from Unix seconds.
pub fn timestamp(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

/// A point in time as the Engine's inspections write it; `None` for the zero time.
pub fn timestamp_from_text(text: &str) -> Option<prost_types::Timestamp> {
    let timestamp: prost_types::Timestamp = text.parse().ok()?;
    // Go's zero time, the year 1, means "never".
    (timestamp.seconds > 0).then_some(timestamp)
}

/// A point in time of this machine.
pub fn system_time(time: SystemTime) -> prost_types::Timestamp {
    time.into()
}

/// The Engine's own JSON.
pub fn engine_json(document: EngineDocument) -> v1::EngineJson {
    let api_version = document.api_version.to_string();
    v1::EngineJson { json: document.json, api_version }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn filters_that_no_request_line_could_hold_are_refused() {
        let of = |key: &str, values: Vec<String>| {
            let mut violations = Violations::default();
            let filter = v1::Filter { key: key.to_owned(), values };
            filters(&mut violations, &[filter]);
            violations.finish().map_err(|problem| problem.message)
        };
        assert_eq!(of("label", vec!["env=prod".to_owned(), "größe=\"1\"".to_owned()]), Ok(()));
        for (key, values) in [
            ("name", vec!["x".repeat(10_000)]),
            ("name", (0..2000).map(|index| format!("web{index}")).collect()),
            (&"k".repeat(10_000), vec!["x".to_owned()]),
        ] {
            assert_eq!(
                of(key, values),
                Err("filters: must not be longer than 8192 bytes together".to_owned())
            );
        }
        let message = of("name", vec!["a\0".to_owned()]).unwrap_err();
        assert_eq!(message, "filters[0].values[0]: must not contain control characters");
        let message = of("na\nme", vec!["a".to_owned()]).unwrap_err();
        assert_eq!(message, "filters[0].key: must not contain control characters");
    }

    #[test]
    fn arguments_of_ps_are_a_short_line() {
        let of = |text: &str| {
            let mut violations = Violations::default();
            (ps_args(&mut violations, text), violations.finish().is_ok())
        };
        assert_eq!(of(""), (None, true));
        assert_eq!(of("-eo pid,args"), (Some("-eo pid,args".to_owned()), true));
        for text in ["-ef\n", "-e\0", &"x".repeat(1001)] {
            assert_eq!(of(text), (None, false), "{text}");
        }
    }

    #[test]
    fn durations_are_those_of_protobuf_and_not_negative() {
        let of = |seconds, nanos| duration(&prost_types::Duration { seconds, nanos });
        assert_eq!(of(1, 500_000_000), Ok(Duration::from_millis(1500)));
        assert_eq!(of(315_576_000_000, 0), Ok(Duration::from_secs(315_576_000_000)));
        for (seconds, nanos) in [
            (i64::MIN, 0),
            (i64::MIN, i32::MIN),
            (-1, 0),
            (0, -1),
            (1, -1),
            (0, 1_000_000_000),
            (315_576_000_001, 0),
            (i64::MAX, i32::MAX),
        ] {
            assert!(of(seconds, nanos).is_err(), "{seconds} {nanos}");
        }
        for (seconds, nanos, word) in [
            (1, 1_000_000_000, "nanos"),
            (1, -1, "nanos"),
            (0, -1, "10,000 years"),
            (-1, 0, "10,000 years"),
        ] {
            let problem = of(seconds, nanos).unwrap_err();
            assert!(problem.contains(word), "{seconds} {nanos}: {problem}");
        }
    }

    #[test]
    fn a_stop_takes_whole_seconds_that_the_engine_can_count() {
        let of = |seconds, nanos| {
            let mut violations = Violations::default();
            let value = prost_types::Duration { seconds, nanos };
            let seconds = whole_seconds(&mut violations, "timeout", Some(&value));
            (seconds, violations.finish().is_ok())
        };
        assert_eq!(of(0, 0), (Some(0), true));
        assert_eq!(of(i64::from(i32::MAX), 0), (Some(i64::from(i32::MAX)), true));
        for (seconds, nanos) in [(0, 1), (-1, 0), (i64::MIN, 0), (i64::from(i32::MAX) + 1, 0)] {
            assert_eq!(of(seconds, nanos), (None, false), "{seconds} {nanos}");
        }
    }

    #[test]
    fn an_empty_inventory_is_not_a_selection_that_matches_nothing() {
        let empty = select_problem(&SelectError::EmptyInventory);
        assert_eq!((empty.code, empty.reason), (Code::FailedPrecondition, Reason::NoHosts));
        let excluded = select_problem(&SelectError::AllExcluded);
        assert_eq!((excluded.code, excluded.reason), (Code::NotFound, Reason::NoHostsMatched));
    }
}
