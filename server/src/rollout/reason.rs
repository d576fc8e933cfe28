//! Reasons of troubles that only rollouts have; docs/errors.md explains each.

/// What is found on a host is not what the rollout left there: a person must look.
pub const NEEDS_ATTENTION: &str = "ROLLOUT_NEEDS_ATTENTION";
/// A name that the rollout needs is taken by a container that is not its own.
pub const NAME_IN_USE: &str = "NAME_IN_USE";
/// A container of the rollout is not there any more.
pub const CONTAINER_NOT_FOUND: &str = "CONTAINER_NOT_FOUND";
/// A container is not any more as it was when the rollout was planned.
pub const CONTAINER_CHANGED: &str = "ROLLOUT_CONTAINER_CHANGED";
/// The new container did not stay good.
pub const GATE_FAILED: &str = "ROLLOUT_GATE_FAILED";
/// More hosts failed than the policy allows.
pub const BUDGET_EXCEEDED: &str = "ROLLOUT_BUDGET_EXCEEDED";
/// No host was finished within the progress deadline, or none may be begun.
pub const STALLED: &str = "ROLLOUT_STALLED";
/// More hosts were left out for not answering than the policy allows.
pub const TOO_MANY_UNREACHABLE: &str = "ROLLOUT_TOO_MANY_UNREACHABLE";
/// The canary is done and waits to be promoted.
pub const AWAITS_PROMOTION: &str = "ROLLOUT_AWAITS_PROMOTION";
/// The rollout ended, and some hosts are not where they should be.
pub const INCOMPLETE: &str = "ROLLOUT_INCOMPLETE";
/// A host got another image than the others.
pub const IMAGE_DIFFERS: &str = "ROLLOUT_IMAGE_DIFFERS";
/// A drain or verify command did not end with 0.
pub const HOOK_FAILED: &str = "ROLLOUT_HOOK_FAILED";
/// The new container's settings are not what was asked for, and the policy is strict.
pub const SETTINGS_DIFFER: &str = "ROLLOUT_SETTINGS_DIFFER";
/// The policy wants a health check, and the new container has none.
pub const NO_HEALTH_CHECK: &str = "ROLLOUT_NO_HEALTH_CHECK";
/// The image under the name is not any more what was pulled.
pub const IMAGE_MOVED: &str = "ROLLOUT_IMAGE_MOVED";
/// The image is not there.
pub const IMAGE_NOT_FOUND: &str = "IMAGE_NOT_FOUND";
/// An Engine did not answer in time.
pub const HOST_TIMEOUT: &str = "HOST_TIMEOUT";
/// A bug of this server.
pub const INTERNAL: &str = "INTERNAL";
/// The new container cannot start beside the old one.
pub const START_FIRST_IMPOSSIBLE: &str = "ROLLOUT_START_FIRST_IMPOSSIBLE";
/// No selected host has the container.
pub const NOTHING_TO_DO: &str = "ROLLOUT_NOTHING_TO_DO";
