//! Messages as proto3 JSON, one object a line. Pure.
//!
//! Fields without presence are always included, even if empty, so that scripts can rely on them.

use prost::Message;
use prost_reflect::{MessageDescriptor, ReflectMessage, SerializeOptions};
use serde_json::{Map, Value};
use tonic_types::pb;
pub use wharf::reflect::descriptor;
use wharf::reflect::dynamic;

use crate::status::{ErrorText, is_ok};

/// The JSON of a message.
pub fn message<M: Message + prost::Name>(message: &M) -> Map<String, Value> {
    let dynamic = dynamic(message);
    let options = SerializeOptions::new().skip_default_fields(false);
    match dynamic.serialize_with_options(serde_json::value::Serializer, &options) {
        Ok(Value::Object(mut object)) => {
            sort_maps(&mut object, &dynamic.descriptor());
            object
        }
        _ => unreachable!("a message serializes to an object"),
    }
}

/// Sorts maps, which have no order, so that the output of two runs can be compared.
fn sort_maps(object: &mut Map<String, Value>, descriptor: &MessageDescriptor) {
    for field in descriptor.fields() {
        let kind = field.kind();
        match (object.get_mut(field.json_name()), kind.as_message()) {
            (Some(Value::Object(map)), _) if field.is_map() => map.sort_keys(),
            (Some(Value::Object(inner)), Some(message)) => sort_maps(inner, message),
            (Some(Value::Array(items)), Some(message)) => {
                for inner in items.iter_mut().filter_map(Value::as_object_mut) {
                    sort_maps(inner, message);
                }
            }
            _ => {}
        }
    }
}

/// A line: `host` first, then the fields.
pub fn line(host: &str, fields: Map<String, Value>) -> String {
    let mut object = Map::new();
    object.insert("host".to_owned(), host.into());
    object.extend(fields);
    Value::Object(object).to_string()
}

/// A line of a stream with several kinds of lines, which has its `kind` as `type`.
pub fn typed_line(host: &str, kind: &str, fields: Map<String, Value>) -> String {
    let mut all = Map::from_iter([("type".to_owned(), kind.into())]);
    all.extend(fields);
    line(host, all)
}

/// The line of a host that failed.
pub fn error_line(host: &str, error: &ErrorText) -> String {
    line(host, Map::from_iter([("error".to_owned(), error.json())]))
}

/// Replaces a failed `status` with `error`, and removes a successful `status`.
pub fn status_as_error(fields: &mut Map<String, Value>, status: Option<&pb::Status>) {
    fields.shift_remove("status");
    if let Some(status) = status.filter(|status| !is_ok(Some(status))) {
        fields.insert("error".to_owned(), ErrorText::of_rpc(status).json());
    }
}

#[cfg(test)]
mod tests {
    use wharf::v1::{Container, ItemResult};

    use super::*;

    #[test]
    fn the_host_comes_first_and_empty_fields_are_there() {
        let container = Container { id: "abc".into(), size_bytes: 5, ..Container::default() };
        let text = line("web1", message(&container));
        assert!(text.starts_with(r#"{"host":"web1","id":"abc","name":"","#), "{text}");
        assert!(text.contains(r#""sizeBytes":"5""#), "{text}");
        assert!(!text.contains("engine"), "{text}");
    }

    #[test]
    fn maps_are_sorted_wherever_they_are() {
        let labels =
            || ["c", "a", "b", "e", "d"].map(|key| (key.to_owned(), "1".to_owned())).into();
        let container = Container { labels: labels(), ..Container::default() };
        let batch = wharf::v1::ContainerBatch::of(vec![container]);
        let text = line("web1", message(&batch));
        assert!(text.contains(r#""labels":{"a":"1","b":"1","c":"1","d":"1","e":"1"}"#), "{text}");
    }

    #[test]
    fn a_failed_item_has_an_error_and_no_status() {
        let status = pb::Status { code: 5, message: "no such container".into(), details: vec![] };
        let item = ItemResult { name: "web".into(), status: Some(status), ..ItemResult::default() };
        let mut fields = message(&item);
        status_as_error(&mut fields, item.status.as_ref());
        assert_eq!(
            line("a", fields),
            r#"{"host":"a","name":"web","id":"","changed":false,"error":{"code":"NOT_FOUND","reason":"","message":"no such container"}}"#
        );
    }
}
