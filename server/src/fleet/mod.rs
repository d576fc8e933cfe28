//! The fleet: which hosts there are, which of them a call is for, and the fan-out to them.
//!
//! - [`inventory`]: the hosts, from file, API and store.
//! - [`select`]: pure; a selection and the inventory give the hosts of a call.
//! - [`fanout`]: work on many hosts at once, with a [`budget`] and one [`outcome`] a host.
//! - [`pool`]: the Engine of each host.

pub mod budget;
pub mod fanout;
pub mod inventory;
pub mod outcome;
pub mod pool;
pub mod select;

pub use outcome::{Done, HostError, HostEvent, HostOutcome};
