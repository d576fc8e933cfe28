//! Rolling upgrades: replace a container on many hosts, a few at a time, behind gates, with a state
//! that survives a crash of the server at any moment.

pub mod clock;
pub mod control;
pub mod decide;
pub mod driver;
pub mod executor;
pub mod facts;
pub mod fingerprint;
pub mod history;
pub mod hosts;
pub mod journal;
pub mod model;
pub mod plan;
pub mod recreate;
pub mod requests;
pub mod retention;
pub mod spec;
pub mod state;
pub mod step;
pub mod supervisor;
mod sweeper;
