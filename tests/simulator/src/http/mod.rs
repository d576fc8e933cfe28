//! The model over HTTP/1.1: many Engines in one process, on loopback addresses or unix sockets.
//!
//! ```text
//! SimServer   listeners, one for each host or one for all, and their connections
//!   wire        bytes: resets, garbage, slow writing
//!   service     one request: latency, faults, version, counters
//!     route       method and path -> operation
//!     dispatch    operation -> model -> status and JSON
//!     stream      bodies that take their time: pulls, pushes, endless ones
//! ```

mod counters;
mod dispatch;
mod fault;
mod memory;
mod reply;
mod resources;
mod route;
mod server;
mod service;
mod session;
mod stream;
mod wire;

pub use counters::{Counters, Snapshot};
pub use fault::HttpFault;
pub use memory::Memory;
pub use server::{HttpHost, SimServer};
