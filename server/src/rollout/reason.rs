//! The reasons of rollouts, under the names that the parts of this module use.

pub use crate::domain::Reason;

/// The state of a host is not what the rollout left there: it needs manual repair.
pub const NEEDS_ATTENTION: Reason = Reason::RolloutNeedsAttention;
/// A name that the rollout needs is taken by a container that is not its own.
pub const NAME_IN_USE: Reason = Reason::NameInUse;
/// A container of the rollout no longer exists.
pub const CONTAINER_NOT_FOUND: Reason = Reason::ContainerNotFound;
/// A container changed after the rollout was planned.
pub const CONTAINER_CHANGED: Reason = Reason::RolloutContainerChanged;
/// The new container did not stay healthy.
pub const GATE_FAILED: Reason = Reason::RolloutGateFailed;
/// More hosts failed than the policy allows.
pub const BUDGET_EXCEEDED: Reason = Reason::RolloutBudgetExceeded;
/// No host finished within the progress deadline, or none may start.
pub const STALLED: Reason = Reason::RolloutStalled;
/// More hosts were left out for not answering than the policy allows.
pub const TOO_MANY_UNREACHABLE: Reason = Reason::RolloutTooManyUnreachable;
/// The canary is done and waits to be promoted.
pub const AWAITS_PROMOTION: Reason = Reason::RolloutAwaitsPromotion;
/// The rollout ended, but some hosts are not on the intended version.
pub const INCOMPLETE: Reason = Reason::RolloutIncomplete;
/// A host got another image than the others.
pub const IMAGE_DIFFERS: Reason = Reason::RolloutImageDiffers;
/// A drain or verify command did not end with 0.
pub const HOOK_FAILED: Reason = Reason::RolloutHookFailed;
/// The new container's settings differ from the requested ones, and the policy is strict.
pub const SETTINGS_DIFFER: Reason = Reason::RolloutSettingsDiffer;
/// The container is not running, and the policy refuses that.
pub const CONTAINER_STOPPED: Reason = Reason::RolloutContainerStopped;
/// The policy requires a health check, but the new container has none.
pub const NO_HEALTH_CHECK: Reason = Reason::RolloutNoHealthCheck;
/// The tag no longer points to the pulled image.
pub const IMAGE_MOVED: Reason = Reason::RolloutImageMoved;
/// The image is not there.
pub const IMAGE_NOT_FOUND: Reason = Reason::ImageNotFound;
/// An Engine did not answer in time.
pub const HOST_TIMEOUT: Reason = Reason::HostTimeout;
/// A bug of this server.
pub const INTERNAL: Reason = Reason::Internal;
/// The new container cannot run beside the old one.
pub const START_FIRST_IMPOSSIBLE: Reason = Reason::RolloutStartFirstImpossible;
/// No selected host has the container.
pub const NOTHING_TO_DO: Reason = Reason::RolloutNothingToDo;
/// A container depends on this one.
pub const DEPENDENT_CONTAINER: Reason = Reason::DependentContainer;
/// A field of the request is wrong.
pub const INVALID_FIELD: Reason = Reason::InvalidField;
