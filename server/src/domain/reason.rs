//! The reasons of errors, as constants that programs can rely on. This is the only list of them:
//! `docs/errors.md` has a row for each, `api/table.rs` the gRPC code, and a test compares all
//! three.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+) => {
        /// A reason of an error, as in `google.rpc.ErrorInfo.reason`.
        ///
        /// The texts are part of the contract and of the journal: a reason may be added, but none
        /// may be renamed without a place in `RENAMED`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The constant, such as `HOST_NOT_FOUND`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

reasons! {
    // Of the request.
    /// A field is wrong.
    InvalidField = "INVALID_FIELD",
    /// The request has a field that this server does not know.
    UnknownField = "UNKNOWN_FIELD",
    /// A named host is not in the inventory.
    HostNotFound = "HOST_NOT_FOUND",
    /// The selection leaves no host.
    NoHostsMatched = "NO_HOSTS_MATCHED",
    /// The inventory is empty.
    NoHosts = "NO_HOSTS",
    /// The name is taken by another host.
    HostExists = "HOST_EXISTS",
    /// The host comes from the configuration file.
    HostReadOnly = "HOST_READ_ONLY",
    /// No credentials are stored for the registry.
    LoginNotFound = "LOGIN_NOT_FOUND",
    /// The request ID was already used for another request.
    RequestIdReused = "REQUEST_ID_REUSED",
    /// The first call with this request ID is still in progress.
    RequestInProgress = "REQUEST_IN_PROGRESS",
    /// The listener requires a token or a client certificate.
    CredentialsRequired = "CREDENTIALS_REQUIRED",
    /// The caller's role is too low for the method.
    RoleRequired = "ROLE_REQUIRED",
    /// The host name of the request is not one of this server.
    AuthorityRefused = "AUTHORITY_REFUSED",
    /// The origin of the request is not allowed.
    OriginRefused = "ORIGIN_REFUSED",
    /// Too many calls of the caller's address were refused.
    TooManyRefusedCalls = "TOO_MANY_REFUSED_CALLS",
    /// The server has no such method.
    MethodNotFound = "METHOD_NOT_FOUND",
    /// The server is stopping.
    ServerStopping = "SERVER_STOPPING",
    /// The caller's deadline passed before the answer was complete.
    DeadlineExceeded = "DEADLINE_EXCEEDED",
    /// No rollout has that ID.
    RolloutNotFound = "ROLLOUT_NOT_FOUND",
    /// Another rollout has a claim on the container.
    RolloutActive = "ROLLOUT_ACTIVE",
    /// The rollout has ended.
    RolloutEnded = "ROLLOUT_ENDED",
    /// Not possible in the current phase of the rollout.
    RolloutState = "ROLLOUT_STATE",
    /// The rollout changed after the caller read it.
    RevisionChanged = "REVISION_CHANGED",
    /// The plan shows that the rollout cannot end well.
    PlanRefused = "PLAN_REFUSED",
    /// The plan differs from the expected one.
    PlanChanged = "PLAN_CHANGED",
    /// Another rollout changed a container between the plan and its record.
    PlanOutdated = "PLAN_OUTDATED",
    /// Another server has taken the store over.
    ServerReplaced = "SERVER_REPLACED",
    /// The caller has too many concurrent calls.
    TooManyCalls = "TOO_MANY_CALLS",
    /// The disk of the store is full.
    StoreFull = "STORE_FULL",
    /// The files of the store cannot be written.
    StoreReadOnly = "STORE_READ_ONLY",
    /// Another process has locked the store.
    StoreBusy = "STORE_BUSY",
    /// The store is damaged.
    StoreCorrupt = "STORE_CORRUPT",
    /// The store cannot be read or written for another reason.
    StoreFailed = "STORE_FAILED",
    /// A bug of this server.
    Internal = "INTERNAL",

    // At the end of a call on several hosts.
    /// A call that changes something failed on some hosts.
    SomeHostsFailed = "SOME_HOSTS_FAILED",
    /// No host succeeded, and they failed for different reasons.
    AllHostsFailed = "ALL_HOSTS_FAILED",
    /// Some of several items failed on one host.
    SomeItemsFailed = "SOME_ITEMS_FAILED",

    // Of one host: the connection.
    /// No connection could be made.
    HostUnreachable = "HOST_UNREACHABLE",
    /// The server has no file descriptor, port or memory for a connection.
    ServerExhausted = "SERVER_EXHAUSTED",
    /// TLS could not be set up.
    HostTlsFailed = "HOST_TLS_FAILED",
    /// The connection of a read broke.
    HostConnectionLost = "HOST_CONNECTION_LOST",
    /// The time for the host is spent.
    HostTimeout = "HOST_TIMEOUT",
    /// The deadline passed before the host's turn.
    HostSkipped = "HOST_SKIPPED",
    /// A write was sent, but no response arrived.
    ResultUnknown = "RESULT_UNKNOWN",
    /// The response is not from a Docker Engine, or is invalid.
    EngineBadAnswer = "ENGINE_BAD_ANSWER",
    /// The answer is larger than the cap for its kind.
    EngineAnswerTooLarge = "ENGINE_ANSWER_TOO_LARGE",
    /// The responses of all hosts exceed the memory limit.
    AnswerMemoryFull = "ANSWER_MEMORY_FULL",
    /// Server and Engine share no API version.
    EngineApiVersion = "ENGINE_API_VERSION",

    // Of one host: the Engine.
    /// The Engine rejects the request as invalid.
    EngineBadRequest = "ENGINE_BAD_REQUEST",
    /// The Engine or a plugin of it refuses.
    EngineForbidden = "ENGINE_FORBIDDEN",
    /// No such container there.
    ContainerNotFound = "CONTAINER_NOT_FOUND",
    /// No such image there, or in the registry.
    ImageNotFound = "IMAGE_NOT_FOUND",
    /// The image is for another platform than that of the host, or the requested one.
    ImagePlatform = "IMAGE_PLATFORM",
    /// No such network there.
    NetworkNotFound = "NETWORK_NOT_FOUND",
    /// No such volume there.
    VolumeNotFound = "VOLUME_NOT_FOUND",
    /// Another container has the name.
    NameInUse = "NAME_IN_USE",
    /// The container is being removed.
    RemovalInProgress = "REMOVAL_IN_PROGRESS",
    /// Running, not running, or in use.
    EngineConflict = "ENGINE_CONFLICT",
    /// The Engine failed.
    EngineError = "ENGINE_ERROR",
    /// The Engine cannot do that.
    EngineUnsupported = "ENGINE_UNSUPPORTED",
    /// The Engine is starting or overloaded.
    EngineUnavailable = "ENGINE_UNAVAILABLE",

    // Of one host: images and registries.
    /// The registry requires credentials, or refuses the given ones.
    RegistryAuthRequired = "REGISTRY_AUTH_REQUIRED",
    /// The registry's limit is reached.
    RegistryRateLimited = "REGISTRY_RATE_LIMITED",
    /// The Engine cannot reach the registry.
    RegistryUnavailable = "REGISTRY_UNAVAILABLE",
    /// The pull broke off or ended in an error.
    PullFailed = "PULL_FAILED",
    /// The push broke off or ended in an error.
    PushFailed = "PUSH_FAILED",
    /// A transfer made no progress.
    TransferStalled = "TRANSFER_STALLED",

    // Of a rollout.
    /// The new container cannot start beside the old one.
    RolloutStartFirstImpossible = "ROLLOUT_START_FIRST_IMPOSSIBLE",
    /// No selected host has the container.
    RolloutNothingToDo = "ROLLOUT_NOTHING_TO_DO",
    /// A container changed after the rollout was planned.
    RolloutContainerChanged = "ROLLOUT_CONTAINER_CHANGED",
    /// A host got another image than the others.
    RolloutImageDiffers = "ROLLOUT_IMAGE_DIFFERS",
    /// The new container did not stay healthy.
    RolloutGateFailed = "ROLLOUT_GATE_FAILED",
    /// The state of a host is not what the rollout left there: it needs manual repair.
    RolloutNeedsAttention = "ROLLOUT_NEEDS_ATTENTION",
    /// More hosts failed than the policy allows.
    RolloutBudgetExceeded = "ROLLOUT_BUDGET_EXCEEDED",
    /// No host finished within the progress deadline, or none may start.
    RolloutStalled = "ROLLOUT_STALLED",
    /// More hosts do not answer than the policy allows.
    RolloutTooManyUnreachable = "ROLLOUT_TOO_MANY_UNREACHABLE",
    /// The canary is done and waits to be promoted.
    RolloutAwaitsPromotion = "ROLLOUT_AWAITS_PROMOTION",
    /// The rollout ended, but some hosts are not on the intended version.
    RolloutIncomplete = "ROLLOUT_INCOMPLETE",
    /// A drain or verify command did not end with 0.
    RolloutHookFailed = "ROLLOUT_HOOK_FAILED",
    /// The new container's settings differ from the requested ones, and the policy is strict.
    RolloutSettingsDiffer = "ROLLOUT_SETTINGS_DIFFER",
    /// The container is not running, and the policy refuses that.
    RolloutContainerStopped = "ROLLOUT_CONTAINER_STOPPED",
    /// The policy requires a health check, but the new container has none.
    RolloutNoHealthCheck = "ROLLOUT_NO_HEALTH_CHECK",
    /// The tag no longer points to the pulled image.
    RolloutImageMoved = "ROLLOUT_IMAGE_MOVED",
    /// Another container depends on this one.
    DependentContainer = "DEPENDENT_CONTAINER",
    /// The container shares a namespace with one that no longer exists.
    NamespaceGone = "NAMESPACE_GONE",
    /// The image of the old container is gone.
    OldImageMissing = "OLD_IMAGE_MISSING",
    /// The name is that of a container that a rollout left.
    RetainedContainer = "RETAINED_CONTAINER",
    /// The container is a task of Swarm.
    SwarmTask = "SWARM_TASK",
}

