//! Why something was not done, as a constant that programs can rely on, with its gRPC code. The one
//! list of them: `docs/errors.md` has a row for each, and a test compares the two.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tonic::Code;

macro_rules! reasons {
    (@after) => { None };
    (@after $seconds:literal) => { Some(Duration::from_secs($seconds)) };
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal $code:ident $(retry $seconds:literal)?,)+) => {
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

            /// The gRPC code that goes with it.
            #[must_use]
            pub const fn code(self) -> Code {
                match self {
                    $(Self::$variant => Code::$code,)+
                }
            }

            /// When a retry may succeed, for the reasons that go away by themselves: the `RetryInfo`
            /// that docs/errors.md promises.
            #[must_use]
            pub const fn retry_after(self) -> Option<Duration> {
                match self {
                    $(Self::$variant => reasons!(@after $($seconds)?),)+
                }
            }
        }
    };
}

reasons! {
    // Of the request.
    /// A field is wrong.
    InvalidField = "INVALID_FIELD" InvalidArgument,
    /// The request has a field that this server does not know.
    UnknownField = "UNKNOWN_FIELD" InvalidArgument,
    /// A named host is not in the inventory.
    HostNotFound = "HOST_NOT_FOUND" NotFound,
    /// The selection leaves no host.
    NoHostsMatched = "NO_HOSTS_MATCHED" NotFound,
    /// The inventory is empty.
    NoHosts = "NO_HOSTS" FailedPrecondition,
    /// The name is taken by another host.
    HostExists = "HOST_EXISTS" AlreadyExists,
    /// The host comes from the configuration file.
    HostReadOnly = "HOST_READ_ONLY" FailedPrecondition,
    /// Views are off, and the call needs them.
    ViewDisabled = "VIEW_DISABLED" FailedPrecondition,
    /// The host is cordoned, and the call would change something there.
    HostCordoned = "HOST_CORDONED" FailedPrecondition,
    /// No credentials are stored for the registry.
    LoginNotFound = "LOGIN_NOT_FOUND" NotFound,
    /// The caller has no session of that ID.
    SessionNotFound = "SESSION_NOT_FOUND" NotFound,
    /// Input of a session came at another position than the next one.
    SessionInputOrder = "SESSION_INPUT_ORDER" FailedPrecondition,
    /// The request ID was already used for another request.
    RequestIdReused = "REQUEST_ID_REUSED" AlreadyExists,
    /// The first call with this request ID is still in progress.
    RequestInProgress = "REQUEST_IN_PROGRESS" Aborted retry 1,
    /// The listener requires a token or a client certificate.
    CredentialsRequired = "CREDENTIALS_REQUIRED" Unauthenticated,
    /// The caller's role is too low for the method.
    RoleRequired = "ROLE_REQUIRED" PermissionDenied,
    /// The host name of the request is not one of this server.
    AuthorityRefused = "AUTHORITY_REFUSED" PermissionDenied,
    /// The origin of the request is not allowed.
    OriginRefused = "ORIGIN_REFUSED" PermissionDenied,
    /// Too many calls of the caller's address were refused.
    TooManyRefusedCalls = "TOO_MANY_REFUSED_CALLS" ResourceExhausted retry 5,
    /// The server has no such method.
    MethodNotFound = "METHOD_NOT_FOUND" Unimplemented,
    /// The server is stopping.
    ServerStopping = "SERVER_STOPPING" Unavailable,
    /// The caller's deadline passed before the answer was complete.
    DeadlineExceeded = "DEADLINE_EXCEEDED" DeadlineExceeded,
    /// No rollout has that ID.
    RolloutNotFound = "ROLLOUT_NOT_FOUND" NotFound,
    /// Another rollout has a claim on the container.
    RolloutActive = "ROLLOUT_ACTIVE" FailedPrecondition,
    /// The rollout has ended.
    RolloutEnded = "ROLLOUT_ENDED" FailedPrecondition,
    /// Not possible in the current phase of the rollout.
    RolloutState = "ROLLOUT_STATE" FailedPrecondition,
    /// The rollout changed after the caller read it.
    RevisionChanged = "REVISION_CHANGED" Aborted,
    /// The plan shows that the rollout cannot end well.
    PlanRefused = "PLAN_REFUSED" FailedPrecondition,
    /// The plan differs from the expected one.
    PlanChanged = "PLAN_CHANGED" FailedPrecondition,
    /// Another rollout changed a container between the plan and its record.
    PlanOutdated = "PLAN_OUTDATED" Aborted retry 1,
    /// Another server has taken the store over.
    ServerReplaced = "SERVER_REPLACED" FailedPrecondition,
    /// The caller has too many concurrent calls.
    TooManyCalls = "TOO_MANY_CALLS" ResourceExhausted retry 1,
    /// The disk of the store is full.
    StoreFull = "STORE_FULL" ResourceExhausted,
    /// The files of the store cannot be written.
    StoreReadOnly = "STORE_READ_ONLY" FailedPrecondition,
    /// Another process has locked the store.
    StoreBusy = "STORE_BUSY" Unavailable retry 5,
    /// The store is damaged.
    StoreCorrupt = "STORE_CORRUPT" DataLoss,
    /// The store cannot be read or written for another reason.
    StoreFailed = "STORE_FAILED" Internal,
    /// A bug of this server.
    Internal = "INTERNAL" Internal,

    // At the end of a call on several hosts.
    /// A call that changes something failed on some hosts.
    SomeHostsFailed = "SOME_HOSTS_FAILED" Aborted,
    /// No host succeeded, and they failed for different reasons.
    AllHostsFailed = "ALL_HOSTS_FAILED" Aborted,
    /// Some of several items failed on one host.
    SomeItemsFailed = "SOME_ITEMS_FAILED" Aborted,

    // Of one host: the connection.
    /// No connection could be made.
    HostUnreachable = "HOST_UNREACHABLE" Unavailable,
    /// The server has no file descriptor, port or memory for a connection.
    ServerExhausted = "SERVER_EXHAUSTED" ResourceExhausted,
    /// TLS could not be set up.
    HostTlsFailed = "HOST_TLS_FAILED" FailedPrecondition,
    /// The host key of the sshd differs from the known one.
    SshHostKeyChanged = "SSH_HOST_KEY_CHANGED" FailedPrecondition,
    /// The host key of the sshd is not known.
    SshHostKeyUnknown = "SSH_HOST_KEY_UNKNOWN" FailedPrecondition,
    /// The sshd refuses the login.
    SshPermissionDenied = "SSH_PERMISSION_DENIED" PermissionDenied,
    /// The server's machine has no program `ssh`.
    SshNotInstalled = "SSH_NOT_INSTALLED" FailedPrecondition,
    /// The login works, but the Engine's socket cannot be reached through it.
    SshSocketUnavailable = "SSH_SOCKET_UNAVAILABLE" Unavailable,
    /// The connection of a read broke.
    HostConnectionLost = "HOST_CONNECTION_LOST" Unavailable retry 1,
    /// The time for the host is spent.
    HostTimeout = "HOST_TIMEOUT" DeadlineExceeded,
    /// The deadline passed before the host's turn.
    HostSkipped = "HOST_SKIPPED" Cancelled,
    /// A write was sent, but no response arrived.
    ResultUnknown = "RESULT_UNKNOWN" Unknown,
    /// The response is not from a Docker Engine, or is invalid.
    EngineBadAnswer = "ENGINE_BAD_ANSWER" Unknown,
    /// The answer is larger than the cap for its kind.
    EngineAnswerTooLarge = "ENGINE_ANSWER_TOO_LARGE" ResourceExhausted,
    /// The responses of all hosts exceed the memory limit.
    AnswerMemoryFull = "ANSWER_MEMORY_FULL" ResourceExhausted,
    /// Server and Engine share no API version.
    EngineApiVersion = "ENGINE_API_VERSION" Unimplemented,

    // Of one host: the Engine.
    /// The Engine rejects the request as invalid.
    EngineBadRequest = "ENGINE_BAD_REQUEST" InvalidArgument,
    /// The Engine or a plugin of it refuses.
    EngineForbidden = "ENGINE_FORBIDDEN" PermissionDenied,
    /// No such container there.
    ContainerNotFound = "CONTAINER_NOT_FOUND" NotFound,
    /// No such image there, or in the registry.
    ImageNotFound = "IMAGE_NOT_FOUND" NotFound,
    /// The image is for another platform than that of the host, or the requested one.
    ImagePlatform = "IMAGE_PLATFORM" FailedPrecondition,
    /// No such network there.
    NetworkNotFound = "NETWORK_NOT_FOUND" NotFound,
    /// No such volume there.
    VolumeNotFound = "VOLUME_NOT_FOUND" NotFound,
    /// No such path in the container.
    PathNotFound = "PATH_NOT_FOUND" NotFound,
    /// Another container has the name.
    NameInUse = "NAME_IN_USE" AlreadyExists,
    /// The container is being removed.
    RemovalInProgress = "REMOVAL_IN_PROGRESS" Aborted retry 1,
    /// Running, not running, or in use.
    EngineConflict = "ENGINE_CONFLICT" FailedPrecondition,
    /// The container does not have the program that it is to run.
    CommandNotFound = "COMMAND_NOT_FOUND" FailedPrecondition,
    /// The program that a container is to run cannot be executed.
    CommandNotExecutable = "COMMAND_NOT_EXECUTABLE" FailedPrecondition,
    /// A command in a container did not exit with 0.
    CommandFailed = "COMMAND_FAILED" FailedPrecondition,
    /// The Engine failed.
    EngineError = "ENGINE_ERROR" Unknown,
    /// The Engine cannot do that.
    EngineUnsupported = "ENGINE_UNSUPPORTED" Unimplemented,
    /// The Engine is starting or overloaded.
    EngineUnavailable = "ENGINE_UNAVAILABLE" Unavailable retry 5,

    // Of one host: images and registries.
    /// The registry requires credentials, or refuses the given ones.
    RegistryAuthRequired = "REGISTRY_AUTH_REQUIRED" PermissionDenied,
    /// The registry's limit is reached. Registries that limit pulls count them over hours; a minute is
    /// the least that helps.
    RegistryRateLimited = "REGISTRY_RATE_LIMITED" ResourceExhausted retry 60,
    /// The Engine cannot reach the registry.
    RegistryUnavailable = "REGISTRY_UNAVAILABLE" Unavailable,
    /// The pull broke off or ended in an error.
    PullFailed = "PULL_FAILED" Unknown,
    /// The push broke off or ended in an error.
    PushFailed = "PUSH_FAILED" Unknown,
    /// An archive of images could not be loaded, or another image arrived.
    LoadFailed = "LOAD_FAILED" Unknown,
    /// A step of a build failed, or its Dockerfile is invalid.
    BuildFailed = "BUILD_FAILED" FailedPrecondition,
    /// A transfer made no progress.
    TransferStalled = "TRANSFER_STALLED" DeadlineExceeded,
    /// This server has no disk space for what is to be sent.
    UploadDiskFull = "UPLOAD_DISK_FULL" ResourceExhausted,
    /// The source of what is to be sent ended too early.
    UploadInterrupted = "UPLOAD_INTERRUPTED" Aborted,

    // Of a rollout.
    /// The new container cannot run beside the old one.
    RolloutStartFirstImpossible = "ROLLOUT_START_FIRST_IMPOSSIBLE" FailedPrecondition,
    /// No selected host has the container.
    RolloutNothingToDo = "ROLLOUT_NOTHING_TO_DO" FailedPrecondition,
    /// A container changed after the rollout was planned.
    RolloutContainerChanged = "ROLLOUT_CONTAINER_CHANGED" FailedPrecondition,
    /// A host got another image than the others.
    RolloutImageDiffers = "ROLLOUT_IMAGE_DIFFERS" FailedPrecondition,
    /// The new container did not stay healthy.
    RolloutGateFailed = "ROLLOUT_GATE_FAILED" FailedPrecondition,
    /// The state of a host is not what the rollout left there: it needs manual repair.
    RolloutNeedsAttention = "ROLLOUT_NEEDS_ATTENTION" FailedPrecondition,
    /// More hosts failed than the policy allows.
    RolloutBudgetExceeded = "ROLLOUT_BUDGET_EXCEEDED" FailedPrecondition,
    /// No host finished within the progress deadline, or none may start.
    RolloutStalled = "ROLLOUT_STALLED" FailedPrecondition,
    /// More hosts do not answer than the policy allows.
    RolloutTooManyUnreachable = "ROLLOUT_TOO_MANY_UNREACHABLE" FailedPrecondition,
    /// The canary is done and waits to be promoted.
    RolloutAwaitsPromotion = "ROLLOUT_AWAITS_PROMOTION" FailedPrecondition,
    /// The rollout ended, but some hosts are not on the intended version.
    RolloutIncomplete = "ROLLOUT_INCOMPLETE" FailedPrecondition,
    /// A drain or verify command did not end with 0.
    RolloutHookFailed = "ROLLOUT_HOOK_FAILED" FailedPrecondition,
    /// The new container's settings differ from the requested ones, and the policy is strict.
    RolloutSettingsDiffer = "ROLLOUT_SETTINGS_DIFFER" FailedPrecondition,
    /// The container is not running, and the policy refuses that.
    RolloutContainerStopped = "ROLLOUT_CONTAINER_STOPPED" FailedPrecondition,
    /// The policy requires a health check, but the new container has none.
    RolloutNoHealthCheck = "ROLLOUT_NO_HEALTH_CHECK" FailedPrecondition,
    /// The tag no longer points to the pulled image.
    RolloutImageMoved = "ROLLOUT_IMAGE_MOVED" FailedPrecondition,
    /// Another container depends on this one.
    DependentContainer = "DEPENDENT_CONTAINER" FailedPrecondition,
    /// The container shares a namespace with one that no longer exists.
    NamespaceGone = "NAMESPACE_GONE" FailedPrecondition,
    /// The image of the old container is gone.
    OldImageMissing = "OLD_IMAGE_MISSING" FailedPrecondition,
    /// The name is that of a container that a rollout left.
    RetainedContainer = "RETAINED_CONTAINER" FailedPrecondition,
    /// The container is a task of Swarm.
    SwarmTask = "SWARM_TASK" FailedPrecondition,
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
