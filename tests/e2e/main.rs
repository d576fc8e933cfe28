//! End to end: real Docker Engines, real registries, the real binaries. A file is a behaviour.

mod bad_input;
mod containers;
mod contract;
mod create;
mod create_flags;
mod credentials;
mod durability;
mod generations;
mod hosts;
mod images;
mod other_clients;
mod partial_failure;
mod pressure;
mod pulls;
mod recreate;
mod refusals;
mod reload;
mod rollout_command;
mod rollout_features;
mod rollout_host;
mod rollouts;
mod rollouts_kill;
mod shutdown;
mod support;
mod testbed_works;
mod tls;
