//! The contract of every fan-out, read from the descriptors: one driver on either side of the
//! wire serves them all only while the numbers are the same everywhere.

use prost_reflect::{DescriptorPool, Kind, MessageDescriptor, MethodDescriptor};

const ENVELOPE: [(u32, &str, &str); 4] = [
    (2, "started", "wharf.v1.FanoutStarted"),
    (3, "outcome", "wharf.v1.HostOutcome"),
    (4, "summary", "wharf.v1.FanoutSummary"),
    (5, "heartbeat", "wharf.v1.Heartbeat"),
];

/// The message that a field holds, with the name of the field.
fn message_at(message: &MessageDescriptor, number: u32) -> Option<(String, String)> {
    let field = message.get_field(number)?;
    match field.kind() {
        Kind::Message(held) => Some((field.name().to_owned(), held.full_name().to_owned())),
        _ => None,
    }
}

fn has_text(message: &MessageDescriptor, number: u32, name: &str) -> bool {
    message
        .get_field(number)
        .is_some_and(|field| field.name() == name && field.kind() == Kind::String)
}

fn mutates(method: &MethodDescriptor) -> bool {
    let extension = method.parent_pool().get_extension_by_name("wharf.v1.mutates").unwrap();
    method.options().get_extension(&extension).as_bool().unwrap()
}

/// Every stream but watches, which follow the journal or views and ask no host, and but sessions
/// in one container, which have an exit code, and what is read of one host.
fn fans_out(method: &MethodDescriptor) -> bool {
    let is_session = method.output().get_field_by_name("exited").is_some();
    let is_of_one_host = has_text(&method.input(), 1, "host");
    method.is_server_streaming()
        && !is_session
        && !is_of_one_host
        && !method.name().starts_with("Watch")
}

/// Whether the request is a stream with one content. It has no request ID: it is repeated as a
/// whole.
fn is_upload(method: &MethodDescriptor) -> bool {
    method.is_client_streaming() && method.input().get_field_by_name("chunk").is_some()
}

#[test]
fn every_fan_out_has_the_same_numbers() {
    let pool = DescriptorPool::decode(wharf::DESCRIPTORS).unwrap();
    let mut count = 0;
    for service in pool.services().filter(|service| service.package_name() == "wharf.v1") {
        for method in service.methods().filter(fans_out) {
            let (request, response) = (method.input(), method.output());
            let path = method.full_name().to_owned();
            assert!(has_text(&response, 1, "host"), "{path}");
            for (number, name, message) in ENVELOPE {
                let found = message_at(&response, number);
                assert_eq!(found, Some((name.to_owned(), message.to_owned())), "{path}");
            }
            for field in response.fields().filter(|field| field.number() > 5) {
                assert!(field.number() >= 10, "{path}: payload {}", field.full_name());
            }
            let oneofs: Vec<_> = response.oneofs().map(|oneof| oneof.fields().count()).collect();
            assert_eq!(oneofs, [response.fields().count() - 1], "{path}: all but the host");

            let targets = ("targets".to_owned(), "wharf.v1.HostSelector".to_owned());
            assert_eq!(message_at(&request, 1), Some(targets), "{path}");
            let fanout = ("fanout".to_owned(), "wharf.v1.FanoutOptions".to_owned());
            assert_eq!(message_at(&request, 2), Some(fanout), "{path}");
            if mutates(&method) && !is_upload(&method) {
                assert!(has_text(&request, 3, "request_id"), "{path}");
            } else {
                assert!(request.get_field(3).is_none(), "{path}: 3 is kept for request_id");
            }
            for field in request.fields().filter(|field| field.number() > 3) {
                assert!(field.number() >= 10, "{path}: {}", field.full_name());
            }
            count += 1;
        }
    }
    assert_eq!(count, 52, "a new one is counted here");
}
