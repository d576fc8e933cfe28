//! Finds the parts of a request that this server does not know: fields and values of a later
//! version of the contract. Pure.
//!
//! It walks the encoded message along its descriptor and stores nothing. Decoding it into a dynamic
//! message would take many times its size in memory, and the service decodes it anyway.

use std::fmt;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::encoded::{Malformed, Reader, Value};

/// Maximum nesting to check. The decoder refuses deeper messages.
const DEEPEST: usize = 100;

/// A part that this server does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Path of the field in the request; a field that has no name here has its number.
    pub field: String,
    /// The part.
    pub what: What,
}

/// The part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A field.
    Field {
        /// Full name of the message.
        message: String,
        /// The number of the field.
        number: u32,
    },
    /// The value of a field.
    Value {
        /// Full name of the enum.
        name: String,
        /// The number of the value.
        number: i32,
    },
}

/// Why a walk ended early.
enum Stop {
    Malformed,
    Unknown(What),
}

impl From<Malformed> for Stop {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// The first unknown part of an encoded message. Also `None` for an invalid message, which the
/// decoder refuses with its own text.
pub fn find(message: &MessageDescriptor, encoded: &[u8]) -> Option<Unknown> {
    let mut path = Vec::new();
    match walk(message, encoded, &mut path) {
        Err(Stop::Unknown(what)) => {
            let mut names: Vec<String> = path.iter().map(|it| it.name().to_owned()).collect();
            if let What::Field { number, .. } = &what {
                names.push(number.to_string());
            }
            Some(Unknown { field: names.join("."), what })
        }
        Ok(()) | Err(Stop::Malformed) => None,
    }
}

/// `path` is the path to the finding, if any.
fn walk(
    message: &MessageDescriptor,
    encoded: &[u8],
    path: &mut Vec<FieldDescriptor>,
) -> Result<(), Stop> {
    let mut left = Reader(encoded);
    while !left.is_empty() {
        let (number, form) = left.key()?;
        let Some(field) = message.get_field(number) else {
            let message = message.full_name().to_owned();
            return Err(Stop::Unknown(What::Field { message, number }));
        };
        let value = left.value(number, form)?;
        match (field.kind(), value) {
            (Kind::Message(inner), Value::Bytes(bytes)) if path.len() < DEEPEST => {
                path.push(field);
                walk(&inner, bytes, path)?;
                path.pop();
            }
            (Kind::Enum(inner), value) => {
                path.push(field);
                known(&inner, value)?;
                path.pop();
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the values of an enum, one or several packed ones, are known.
fn known(values: &EnumDescriptor, value: Value<'_>) -> Result<(), Stop> {
    let check = |value: u64| {
        // Negative values are sent as 64 bits; a decoder uses the lower ones.
        let bytes = value.to_le_bytes();
        let number = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        match values.get_value(number) {
            Some(_) => Ok(()),
            None => {
                let name = values.full_name().to_owned();
                Err(Stop::Unknown(What::Value { name, number }))
            }
        }
    };
    match value {
        Value::Number(value) => check(value),
        Value::Bytes(packed) => {
            let mut left = Reader(packed);
            while !left.is_empty() {
                check(left.varint()?)?;
            }
            Ok(())
        }
        Value::Fixed | Value::Group => Err(Stop::Malformed),
    }
}

impl fmt::Display for What {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { message, number } => {
                write!(formatter, "this server does not know field {number} of {message}")
            }
            Self::Value { name, number } => {
                write!(formatter, "this server does not know value {number} of {name}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_reflect::DescriptorPool;
    use wharf::v1;

    use super::*;

    fn descriptor<M: prost::Name>() -> MessageDescriptor {
        let pool = DescriptorPool::decode(wharf::DESCRIPTORS).unwrap();
        pool.get_message_by_name(&M::full_name()).unwrap()
    }

    fn find_in<M: prost::Name>(encoded: &[u8]) -> Option<(String, String)> {
        find(&descriptor::<M>(), encoded).map(|found| (found.field, found.what.to_string()))
    }

    /// A field of bytes around others.
    fn around(number: u8, inner: &[u8]) -> Vec<u8> {
        let length = u8::try_from(inner.len()).unwrap();
        [&[number << 3 | 2, length], inner].concat()
    }

    /// Field 99 with the number 1.
    const LATER: &[u8] = &[0x98, 0x06, 1];

    #[test]
    fn a_field_is_found_wherever_it_is() {
        let whole = |message: &str| format!("this server does not know field 99 of {message}");
        let found = find_in::<v1::CreateRolloutRequest>(LATER).unwrap();
        assert_eq!(found, ("99".to_owned(), whole("wharf.v1.CreateRolloutRequest")));

        // Nested, in the second of two parts of one message, which the decoder puts together.
        let spec = [around(1, &[]), around(1, &around(2, LATER))].concat();
        let found = find_in::<v1::CreateRolloutRequest>(&spec).unwrap();
        assert_eq!(found, ("spec.targets.99".to_owned(), whole("wharf.v1.HostSelector")));

        let ports = descriptor::<v1::ContainerSpec>().get_field_by_name("ports").unwrap();
        let number = u8::try_from(ports.number()).unwrap();
        let known = v1::PortMapping { container_port: 80, ..Default::default() }.encode_to_vec();
        let list = [around(number, &known), around(number, LATER)].concat();
        let found = find_in::<v1::ContainerSpec>(&list).unwrap();
        assert_eq!(found.0, "ports.99");

        let entry = [around(1, b"key"), around(2, b"value"), LATER.to_vec()].concat();
        let labels = descriptor::<v1::ContainerSpec>().get_field_by_name("labels").unwrap();
        let labels = around(u8::try_from(labels.number()).unwrap(), &entry);
        assert_eq!(find_in::<v1::ContainerSpec>(&labels).unwrap().0, "labels.99");
    }

    #[test]
    fn a_value_is_found_alone_and_packed() {
        let policy = |on_failure| v1::RolloutPolicy { on_failure, ..Default::default() };
        let known = policy(v1::FailureAction::Rollback.into()).encode_to_vec();
        assert_eq!(find_in::<v1::RolloutPolicy>(&known), None);
        for number in [77, -1] {
            let later = policy(number).encode_to_vec();
            let what =
                format!("this server does not know value {number} of wharf.v1.FailureAction");
            let found = find_in::<v1::RolloutPolicy>(&later);
            assert_eq!(found, Some(("on_failure".to_owned(), what)));
        }
        let states = vec![v1::RolloutState::Failed.into(), 77];
        let later = v1::ListRolloutsRequest { states, ..Default::default() }.encode_to_vec();
        assert_eq!(find_in::<v1::ListRolloutsRequest>(&later).unwrap().0, "states");
    }

    #[test]
    fn what_is_known_and_what_is_no_message_pass() {
        let spec = v1::RolloutSpec {
            container: "web".to_owned(),
            set: Some(v1::ContainerSpec {
                labels: [("a".to_owned(), "b".to_owned())].into(),
                memory_bytes: Some(1 << 30),
                ..Default::default()
            }),
            policy: Some(v1::RolloutPolicy {
                bake: Some(prost_types::Duration { seconds: 1, nanos: 5 }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let request = v1::CreateRolloutRequest { spec: Some(spec), ..Default::default() };
        let encoded = request.encode_to_vec();
        assert_eq!(find_in::<v1::CreateRolloutRequest>(&encoded), None);
        for end in 0..encoded.len() {
            assert_eq!(find_in::<v1::CreateRolloutRequest>(&encoded[..end]), None, "{end}");
        }
        for bytes in [&[0][..], &[0x0b], &[0xff; 20], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
            assert_eq!(find_in::<v1::CreateRolloutRequest>(bytes), None, "{bytes:?}");
        }
    }
}
