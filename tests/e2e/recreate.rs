//! Recreates containers on a real Engine: the rules of docs/recreate.md, one by one.
//! `tests/RECREATE.md` lists the tests of each rule.
//!
//! Each test creates a container with the Engine's own API, as people and tools do, recreates it
//! from its facts, and checks the inspection of the new one.

pub mod bridge;
mod identity;
mod images;
mod networks;
pub mod scene;
mod start_first;
mod state;
mod storage;
