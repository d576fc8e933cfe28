//! `wharfd`, the server of Wharf: one gRPC API in front of many Docker Engines.
//!
//! A request takes one path: [`api`] converts and checks it, [`fleet`] selects the hosts and fans
//! out the work, [`engine`] talks to one host each, and the outcomes return as a stream. [`store`]
//! keeps the persistent state, [`config`] is the configuration, [`body`] creates the Engine's JSON,
//! [`domain`] has the plain values that all of them share. [`metrics`] shows operators what was
//! measured, [`traces`] what became of single calls. [`app`] connects the parts.

pub mod api;
pub mod app;
pub mod body;
pub mod config;
pub mod domain;
pub mod engine;
pub mod fleet;
pub mod listener;
pub mod metrics;
pub mod page;
pub mod registry;
pub mod rollout;
pub mod store;
pub mod traces;

// What the unit tests share with the simulator, which links this library.
#[cfg(test)]
extern crate self as wharf_server;
#[cfg(test)]
#[path = "../../tests/simulator/src/journal.rs"]
mod memory_journal;
