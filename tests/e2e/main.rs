//! End to end: real Docker Engines, real registries, the real binaries. A file is a behaviour.

mod contract;
mod testbed_works;
