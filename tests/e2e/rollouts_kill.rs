//! Rollouts on real Engines while `wharfd`, or the Engine, is killed at a chosen point of them.
//! Each must end as if nothing had happened; what is there is read back from the Engine.

mod dependents;
mod engine;
mod lane;
mod wharfd;