/// Names in journals of earlier versions, with the current reasons.
const RENAMED: &[(&str, Reason)] =
    &[("START_FIRST_IMPOSSIBLE", Reason::RolloutStartFirstImpossible)];

impl Reason {
    /// The reason for a text; `None` if there is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let renamed = || RENAMED.iter().find(|(old, _)| *old == text).map(|(_, reason)| *reason);
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text).or_else(renamed)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Reason {
    /// A journal stays readable even with an unknown reason: the text beside it says more.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self::parse(&text).unwrap_or(Self::Internal))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_is_read_as_it_is_written() {
        let texts: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(texts.len(), Reason::ALL.len(), "two reasons share a text");
        for reason in Reason::ALL {
            let json = serde_json::to_string(reason).unwrap();
            assert_eq!(json, format!("\"{reason}\""));
            assert_eq!(serde_json::from_str::<Reason>(&json).unwrap(), *reason);
        }
    }

    #[test]
    fn a_journal_of_another_version_is_read() {
        let read = |text: &str| serde_json::from_str::<Reason>(text).unwrap();
        let renamed = read("\"START_FIRST_IMPOSSIBLE\"");
        assert_eq!(renamed, Reason::RolloutStartFirstImpossible);
        assert_eq!(read("\"OF_A_LATER_VERSION\""), Reason::Internal);
        assert!(
            !Reason::ALL
                .iter()
                .any(|reason| RENAMED.iter().any(|(old, _)| *old == reason.as_str()))
        );
    }
}
