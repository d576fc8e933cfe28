//! The envelope of every call that reaches several hosts, once for all responses.
//!
//! `proto/wharf/v1/common.proto` describes it. The server builds responses from
//! [`Envelope`]s, a client takes them apart again; neither needs to know which call it is.

use crate::v1::{FanoutStarted, FanoutSummary, HostOutcome, ItemResult};

/// One event of a fan-out stream; `P` is the event type of the response, of which only the
/// payload variants occur in [`Envelope::Payload`].
#[derive(Debug, Clone, PartialEq)]
pub enum Envelope<P> {
    /// First message: the hosts of the call.
    Started(FanoutStarted),
    /// The last message of one host.
    Outcome(HostOutcome),
    /// The last message of the stream.
    Summary(FanoutSummary),
    /// The stream is alive.
    Heartbeat,
    /// What the call is about.
    Payload(P),
}

/// A response message that has the envelope; `contract.rs` implements it for all.
pub trait FanoutResponse: prost::Message + Default + Sized + 'static {
    /// The generated `oneof event` of the message.
    type Event: Clone + Send + Sync + 'static;

    /// Builds the message for `host`, which is empty for events of the whole call.
    fn from_envelope(host: String, envelope: Envelope<Self::Event>) -> Self;

    /// Takes the message apart. `None` for an event that this version does not know.
    fn into_envelope(self) -> (String, Option<Envelope<Self::Event>>);
}

/// The event of a response that has a result for each of several named things.
pub trait ItemEvent: Sized {
    /// The event for a result.
    fn of_item(item: ItemResult) -> Self;

    /// The result, where it is one.
    fn item(&self) -> Option<&ItemResult>;
}
