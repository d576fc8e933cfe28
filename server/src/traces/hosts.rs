//! The spans of hosts, below that of their call: made when the work there has ended, from what the
//! fan-out tells. The calls to the Engine are their events.

use opentelemetry::trace::{Event, Span as _, SpanKind, Status, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;

use crate::api::table::host_problem;
use crate::domain::{HostAddress, TcpHost};
use crate::engine::{CallEnd, EngineCall};
use crate::fleet::trace::{EndedWork, HostObserver};

/// Makes the spans of the hosts of one call.
#[derive(Debug)]
pub(super) struct HostSpans {
    tracer: SdkTracer,
    /// The span of the call.
    parent: Context,
    /// The name of the spans.
    name: String,
}

impl HostSpans {
    /// Those of a call of `method`, such as `wharf.v1.ContainerService/ListContainers`.
    pub(super) fn new(tracer: SdkTracer, parent: Context, method: &str) -> Self {
        let verb = method.rsplit('/').next().unwrap_or(method);
        Self { tracer, parent, name: format!("{verb} on host") }
    }
}

impl HostObserver for HostSpans {
    fn ended(&self, work: EndedWork<'_>) {
        let mut attributes = vec![KeyValue::new("wharf.host.name", work.host.name.to_string())];
        attributes.extend(address(&work.host.address));
        let outcome = match work.result {
            Some(Ok(_)) => "succeeded",
            Some(Err(_)) => "failed",
            None => "caller_left",
        };
        attributes.push(KeyValue::new("wharf.host.outcome", outcome));
        if let Some(Ok(done)) = work.result {
            attributes.push(KeyValue::new("wharf.host.changed", done.changed));
        }
        if work.calls_left_out > 0 {
            let left_out = i64::from(work.calls_left_out);
            attributes.push(KeyValue::new("wharf.engine.calls_left_out", left_out));
        }
        let mut span = self
            .tracer
            .span_builder(self.name.clone())
            .with_kind(SpanKind::Client)
            .with_start_time(work.begun)
            .with_attributes(attributes)
            .with_events(work.calls.iter().map(event).collect())
            .start_with_context(&self.tracer, &self.parent);
        if let Some(Err(error)) = work.result {
            let problem = host_problem(&work.host.name, error);
            span.set_attribute(KeyValue::new("error.type", problem.reason.as_str()));
            span.set_status(Status::error(problem.message));
        }
        span.end_with_timestamp(work.ended);
    }
}

/// A call to the Engine, at its begin.
fn event(call: &EngineCall) -> Event {
    let seconds = KeyValue::new("wharf.engine.duration", call.elapsed.as_secs_f64());
    let mut attributes = vec![seconds];
    match call.end {
        CallEnd::Answered => {}
        CallEnd::Failed(kind) => {
            attributes.push(KeyValue::new("error.type", kind.reason().as_str()));
        }
        CallEnd::Abandoned => attributes.push(KeyValue::new("wharf.engine.abandoned", true)),
    }
    Event::new(call.operation, call.begun, attributes, 0)
}

/// Where the host is, in the words of the conventions.
fn address(address: &HostAddress) -> Vec<KeyValue> {
    match address {
        HostAddress::Tcp(tcp) => {
            let host = match tcp.host() {
                TcpHost::Name(name) => name.clone(),
                TcpHost::Ip(ip) => ip.to_string(),
            };
            let port = i64::from(tcp.port());
            vec![KeyValue::new("server.address", host), KeyValue::new("server.port", port)]
        }
        HostAddress::Unix(path) => vec![KeyValue::new("server.address", path.to_string())],
        HostAddress::Ssh(ssh) => vec![KeyValue::new("server.address", ssh.to_string())],
    }
}
