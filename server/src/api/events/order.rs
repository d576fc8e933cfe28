//! What a request asks for, checked. Pure.

use std::collections::BTreeMap;

use wharf::v1;

use super::filter::EventFilter;
use super::place::Place;
use crate::api::convert;
use crate::api::times::since_and_until;
use crate::body::violation::Violations;
use crate::domain::HostName;
use crate::engine::LogTime;

/// The events to send.
#[derive(Debug)]
pub struct Order {
    /// Which of them.
    pub filter: EventFilter,
    /// From this time on; `None`: from now on.
    pub since: Option<LogTime>,
    /// Up to this time; `None`: without an end.
    pub until: Option<LogTime>,
    after: BTreeMap<HostName, Place>,
}

impl Order {
    /// Reads a request.
    pub fn read(violations: &mut Violations, message: &v1::StreamEventsRequest) -> Option<Self> {
        let filter = EventFilter::read(violations, &message.filters);
        let (since, until) =
            since_and_until(violations, message.since.as_ref(), message.until.as_ref());
        if until.is_none() {
            let fanout = message.fanout.as_ref();
            convert::refuse_host_limit(violations, fanout, "can only be set with until");
        }
        let mut after = BTreeMap::new();
        for (host, position) in &message.after {
            let field = format!("after[{host:?}]");
            if let Some(host) = violations.check(&field, HostName::parse(host))
                && let Some(place) = violations.check(&field, Place::of_message(position))
            {
                after.insert(host, place);
            }
        }
        Some(Self { filter, since, until, after })
    }

    /// Where a caller that resumes is in the events of a host.
    pub fn after(&self, host: &HostName) -> Option<Place> {
        self.after.get(host).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::Finish;

    fn refused(change: impl FnOnce(&mut v1::StreamEventsRequest)) -> String {
        let mut message = v1::StreamEventsRequest::default();
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
        let limited = v1::FanoutOptions { max_parallel: 4, ..Default::default() };
        starts(refused(|it| it.fanout = Some(limited)), "fanout.max_parallel:");
        assert_eq!(refused(|it| (it.fanout, it.until) = (Some(limited), at(9))), "");
        starts(refused(|it| (it.since, it.until) = (at(5), at(4))), "until:");
        starts(refused(|it| it.since = at(-1)), "since:");
        let key = v1::Filter { key: "nothing".to_owned(), values: vec!["x".to_owned()] };
        starts(refused(|it| it.filters.push(key)), "filters[0].key:");
        let position = v1::EventPosition { from: at(1), seen: Vec::new() };
        let with = |host: &str, position: &v1::EventPosition| {
            let (host, position) = (host.to_owned(), position.clone());
            refused(|it| drop(it.after.insert(host, position)))
        };
        assert_eq!(with("web1", &position), "");
        starts(with("web 1", &position), "after[\"web 1\"]:");
        starts(with("web1", &v1::EventPosition::default()), "after[\"web1\"]: must have a time");
    }
}
