//! Rollouts of one container on one real Engine: what becomes of the old container and of what
//! depends on it. Policies over many hosts are tested elsewhere.
//!
//! Each test makes a container with the Engine's own API, has a `wharfd` of its own roll something
//! out on it, and looks at what the Engine says afterwards.

mod auto_remove;
mod dependents;
mod run_state;
pub mod stage;
mod start_first;
