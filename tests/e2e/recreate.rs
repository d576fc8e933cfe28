//! Containers that are made anew, on a real Engine: the checklist of the rollout sheet, point by
//! point. `tests/RECREATE.md` says which test shows which point.
//!
//! Each test makes a container with the Engine's own API, as people and tools do, has it made anew
//! from its facts, and looks at what the Engine then says of the new one.

pub mod bridge;
mod identity;
mod images;
mod networks;
pub mod scene;
mod start_first;
mod state;
mod storage;
