//! The parts of `wharfd`, the server of Wharf.

pub mod config;
pub mod domain;
pub mod engine;
pub mod store;
