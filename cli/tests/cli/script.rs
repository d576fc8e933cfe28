//! A gRPC server that answers each method with prepared messages and records the requests. It works
//! on paths and bytes, so every service is available without an implementation.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt, pb};
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1::{FanoutStarted, FanoutSummary, HostOutcome};

/// What a method answers.
#[derive(Clone, Default)]
pub struct Reply {
    messages: Vec<Bytes>,
    end: End,
}

/// How an answer ends.
#[derive(Clone, Default)]
enum End {
    /// With status OK.
    #[default]
    Ok,
    /// With an error.
    Status(Status),
    /// The stream is reset.
    Cut,
    /// Never.
    Hang,
}

/// A request that came in.
#[derive(Clone)]
pub struct Recorded {
    pub method: String,
    pub headers: HeaderMap,
    body: Bytes,
}

impl Recorded {
    /// The message.
    pub fn message<M: Message + Default>(&self) -> M {
        M::decode(self.body.slice(5..)).unwrap()
    }
}

/// A running server; it ends with this value.
pub struct Server {
    directory: tempfile::TempDir,
    recorded: Arc<Mutex<Vec<Recorded>>>,
    // Field order: the runtime stops before the directory with the socket goes.
    _runtime: tokio::runtime::Runtime,
}

#[derive(Clone)]
struct Script {
    replies: Arc<HashMap<&'static str, Vec<Reply>>>,
    recorded: Arc<Mutex<Vec<Recorded>>>,
}

impl Server {
    /// Serves replies by method name, such as `ListContainers`. A method with several replies
    /// gives them in turn, the last one forever.
    pub fn start(replies: impl IntoIterator<Item = (&'static str, Reply)>) -> Self {
        let mut by_method: HashMap<&'static str, Vec<Reply>> = HashMap::new();
        for (method, reply) in replies {
            by_method.entry(method).or_default().push(reply);
        }
        let directory = tempfile::tempdir().unwrap();
        let recorded = Arc::new(Mutex::new(Vec::new()));
        let script = Script { replies: Arc::new(by_method), recorded: Arc::clone(&recorded) };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let socket = directory.path().join("wharfd.sock");
        let listener = {
            let _guard = runtime.enter();
            tokio::net::UnixListener::bind(socket).unwrap()
        };
        let router = axum::Router::new().fallback(answer).with_state(script);
        runtime.spawn(async move {
            tonic::transport::Server::builder()
                .add_routes(tonic::service::Routes::from(router))
                .serve_with_incoming(UnixListenerStream::new(listener))
                .await
        });
        Self { directory, recorded, _runtime: runtime }
    }

    pub fn address(&self) -> String {
        format!("unix://{}", self.directory.path().join("wharfd.sock").display())
    }

    /// An empty home directory for the client.
    pub fn home(&self) -> &Path {
        self.directory.path()
    }

    /// What came in so far.
    pub fn recorded(&self) -> Vec<Recorded> {
        self.recorded.lock().unwrap().clone()
    }

    /// The methods that were called, in order.
    pub fn methods(&self) -> Vec<String> {
        self.recorded().into_iter().map(|recorded| recorded.method).collect()
    }

    /// The only request to a method.
    pub fn request<M: Message + Default>(&self, method: &str) -> M {
        let all: Vec<Recorded> =
            self.recorded().into_iter().filter(|recorded| recorded.method == method).collect();
        assert_eq!(all.len(), 1, "calls of {method}");
        all[0].message()
    }
}

impl Reply {
    /// One message.
    pub fn unary(message: &impl Message) -> Self {
        Self { messages: vec![frame(message)], end: End::Ok }
    }

    /// Messages that are no fan-out.
    pub fn messages<M: Message>(messages: &[M]) -> Self {
        Self { messages: messages.iter().map(frame).collect(), end: End::Ok }
    }

    /// The same, and then this error.
    pub fn then_refused(self, code: Code, reason: &str, message: &str) -> Self {
        Self { end: End::Status(status(code, reason, message)), ..self }
    }

    /// The same, and then the connection breaks.
    pub fn then_cut(self) -> Self {
        Self { end: End::Cut, ..self }
    }

    /// The same, and then nothing more.
    pub fn then_hang(self) -> Self {
        Self { end: End::Hang, ..self }
    }

    /// No message but an error.
    pub fn refused(code: Code, reason: &str, message: &str) -> Self {
        Self { messages: Vec::new(), end: End::Status(status(code, reason, message)) }
    }

    /// A refusal that names the field that is wrong.
    pub fn invalid(field: &str, problem: &str) -> Self {
        let mut details = ErrorDetails::with_bad_request_violation(field, problem);
        details.set_error_info("INVALID_FIELD", "wharf.v1", HashMap::new());
        let message = format!("{field}: {problem}");
        let status = Status::with_error_details(Code::InvalidArgument, message, details);
        Self { messages: Vec::new(), end: End::Status(status) }
    }

