//! Rollouts on real Engines while `wharfd`, or the Engine, is killed at a chosen point. Each must
//! end as if nothing had happened; the state is verified with the Engine.

mod dependents;
mod engine;
mod lane;
mod wharfd;
