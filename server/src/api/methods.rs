//! The properties of methods in the contract: role, whether they change anything, whether they can
//! be repeated. Read from the descriptors, so that a method without a role is refused for everyone.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, MethodDescriptor, Value};
use wharf::v1;

use crate::domain::Role;

/// `google.protobuf.MethodOptions.IdempotencyLevel.IDEMPOTENCY_UNKNOWN`, its default.
const IDEMPOTENCY_UNKNOWN: i32 = 0;

/// The properties of one method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// The minimum role.
    pub role: Role,
    /// Whether it changes something on a host or in the server.
    pub mutates: bool,
    /// Whether repeating it is harmless (`idempotency_level` other than unknown).
    pub repeatable: bool,
}

/// All methods by path, such as `/wharf.v1.HostService/ListHosts`.
#[derive(Debug, Clone)]
pub struct Methods(HashMap<String, Method>);

impl Methods {
    /// Reads the descriptors that are compiled in.
    ///
    /// # Panics
    /// When they are not valid, which the tests of this crate rule out.
    #[must_use]
    pub fn load() -> Self {
        let pool = DescriptorPool::decode(wharf::DESCRIPTORS).expect("valid descriptors");
        let methods = pool.services().flat_map(|service| {
            let service_name = service.full_name().to_owned();
            let methods: Vec<_> = service.methods().collect();
            methods.into_iter().filter_map(move |method| {
                let path = format!("/{service_name}/{}", method.name());
                Some((path, read(&method)?))
            })
        });
        Self(methods.collect())
    }

    /// The method of a path; `None` if the contract has none with a role.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Method> {
        self.0.get(path).copied()
    }
}

/// `None` if the method has no role.
fn read(method: &MethodDescriptor) -> Option<Method> {
    let pool = method.parent_pool();
    let options = method.options();
    let role_option = pool.get_extension_by_name("wharf.v1.required_role")?;
    let mutates_option = pool.get_extension_by_name("wharf.v1.mutates")?;
    let role = options.get_extension(&role_option).as_enum_number()?;
    let role = match v1::Role::try_from(role).ok()? {
        v1::Role::Unspecified => return None,
        v1::Role::Reader => Role::Reader,
        v1::Role::Operator => Role::Operator,
        v1::Role::Admin => Role::Admin,
    };
    let mutates = options.get_extension(&mutates_option).as_bool()?;
    let level = match options.get_field_by_name("idempotency_level").as_deref() {
        Some(Value::EnumNumber(number)) => *number,
        _ => 0,
    };
    Some(Method { role, mutates, repeatable: level != IDEMPOTENCY_UNKNOWN })
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
        let list = methods.get("/wharf.v1.ContainerService/ListContainers").unwrap();
        assert_eq!(list, Method { role: Role::Reader, mutates: false, repeatable: true });
        let kill = methods.get("/wharf.v1.ContainerService/KillContainers").unwrap();
        assert_eq!(kill, Method { role: Role::Operator, mutates: true, repeatable: false });
        assert_eq!(methods.get("/wharf.v1.HostService/Nonsense"), None);
    }
}
