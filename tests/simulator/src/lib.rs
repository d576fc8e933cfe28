//! A model of a Docker Engine for tests, in process and over HTTP.
//!
//! ```text
//! contract     what every Engine must do: cases for the model, the client and real Engines
//! SimEngine    the model behind the trait `Engine`, with scripted latency and faults
//! SimServer    the model over HTTP, many hosts in one process, with faults down to the bytes
//!    └─> SimHost   a model with a clock, a lock and a power switch
//!          └─> Model   the state of one Engine; pure: no clock, no async, no randomness
//!                └─> Registries   shared by the Engines of one simulation
//! ```
//!
//! Everything is deterministic: time is that of tokio, so a paused clock controls it, and IDs are
//! derived from a seed. Tests read the true state with [`SimHost::with`].

mod answers;
mod attempt;
mod calls;
pub mod contract;
mod engine;
mod follow;
mod host;
pub mod http;
mod journal;
pub mod model;
mod operation;
mod process;
mod rules;
mod sampling;
mod script;

pub use engine::SimEngine;
pub use host::{Power, PowerState, SimClock, SimHost};
pub use http::{HttpFault, HttpHost, SimServer};
pub use journal::MemoryJournal;
pub use model::{Behaviour, EngineOptions, ImageContent, Model, Registries, SimRegistry, Time};
pub use operation::Operation;
pub use process::Process;
pub use rules::{Rules, When};
pub use script::{Call, Decide, Fault, Outcome, Plan, Script};
