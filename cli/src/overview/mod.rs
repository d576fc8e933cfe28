//! The full-screen view of a fleet: `wharf top --fleet`.
//!
//! - [`model`]: what is known, and what is shown of it; pure.
//! - [`update`]: keys and news change it; pure.
//! - [`draw`]: the screen of a model; pure.
//! - [`feed`]: news from the server.
//! - [`run`]: the terminal, and the commands that get it for a while.

mod draw;
mod feed;
mod model;
mod run;
#[cfg(test)]
mod tests;
mod update;

pub use feed::Order;
pub use run::{check, run};
