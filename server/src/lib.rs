//! `wharfd`, the server of Wharf: one gRPC API in front of many Docker Engines.
//!
//! A request goes one way: [`api`] converts and checks it, [`fleet`] chooses the hosts and
//! fans the work out, [`engine`] speaks to one host each, and the outcomes come back as a
//! stream. [`store`] keeps what must survive a restart, [`config`] is what the operator said,
//! [`body`] makes the Engine's JSON, [`domain`] are the plain values that all of them share. [`app`] puts the parts together.

pub mod api;
pub mod app;
pub mod body;
pub mod config;
pub mod domain;
pub mod engine;
pub mod fleet;
pub mod listener;
pub mod rollout;
pub mod store;

// What the unit tests share with the simulator, which links this library.
#[cfg(test)]
extern crate self as wharf_server;
#[cfg(test)]
#[path = "../../tests/simulator/src/journal.rs"]
mod memory_journal;
