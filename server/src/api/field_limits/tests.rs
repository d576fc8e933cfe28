//! Walks every field of every request of the contract.

use std::collections::BTreeSet;

use prost::Message;
use prost_reflect::{DynamicMessage, MapKey, ReflectMessage, Value};
use wharf::v1;

use super::*;
use crate::api::methods::Methods;

/// A field of a request, by the fields that lead to it.
type Way = Vec<FieldDescriptor>;

/// Every text and every repeated field of a message and of those within it.
fn ways(message: &MessageDescriptor, before: &Way, found: &mut Vec<Way>) {
    for field in message.fields() {
        let way = [&before[..], std::slice::from_ref(&field)].concat();
        let is_text = matches!(field.kind(), Kind::String | Kind::Bytes);
        if is_text || field.is_list() || field.is_map() {
            found.push(way.clone());
        }
        if let Kind::Message(inner) = field.kind()
            && !field.is_map()
        {
            assert!(way.len() < 20, "{} is within itself", inner.full_name());
            ways(&inner, &way, found);
        }
    }
}

/// A request with this value at the end of the way, one entry in every list on it.
fn request(message: &MessageDescriptor, way: &[FieldDescriptor], value: Value) -> DynamicMessage {
    let (field, rest) = way.split_first().unwrap();
    let mut made = DynamicMessage::new(message.clone());
    let value = match (rest, field.kind()) {
        ([], _) => value,
        (_, Kind::Message(inner)) => {
            let inner = Value::Message(request(&inner, rest, value));
            if field.is_list() { Value::List(vec![inner]) } else { inner }
        }
        (_, kind) => panic!("{kind:?} on the way"),
    };
    made.set_field(field, value);
    made
}

fn text(kind: &Kind, length: usize) -> Value {
    match kind {
        Kind::Bytes => Value::Bytes(vec![b'a'; length].into()),
        _ => Value::String("a".repeat(length)),
    }
}

/// So many entries, each as short as can be.
fn entries(field: &FieldDescriptor, count: usize) -> Value {
    let one = |kind: &Kind| match kind {
        Kind::Message(inner) => Value::Message(DynamicMessage::new(inner.clone())),
        Kind::String => Value::String(String::new()),
        Kind::Bytes => Value::Bytes(Vec::new().into()),
        kind => Value::default_value(kind),
    };
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let value = one(&entry.map_entry_value_field().kind());
            let key = |number: usize| MapKey::String(number.to_string());
            Value::Map((0..count).map(|number| (key(number), value.clone())).collect())
        }
        kind => Value::List(vec![one(&kind); count]),
    }
}

/// The fields of a message that are too long, without the places in lists.
fn too_long(message: &DynamicMessage) -> Vec<String> {
    let found = violations(&message.descriptor(), &message.encode_to_vec());
    found.into_iter().map(|violation| violation.field.replace("[0]", "")).collect()
}

#[test]
fn every_text_and_every_repeated_field_of_every_request_has_a_limit() {
    let (mut texts, mut repeated) = (0, 0);
    for (path, method) in Methods::load().0 {
        let message = method.message;
        let mut found = Vec::new();
        ways(&message, &Way::new(), &mut found);
        for way in found {
            let field = way.last().unwrap();
            let limit = limit(field);
            let name = way.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join(".");
            let with = |value| too_long(&request(&message, &way, value));
            if field.is_list() || field.is_map() {
                assert_eq!(with(entries(field, limit.entries)), [""; 0], "{path} {name}");
                assert_eq!(with(entries(field, limit.entries + 1)), [&*name], "{path} {name}");
                repeated += 1;
            }
            let kind = field.kind();
            let (fits, not) = (text(&kind, limit.bytes), text(&kind, limit.bytes + 1));
            match &kind {
                Kind::Message(held) if field.is_map() => {
                    let entry = |key: Value, value: Value| {
                        let key = MapKey::String(key.as_str().unwrap().to_owned());
                        Value::Map([(key, value)].into())
                    };
                    let value = match held.map_entry_value_field().kind() {
                        Kind::Message(inner) => Value::Message(DynamicMessage::new(inner)),
                        Kind::String => fits.clone(),
                        kind => Value::default_value(&kind),
                    };
                    let is_text = matches!(value, Value::String(_));
                    assert_eq!(with(entry(fits.clone(), value.clone())), [""; 0], "{path} {name}");
                    let field = format!("{name}.key");
                    assert_eq!(with(entry(not.clone(), value)), [field], "{path} {name}");
                    if is_text {
                        let field = format!("{name}.value");
                        assert_eq!(with(entry(fits, not)), [field], "{path} {name}");
                    }
                    texts += 1;
                }
                Kind::String | Kind::Bytes => {
                    let as_sent =
                        |text| if field.is_list() { Value::List(vec![text]) } else { text };
                    assert_eq!(with(as_sent(fits)), [""; 0], "{path} {name}");
                    assert_eq!(with(as_sent(not)), [&*name], "{path} {name}");
                    texts += 1;
                }
                _ => {}
            }
        }
    }
    assert!(texts > 300 && repeated > 100, "{texts} texts and {repeated} repeated fields");
}

