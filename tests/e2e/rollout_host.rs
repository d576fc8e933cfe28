//! Rollouts of one container on one real Engine: what happens to the old container and its
//! dependents. Policies over many hosts are tested elsewhere.
//!
//! Each test creates a container with the Engine's own API, has its own `wharfd` roll out a change,
//! and then checks the state of the Engine.

mod auto_remove;
mod dependents;
mod run_state;
pub mod stage;
mod start_first;
