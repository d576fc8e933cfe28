//! The fleet: the inventory of hosts, the selection for a call, and the fan-out to them.
//!
//! - [`inventory`]: the hosts, from file, API and store.
//! - [`select`]: pure; applies a selection to the inventory.
//! - [`fanout`]: work on many hosts in parallel, with a [`budget`] and one [`outcome`] per host.
//! - [`breaker`]: whether a host answers, so that an unreachable one does not delay reads.
//! - [`pool`]: the Engine of each host.
//! - [`trace`]: what those who trace a call are told of its hosts.
//! - [`view`]: what is known of hosts without asking.

pub mod breaker;
pub mod budget;
pub mod fanout;
pub mod inventory;
pub mod outcome;
pub mod pool;
pub mod select;
pub mod trace;
pub mod view;

pub use breaker::Unreachable;
pub use outcome::{Done, HostError, HostEvent, HostOutcome};
