//! What a repetition under the same `request_id` gets: the answer of the first try, or the work
//! once more. Pure: it follows from how a host, or one of several things on it, ended.
//!
//! The rule: what was done, or may have been done, is answered from the record. Where provably
//! nothing was done there is nothing to protect, so the next try works on it again.

use std::any::Any;

use prost::Message;
use tonic_types::pb;
use wharf::ERROR_DOMAIN;
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1;

use crate::domain::Reason;

/// What the next try does about a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It gives the recorded answer.
    Stands,
    /// It does the work again.
    Again,
    /// It does again those of several things that are [`Standing::Again`] by themselves.
    ByItem,
}

/// What the next try does about a host that ended so.
pub fn of_outcome(outcome: &v1::HostOutcome) -> Standing {
    match &outcome.status {
        Some(status) if status.code != 0 => match reason(status) {
            Some(Reason::SomeItemsFailed) => Standing::ByItem,
            Some(reason) if !outcome.changed && !may_have_been_done(reason) => Standing::Again,
            _ => Standing::Stands,
        },
        _ => Standing::Stands,
    }
}

/// What the next try does about one of several things that ended so.
pub fn of_item(item: &v1::ItemResult) -> Standing {
    match item.status.as_ref().filter(|status| status.code != 0).map(reason) {
        Some(Some(reason)) if !item.changed && !may_have_been_done(reason) => Standing::Again,
        _ => Standing::Stands,
    }
}

/// Marks a recorded message as the answer of an earlier call.
pub fn mark<R: FanoutResponse>(message: R) -> R {
    let (host, envelope) = message.into_envelope();
    let envelope = match envelope {
        Some(Envelope::Outcome(outcome)) => {
            Envelope::Outcome(v1::HostOutcome { replayed: true, ..outcome })
        }
        Some(envelope) => envelope,
        None => Envelope::Heartbeat,
    };
    let mut message = R::from_envelope(host, envelope);
    if let Some(v1::CreateContainerResponse {
        event: Some(v1::create_container_response::Event::Container(container)),
        ..
    }) = (&mut message as &mut dyn Any).downcast_mut()
    {
        container.created = false;
    }
    message
}

/// Whether work that ended with this reason may have had an effect.
fn may_have_been_done(reason: Reason) -> bool {
    use Reason as R;
    match reason {
        // Sent, and what came of it is not known, or it broke in the middle.
        R::HostTimeout
        | R::ResultUnknown
        | R::EngineBadAnswer
        | R::EngineAnswerTooLarge
        | R::EngineError
        | R::Internal
        | R::SomeItemsFailed
        | R::SomeHostsFailed
        | R::AllHostsFailed
        | R::ServerStopping
        | R::DeadlineExceeded => true,
        // A transfer that failed left nothing but layers, which the next one finds.
        R::PullFailed | R::PushFailed | R::TransferStalled => false,
        // Nothing was sent, or only a read.
        R::HostUnreachable
        | R::HostTlsFailed
        | R::HostConnectionLost
        | R::HostSkipped
        | R::EngineApiVersion
        | R::StoreFailed
        | R::RequestInProgress => false,
        // The Engine, or the registry behind it, refused it as a whole.
        R::EngineBadRequest
        | R::EngineForbidden
        | R::ContainerNotFound
        | R::ImageNotFound
        | R::NetworkNotFound
        | R::VolumeNotFound
        | R::NameInUse
        | R::RemovalInProgress
        | R::EngineConflict
        | R::EngineUnsupported
        | R::EngineUnavailable
        | R::RegistryAuthRequired
        | R::RegistryRateLimited
        | R::RegistryUnavailable => false,
        // Of a request or of a rollout: said before any work on a host begins.
        _ => false,
    }
}

fn reason(status: &pb::Status) -> Option<Reason> {
    let info = status
        .details
        .iter()
        .filter(|detail| detail.type_url.ends_with("/google.rpc.ErrorInfo"))
        .filter_map(|detail| pb::ErrorInfo::decode(detail.value.as_slice()).ok())
        .find(|info| info.domain == ERROR_DOMAIN)?;
    Reason::parse(&info.reason)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::problem::Problem;

    /// The reasons after which a repetition gives the first answer. Every other one is tried again.
    const STAND: [Reason; 10] = [
        Reason::HostTimeout,
        Reason::ResultUnknown,
        Reason::EngineBadAnswer,
        Reason::EngineAnswerTooLarge,
        Reason::EngineError,
        Reason::Internal,
        Reason::SomeHostsFailed,
        Reason::AllHostsFailed,
        Reason::ServerStopping,
        Reason::DeadlineExceeded,
    ];

    fn status(reason: Reason) -> Option<pb::Status> {
        Some(Problem::new(reason, "failed").to_proto())
    }

    #[test]
    fn every_reason_stands_or_is_tried_again() {
        let stand: BTreeSet<_> = STAND.into_iter().collect();
        for reason in Reason::ALL.iter().copied() {
            let outcome =
                |changed| v1::HostOutcome { status: status(reason), changed, ..Default::default() };
            let item =
                |changed| v1::ItemResult { status: status(reason), changed, ..Default::default() };
            let expected = match reason {
                Reason::SomeItemsFailed => Standing::ByItem,
                reason if stand.contains(&reason) => Standing::Stands,
                _ => Standing::Again,
            };
            assert_eq!(of_outcome(&outcome(false)), expected, "{reason}");
            if reason != Reason::SomeItemsFailed {
                assert_eq!(of_item(&item(false)), expected, "{reason}");
                // Something was changed before it failed: a container created and not started.
                assert_eq!(of_outcome(&outcome(true)), Standing::Stands, "{reason}");
            }
            assert_eq!(of_item(&item(true)), Standing::Stands, "{reason}");
        }
    }

    #[test]
    fn unavailable_is_always_tried_again_and_unknown_effects_never() {
        use tonic::Code;
        for reason in Reason::ALL.iter().copied().filter(|it| *it != Reason::ServerStopping) {
            let code = reason.code();
            if matches!(code, Code::Unavailable | Code::Cancelled) {
                assert!(!may_have_been_done(reason), "{reason}");
            }
        }
        assert!(may_have_been_done(Reason::ResultUnknown));
    }

    #[test]
    fn success_stands_whether_it_changed_anything_or_not() {
        for changed in [false, true] {
            let outcome = v1::HostOutcome { changed, ..Default::default() };
            assert_eq!(of_outcome(&outcome), Standing::Stands);
            let item = v1::ItemResult { changed, ..Default::default() };
            assert_eq!(of_item(&item), Standing::Stands);
        }
    }

    #[test]
    fn what_a_later_version_recorded_stands() {
        let mut later = Problem::new(Reason::HostUnreachable, "failed").to_proto();
        later.details.clear();
        let outcome = v1::HostOutcome { status: Some(later), ..Default::default() };
        assert_eq!(of_outcome(&outcome), Standing::Stands);
    }
}
