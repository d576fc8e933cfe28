//! Tests on Engines of other generations: Docker 26.1 and 28.5, podman 4.3 and 5.4.

mod compose;
mod inspection;
mod podman;
mod recreate;
pub mod stage;
mod testbed_works;
