//! What a request asks for, checked. Pure.

use wharf::v1;

use crate::api::convert;
use crate::body::violation::Violations;
use crate::domain::ContainerRef;
use crate::engine::ContainerSummary;

/// The containers to measure.
#[derive(Debug)]
pub struct Order {
    /// By name or ID; empty: all.
    pub containers: Vec<ContainerRef>,
    /// Also those that do not run.
    pub all: bool,
    /// One frame.
    pub once: bool,
}

impl Order {
    /// Reads a request.
    pub fn read(violations: &mut Violations, message: &v1::StreamStatsRequest) -> Option<Self> {
        if !message.once {
            let fanout = message.fanout.as_ref();
            convert::refuse_host_limit(violations, fanout, "can only be set with once");
        }
        let containers = match &*message.containers {
            [] => Vec::new(),
            names => convert::container_refs(violations, names),
        };
        let all = message.all || !containers.is_empty();
        Some(Self { containers, all, once: message.once })
    }

    /// Whether a container is one of them.
    pub fn includes(&self, container: &ContainerSummary) -> bool {
        self.containers.is_empty() || self.containers.iter().any(|it| is_named(container, it))
    }
}

/// Whether a request means this container: by name, ID, or the beginning of the ID.
pub fn is_named(container: &ContainerSummary, given: &ContainerRef) -> bool {
    let given = given.as_str();
    container.names.iter().any(|name| name == given) || container.id.starts_with(given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::Finish;

    fn read(message: &v1::StreamStatsRequest) -> Result<Order, String> {
        let mut violations = Violations::default();
        let order = Order::read(&mut violations, message);
        violations.finish().map_err(|problem| problem.message)?;
        order.ok_or_else(String::new)
    }

    #[test]
    fn wrong_fields_are_named() {
        let fanout = Some(v1::FanoutOptions { max_parallel: 4, ..Default::default() });
        let mut message = v1::StreamStatsRequest { fanout, ..Default::default() };
        let problem = read(&message).unwrap_err();
        assert!(problem.starts_with("fanout.max_parallel:"), "{problem}");
        message.once = true;
        assert!(read(&message).is_ok());
        message.containers = vec!["../etc".to_owned()];
        let problem = read(&message).unwrap_err();
        assert!(problem.starts_with("containers"), "{problem}");
    }

    #[test]
    fn containers_are_found_by_name_and_id() {
        let container = ContainerSummary {
            id: "0123456789abcdef".to_owned(),
            names: vec!["web".to_owned()],
            ..ContainerSummary::default()
        };
        let includes = |names: &[&str]| {
            let containers = names.iter().map(|&name| name.to_owned()).collect();
            let message = v1::StreamStatsRequest { containers, ..Default::default() };
            read(&message).unwrap().includes(&container)
        };
        assert!(includes(&[]) && includes(&["web"]) && includes(&["db", "0123"]));
        assert!(!includes(&["we"]) && !includes(&["web2", "123"]));
    }
}
