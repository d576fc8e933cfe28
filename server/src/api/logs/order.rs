//! What a request asks for, checked. Pure.

use std::collections::BTreeMap;

use wharf::v1;

use super::position::Position;
use crate::api::convert;
use crate::api::times::since_and_until;
use crate::body::violation::Violations;
use crate::domain::{ContainerRef, HostName};
use crate::engine::{LogQuery, LogTime};

/// The logs to read.
#[derive(Debug)]
pub struct Order {
    /// Which containers.
    pub which: Which,
    /// Wait for new lines.
    pub follow: bool,
    /// Put times before lines.
    pub timestamps: bool,
    /// When to stop following.
    pub until: Option<LogTime>,
    since: Option<LogTime>,
    tail: Option<u32>,
    stdout: bool,
    stderr: bool,
    after: BTreeMap<HostName, BTreeMap<String, Position>>,
}

/// The containers of each host.
#[derive(Debug, PartialEq, Eq)]
pub enum Which {
    /// By name or ID.
    Named(Vec<ContainerRef>),
    /// With these labels.
    Labelled(Vec<String>),
}

/// How far a log was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Not at all.
    New,
    /// Not at all, but the caller knows that it is to have everything from the beginning.
    Whole,
    /// Up to here.
    After(Position),
}

impl Order {
    /// Reads a request.
    pub fn read(violations: &mut Violations, message: &v1::StreamLogsRequest) -> Option<Self> {
        let which = which(violations, message);
        let (since, until) =
            since_and_until(violations, message.since.as_ref(), message.until.as_ref());
        if message.follow {
            let fanout = message.fanout.as_ref();
            convert::refuse_host_limit(violations, fanout, "cannot be set with follow");
        }
        let (mut stdout, mut stderr) = (message.sources.is_empty(), message.sources.is_empty());
        for (index, source) in message.sources.iter().enumerate() {
            match v1::OutputSource::try_from(*source) {
                Ok(v1::OutputSource::Stdout) => stdout = true,
                Ok(v1::OutputSource::Stderr) => stderr = true,
                _ => violations.add(
                    format!("sources[{index}]"),
                    "must be OUTPUT_SOURCE_STDOUT or OUTPUT_SOURCE_STDERR",
                ),
            }
        }
        let mut after: BTreeMap<HostName, BTreeMap<String, Position>> = BTreeMap::new();
        for (key, position) in &message.after {
            let field = format!("after[{key:?}]");
            let place = key.split_once('/').and_then(|(host, id)| {
                let id = ContainerRef::parse(id).ok().filter(|id| is_full_id(id.as_str()))?;
                Some((HostName::parse(host).ok()?, id))
            });
            let Some((host, id)) = place else {
                violations
                    .add(field, "must have a key of the form HOST/CONTAINER_ID with a full ID");
                continue;
            };
            if let Some(position) = violations.check(&field, Position::of_message(position)) {
                after.entry(host).or_default().insert(id.to_string(), position);
            }
        }
        Some(Self {
            which: which?,
            follow: message.follow,
            timestamps: message.timestamps,
            until,
            since,
            tail: message.tail,
            stdout,
            stderr,
            after,
        })
    }

    /// The positions of a host, by the IDs of its containers.
    pub fn after(&self, host: &HostName) -> BTreeMap<String, Position> {
        self.after.get(host).cloned().unwrap_or_default()
    }

    /// What to ask the Engine for.
    pub fn query(&self, start: Start, follow: bool) -> LogQuery {
        let (since, tail) = match start {
            Start::New => (self.since, self.tail),
            Start::Whole => (self.since, None),
            Start::After(position) => (position.since().max(self.since), None),
        };
        let Self { until, stdout, stderr, .. } = *self;
        LogQuery { follow, since, until, tail, stdout, stderr }
    }
}

fn which(violations: &mut Violations, message: &v1::StreamLogsRequest) -> Option<Which> {
    if message.labels.is_empty() {
        let containers = convert::container_refs(violations, &message.containers);
        return Some(Which::Named(containers));
    }
    if !message.containers.is_empty() {
        violations.add("labels", "cannot be set together with containers");
        return None;
    }
    Some(Which::Labelled(convert::container_labels(violations, &message.labels)))
}

fn is_full_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::Finish;

    fn refused(change: impl FnOnce(&mut v1::StreamLogsRequest)) -> String {
        let mut message =
            v1::StreamLogsRequest { containers: vec!["web".to_owned()], ..Default::default() };
        change(&mut message);
        let mut violations = Violations::default();
        Order::read(&mut violations, &message);
        violations.finish().map_or_else(|problem| problem.message, |()| String::new())
    }

    fn at(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    }

    #[test]
    fn wrong_fields_are_named() {
        assert_eq!(refused(|_| ()), "");
        let starts =
            |problem: String, start: &str| assert!(problem.starts_with(start), "{problem}");
        starts(refused(|it| it.containers.clear()), "containers:");
        starts(refused(|it| it.labels.push("a=b".to_owned())), "labels:");
        starts(
            refused(|it| {
                it.containers.clear();
                it.labels = vec!["a".to_owned(), "=b".to_owned()];
            }),
            "labels[1]:",
        );
        starts(refused(|it| (it.since, it.until) = (at(5), at(4))), "until:");
        starts(refused(|it| it.since = at(-1)), "since:");
        starts(refused(|it| it.sources.push(0)), "sources[0]:");
        starts(
            refused(|it| {
                it.after.insert("web1/web".to_owned(), v1::LogPosition::default());
            }),
            "after[",
        );
        starts(
            refused(|it| {
                it.follow = true;
                it.fanout = Some(v1::FanoutOptions { max_parallel: 4, ..Default::default() });
            }),
            "fanout.max_parallel:",
        );
    }

    #[test]
    fn a_position_replaces_the_tail() {
        let message = v1::StreamLogsRequest {
            containers: vec!["web".to_owned()],
            tail: Some(5),
            since: at(100),
            ..Default::default()
        };
        let order = Order::read(&mut Violations::default(), &message).unwrap();
        let mut position = Position::default();
        let of = |start| {
            let query = order.query(start, false);
            (query.since.map(|time| time.seconds), query.tail)
        };
        assert_eq!(of(Start::New), (Some(100), Some(5)));
        assert_eq!(of(Start::Whole), (Some(100), None));
        position.advance(crate::engine::OutputSource::Stdout, LogTime { seconds: 200, nanos: 0 });
        assert_eq!(of(Start::After(position)), (Some(198), None));
    }
}
