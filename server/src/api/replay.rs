//! What a retry with the same `request_id` does: repeat the first result, or do the work again.
//! Pure: it depends on the result of a host or of one of its items.
//!
//! The rule: work that was done, or may have been done, is answered from the record. If provably
//! nothing was done, the retry does the work again.

use std::any::Any;

use prost::Message;
use tonic_types::pb;
use wharf::ERROR_DOMAIN;
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1;

use crate::domain::Reason;

/// What the retry does for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Repeats the recorded result.
    Stands,
    /// Does the work again.
    Again,
    /// Repeats those of several items that are [`Standing::Again`].
    ByItem,
}

/// What the retry does for a host with this result.
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

/// What the retry does for an item with this result.
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
        // Sent, but the result is unknown, or it was interrupted.
        R::HostTimeout
        | R::ResultUnknown
        | R::EngineBadAnswer
        | R::EngineAnswerTooLarge
        | R::EngineError
        | R::CommandFailed
        | R::Internal
        | R::SomeItemsFailed
        | R::SomeHostsFailed
        | R::AllHostsFailed
        | R::ServerStopping
        | R::DeadlineExceeded => true,
        // A failed transfer leaves only layers, which the next one reuses.
        R::PullFailed | R::PushFailed | R::LoadFailed | R::TransferStalled => false,
        // Nothing was sent, or only a read.
        R::HostUnreachable
        | R::HostTlsFailed
        | R::SshHostKeyChanged
        | R::SshHostKeyUnknown
        | R::SshPermissionDenied
        | R::SshNotInstalled
        | R::SshSocketUnavailable
        | R::HostConnectionLost
        | R::HostSkipped
        | R::EngineApiVersion
        | R::StoreFailed
        | R::RequestInProgress => false,
        // The Engine, or its registry, refused it as a whole.
        R::EngineBadRequest
        | R::EngineForbidden
        | R::ContainerNotFound
        | R::ImageNotFound
        | R::NetworkNotFound
        | R::VolumeNotFound
        | R::PathNotFound
        | R::NameInUse
        | R::RemovalInProgress
        | R::EngineConflict
        | R::CommandNotFound
        | R::CommandNotExecutable
        | R::EngineUnsupported
        | R::EngineUnavailable
        | R::RegistryAuthRequired
        | R::RegistryRateLimited
        | R::RegistryUnavailable => false,
        // About a request or a rollout: reported before any work on a host starts.
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

    /// The reasons for which a retry repeats the first result. All others are tried again.
    const STAND: [Reason; 11] = [
        Reason::HostTimeout,
        Reason::ResultUnknown,
        Reason::EngineBadAnswer,
        Reason::EngineAnswerTooLarge,
        Reason::EngineError,
        Reason::Internal,
        Reason::CommandFailed,
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
                // Something changed before the failure: a container was created but not started.
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
