//! End to end: real Docker Engines, real registries, the real binaries. A file is a behaviour.

mod recreate;
mod testbed_works;