#[test]
fn the_table_names_fields_of_requests_and_stands_in_the_documentation() {
    let documented = include_str!("../../../../docs/api.md");
    let mut of_requests = BTreeSet::new();
    for method in Methods::load().0.values() {
        let message = &method.message;
        let mut found = Vec::new();
        ways(message, &Way::new(), &mut found);
        of_requests.extend(found.iter().map(|way| way.last().unwrap().full_name().to_owned()));
    }
    assert!(OTHERS.is_sorted_by(|one, other| one.0 < other.0), "they are found by halves");
    let line = |name: &str, limit: Limit| {
        let bytes = match limit.bytes {
            bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
            bytes => format!("{} KiB", bytes >> 10),
        };
        format!("| {name} | {bytes} | {} |", limit.entries)
    };
    assert!(documented.contains(&line("every other field", DEFAULT)));
    for (name, limit) in OTHERS {
        assert!(of_requests.contains(&format!("wharf.v1.{name}")), "{name} is in no request");
        let line = line(&format!("`{name}`"), limit);
        assert!(documented.contains(&line), "docs/api.md has no line {line}");
    }
}

fn list() -> MessageDescriptor {
    Methods::load().get("/wharf.v1.ContainerService/ListContainers").unwrap().message.clone()
}

#[test]
fn what_comes_in_pieces_counts_together() {
    let piece = |count| {
        let names = vec!["a".to_owned(); count];
        let selection = Some(v1::host_selector::Selection::Hosts(v1::HostNames { names }));
        let targets = Some(v1::HostSelector { selection, ..Default::default() });
        v1::ListContainersRequest { targets, ..Default::default() }.encode_to_vec()
    };
    assert_eq!(violations(&list(), &[piece(6000), piece(4000)].concat()), []);
    let found = violations(&list(), &[piece(6000), piece(4001)].concat());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].to_string(), "targets.hosts.names: must have at most 10000 entries");
}

#[test]
fn what_is_unknown_hides_nothing() {
    let labels = v1::host_selector::Selection::Labels("a".repeat(5000));
    let targets = Some(v1::HostSelector { selection: Some(labels), ..Default::default() });
    let request = v1::ListContainersRequest { targets, ..Default::default() }.encode_to_vec();
    // Field 100 as a group with a number in it, as a text, and as a number.
    let unknown: [&[u8]; 3] =
        [&[0xa3, 0x06, 0x08, 0x01, 0xa4, 0x06], &[0xa2, 0x06, 0x01, b'a'], &[0xa0, 0x06, 0x07]];
    for before in unknown {
        let encoded = [before, &request[..]].concat();
        assert!(v1::ListContainersRequest::decode(&encoded[..]).is_ok());
        let found = violations(&list(), &encoded);
        assert_eq!(found.len(), 1, "{before:?}");
        assert_eq!(
            found[0].to_string(),
            "targets.labels: must be at most 4096 bytes, but has 5000"
        );
    }
}
