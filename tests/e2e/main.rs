//! End to end: real Docker Engines, real registries, the real binaries. A file is a behaviour.

mod containers;
mod contract;
mod credentials;
mod images;
mod partial_failure;
mod pulls;
mod refusals;
mod support;
mod testbed_works;
