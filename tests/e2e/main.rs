//! End to end: real Docker Engines, real registries, the real binaries. A file is a behaviour.

mod contract;
mod containers;
mod credentials;
mod images;
mod pulls;
mod support;
mod testbed_works;
