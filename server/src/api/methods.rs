//! The methods of the contract by path: who may call them, and what their requests look like, for
//! the layers that see a call before it is decoded. A path that is not here cannot be called.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, MessageDescriptor};
use wharf::contract::{METHODS, Request};
use wharf::v1;

use crate::domain::Role;

/// One method.
#[derive(Debug, Clone)]
pub struct Method {
    /// The minimum role.
    pub role: Role,
    /// Whether it changes something on a host or in the server.
    pub mutates: bool,
    /// Whether it is a part of another call, which has the line of the audit log for both.
    pub is_part: bool,
    /// Whether all that a request says must be known here.
    pub strict: bool,
    /// Whether its request is a stream of messages.
    pub streamed: bool,
    /// Its request, or each message of that.
    pub message: MessageDescriptor,
}

/// All methods by path, such as `/wharf.v1.HostService/ListHosts`.
#[derive(Debug, Clone)]
pub struct Methods(pub HashMap<&'static str, Method>);

impl Methods {
    /// Reads the descriptors that are compiled in.
    ///
    /// # Panics
    /// When they are not valid, which the tests of this crate rule out.
    #[must_use]
    pub fn load() -> Self {
        let pool = DescriptorPool::decode(wharf::DESCRIPTORS).expect("valid descriptors");
        // Changes nothing, and says what a call that does would do: it knows what that one knows.
        let plans = v1::PlanRolloutRequest::METHOD.path;
        let method = |method: &wharf::contract::Method| Method {
            role: match method.role {
                v1::Role::Reader => Role::Reader,
                v1::Role::Operator => Role::Operator,
                v1::Role::Admin | v1::Role::Unspecified => Role::Admin,
            },
            mutates: method.mutates,
            // Every key is a call.
            is_part: method.path == v1::SendSessionInputRequest::METHOD.path,
            strict: method.mutates || method.path == plans,
            streamed: method.streamed,
            message: pool.get_message_by_name(method.request).expect("the message of a method"),
        };
        Self(METHODS.iter().map(|it| (it.path, method(it))).collect())
    }

    /// The method of a path; `None` if the contract has none.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Method> {
        self.0.get(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_contract_has_a_role() {
        let pool = DescriptorPool::decode(wharf::DESCRIPTORS).unwrap();
        let methods = Methods::load();
        let mut count = 0;
        for service in pool.services().filter(|service| service.package_name() == "wharf.v1") {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                assert!(methods.get(&path).is_some(), "{path} has no required_role");
                count += 1;
            }
        }
        assert!(count > 30, "{count} methods");
    }

    #[test]
    fn options_are_read() {
        let methods = Methods::load();
        let read = |path: &str, repeatable: bool| {
            let method = methods.get(path).unwrap();
            (method.role, method.mutates, repeatable)
        };
        let list = v1::ListContainersRequest::METHOD;
        assert_eq!(read(list.path, list.repeatable), (Role::Reader, false, true));
        let kill = v1::KillContainersRequest::METHOD;
        assert_eq!(kill.path, "/wharf.v1.ContainerService/KillContainers");
        assert_eq!(read(kill.path, kill.repeatable), (Role::Operator, true, false));
        assert!(methods.get("/wharf.v1.HostService/Nonsense").is_none());
    }

    #[test]
    fn a_call_that_changes_something_is_read_strictly() {
        let methods = Methods::load();
        let is_strict = |path: &str| methods.get(path).is_some_and(|method| method.strict);
        let strict = methods.0.values().filter(|method| method.strict).count();
        assert!(strict > 25, "{strict}");
        assert!(is_strict("/wharf.v1.RolloutService/PlanRollout"));
        assert!(!is_strict("/wharf.v1.SystemService/GetServerInfo"));
    }
}