    /// A fan-out that has started on these hosts.
    pub fn started<M: FanoutResponse>(hosts: &[&str]) -> Stream<M> {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let started = FanoutStarted { hosts, operation_id: "op".into(), ..Default::default() };
        let stream = Stream { messages: Vec::new(), outcomes: Vec::new() };
        stream.push("", Envelope::Started(started))
    }
}

/// The messages of a fan-out, in order.
pub struct Stream<M> {
    messages: Vec<M>,
    outcomes: Vec<bool>,
}

impl<M: FanoutResponse> Stream<M> {
    fn push(mut self, host: &str, envelope: Envelope<M::Event>) -> Self {
        self.messages.push(M::from_envelope(host.to_owned(), envelope));
        self
    }

    /// A host answers.
    pub fn payload(self, host: &str, event: M::Event) -> Self {
        self.push(host, Envelope::Payload(event))
    }

    /// A host ends with success.
    pub fn ok(mut self, host: &str, changed: bool) -> Self {
        self.outcomes.push(true);
        let outcome = HostOutcome { changed, ..HostOutcome::default() };
        self.push(host, Envelope::Outcome(outcome))
    }

    /// A host fails.
    pub fn failed(mut self, host: &str, code: Code, reason: &str, message: &str) -> Self {
        self.outcomes.push(false);
        let status = Some(rpc_status(code, reason, message));
        self.push(host, Envelope::Outcome(HostOutcome { status, ..HostOutcome::default() }))
    }

    fn summed_up(self, end: End) -> Reply {
        let count = |wanted| self.outcomes.iter().filter(|ok| **ok == wanted).count() as u32;
        let summary = FanoutSummary { succeeded: count(true), failed: count(false), unchanged: 0 };
        let stream = self.push("", Envelope::Summary(summary));
        Reply { messages: stream.messages.iter().map(frame).collect(), end }
    }

    /// The end of a call that went well, or that only reads.
    pub fn done(self) -> Reply {
        self.summed_up(End::Ok)
    }

    /// The end of a write that failed somewhere.
    pub fn aborted(self) -> Reply {
        let end = status(Code::Aborted, "SOME_HOSTS_FAILED", "some hosts failed");
        self.summed_up(End::Status(end))
    }

    /// The connection breaks here.
    pub fn cut(self) -> Reply {
        Reply { messages: self.messages.iter().map(frame).collect(), end: End::Cut }
    }

    /// The stream ends with status OK although hosts are missing.
    pub fn short(self) -> Reply {
        Reply { messages: self.messages.iter().map(frame).collect(), end: End::Ok }
    }

    /// Nothing more comes.
    pub fn hang(self) -> Reply {
        Reply { messages: self.messages.iter().map(frame).collect(), end: End::Hang }
    }
}

/// A status as it stands in outcomes and results of items.
pub fn rpc_status(code: Code, reason: &str, message: &str) -> pb::Status {
    pb::Status::decode(status(code, reason, message).details()).unwrap()
}

fn status(code: Code, reason: &str, message: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "wharf.v1", HashMap::new());
    Status::with_error_details(code, message, details)
}

/// A message with gRPC's prefix: not compressed, length.
fn frame(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.encoded_len() as u32);
    message.encode(&mut frame).unwrap();
    frame.freeze()
}

async fn answer(State(script): State<Script>, request: Request) -> Response<Body> {
    let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
    let headers = request.headers().clone();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let before = {
        let mut recorded = script.recorded.lock().unwrap();
        recorded.push(Recorded { method: method.clone(), headers, body });
        recorded.iter().filter(|recorded| recorded.method == method).count() - 1
    };
    let reply = match script.replies.get(method.as_str()) {
        Some(replies) => replies[before.min(replies.len() - 1)].clone(),
        None => Reply { end: End::Status(Status::unimplemented(method)), ..Reply::default() },
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        for message in reply.messages {
            if sender.send(Ok(http_body::Frame::data(message))).await.is_err() {
                return;
            }
        }
        let trailers = |status: &Status| {
            let mut headers = HeaderMap::new();
            status.add_header(&mut headers).unwrap();
            http_body::Frame::trailers(headers)
        };
        let last = match reply.end {
            End::Ok => Ok(trailers(&Status::ok(""))),
            End::Status(status) => Ok(trailers(&status)),
            End::Cut => Err(std::io::Error::other("cut")),
            End::Hang => {
                sender.closed().await;
                return;
            }
        };
        // The client may be gone, which is what some tests are about.
        let _ = sender.send(last).await;
    });
    Response::builder()
        .header("content-type", "application/grpc")
        .body(Body::new(StreamBody::new(ReceiverStream::new(receiver))))
        .unwrap()
}
