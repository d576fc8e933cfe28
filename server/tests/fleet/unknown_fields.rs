//! Requests of a later contract version: a change with an unknown field is refused; a read is
//! answered.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};
use wharf::v1;
use wharf_simulator::Operation;

use crate::support::{Fleet, all, list, reason};

const STOP: &str = "/wharf.v1.ContainerService/StopContainers";

/// Field 99 with the number 1: a `dry_run` of later.
const LATER: &[u8] = &[0x98, 0x06, 1];

fn stop() -> Vec<u8> {
    let containers = vec!["c0".to_owned()];
    v1::StopContainersRequest { targets: all(), containers, ..Default::default() }.encode_to_vec()
}

/// A message in gRPC's frame.
fn frame(compressed: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[compressed], &length[..], message].concat()
}

/// How a call with this body ends.
async fn send(fleet: &Fleet, path: &str, encoding: &str, body: Body) -> Status {
    let request = Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("grpc-encoding", encoding)
        .header("te", "trailers");
    let request = request.body(body).unwrap();
    let mut channel = fleet.channel.clone();
    let response: Response<Body> = channel.ready().await.unwrap().call(request).await.unwrap();
    let (head, body) = response.into_parts();
    let of_head = Status::from_header_map(&head.headers);
    let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
    of_head.or_else(|| Status::from_header_map(&trailers)).unwrap()
}

async fn send_whole(fleet: &Fleet, path: &str, body: Vec<u8>) -> Status {
    send(fleet, path, "identity", Body::new(Full::new(Bytes::from(body)))).await
}

fn stops(fleet: &Fleet) -> u64 {
    fleet.hosts().iter().map(|host| host.counters.count(Operation::Stop)).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_with_a_field_of_later_touches_no_host() {
    let fleet = Fleet::new(2).await;
    let later = frame(0, &[&stop()[..], LATER].concat());
    let refused = send_whole(&fleet, STOP, later.clone()).await;
    assert_eq!((refused.code(), &*reason(&refused)), (Code::InvalidArgument, "UNKNOWN_FIELD"));
    let message = "99: this server does not know field 99 of wharf.v1.StopContainersRequest; \
                   remove it, or use a server that supports it";
    assert_eq!(refused.message(), message);

    // A byte at a time.
    let bytes = later.into_iter().map(|byte| Ok::<_, Status>(Frame::data(Bytes::from(vec![byte]))));
    let slow = Body::new(StreamBody::new(futures_util::stream::iter(bytes)));
    assert_eq!(reason(&send(&fleet, STOP, "identity", slow).await), "UNKNOWN_FIELD");

    let nested = v1::StopContainersRequest {
        targets: all(),
        fanout: Some(v1::FanoutOptions::default()),
        ..Default::default()
    };
    let fanout = nested.encode_to_vec();
    // The empty message of `fanout` is the last one; it gets the field.
    let nested = [&fanout[..fanout.len() - 1], &[3], LATER].concat();
    let refused = send_whole(&fleet, STOP, frame(0, &nested)).await;
    assert!(refused.message().starts_with("fanout.99: "), "{refused}");

    let plan = "/wharf.v1.RolloutService/PlanRollout";
    assert_eq!(reason(&send_whole(&fleet, plan, frame(0, LATER)).await), "UNKNOWN_FIELD");
    assert_eq!(stops(&fleet), 0);
    assert_eq!(send_whole(&fleet, STOP, frame(0, &stop())).await.code(), Code::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_with_a_field_of_later_is_answered() {
    let fleet = Fleet::new(1).await;
    let info = "/wharf.v1.SystemService/GetServerInfo";
    assert_eq!(send_whole(&fleet, info, frame(0, LATER)).await.code(), Code::Ok);
    let listed = [&list(all()).encode_to_vec()[..], LATER].concat();
    let path = "/wharf.v1.ContainerService/ListContainers";
    assert_eq!(send_whole(&fleet, path, frame(0, &listed)).await.code(), Code::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_of_later_is_refused_as_well() {
    let fleet = Fleet::new(1).await;
    let policy = v1::RolloutPolicy { on_failure: 77, ..Default::default() };
    let spec = v1::RolloutSpec { policy: Some(policy), targets: all(), ..Default::default() };
    let request = v1::CreateRolloutRequest { spec: Some(spec), ..Default::default() };
    let path = "/wharf.v1.RolloutService/CreateRollout";
    let refused = send_whole(&fleet, path, frame(0, &request.encode_to_vec())).await;
    assert_eq!((refused.code(), &*reason(&refused)), (Code::InvalidArgument, "INVALID_FIELD"));
    assert!(refused.message().starts_with("spec.policy.on_failure: "), "{refused}");
}

/// These are not looked at, because no service takes them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_looked_at_is_not_done() {
    let fleet = Fleet::new(1).await;
    let later = [&stop()[..], LATER].concat();
    for (encoding, code) in [("gzip", Code::Unimplemented), ("identity", Code::Internal)] {
        let compressed = Body::new(Full::new(Bytes::from(frame(1, &later))));
        let refused = send(&fleet, STOP, encoding, compressed).await;
        assert_eq!(refused.code(), code, "{refused}");
    }
    let long = "x".repeat(4 << 20);
    let long = v1::StopContainersRequest { request_id: long, ..Default::default() };
    let long = [later.clone(), long.encode_to_vec()].concat();
    let refused = send_whole(&fleet, STOP, frame(0, &long)).await;
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    for cut in [0, 3, 5, later.len()] {
        let refused = send_whole(&fleet, STOP, frame(0, &later)[..cut].to_vec()).await;
        assert_ne!(refused.code(), Code::Ok, "{cut}");
    }
    assert_eq!(send_whole(&fleet, STOP, frame(0, &[0xff; 20])).await.code(), Code::Internal);
    assert_eq!(stops(&fleet), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_web_is_looked_at_too() {
    let fleet = Fleet::new(1).await;
    let socket = fleet.config().listen[0].to_string().replace("unix://", "");
    let later = frame(0, &[&stop()[..], LATER].concat());
    for (kind, body) in [
        ("application/grpc-web-text", BASE64_STANDARD.encode(&later).into_bytes()),
        ("application/grpc-web+proto", later),
    ] {
        let head = format!(
            "POST {STOP} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains("does%20not%20know%20field%2099"), "{kind}: {answer}");
    }
    assert_eq!(stops(&fleet), 0);
}
