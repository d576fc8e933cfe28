//! Converts docker-style flags that describe a container to parts of a request. Pure except for
//! [`body::read`].
//!
//! - [`flags`]: the flags of `create` and `run`; [`build`]: the `ContainerSpec` they make.
//! - [`values`], [`ports`], [`mounts`], [`networks`], [`files`]: the syntax of single values and files;
//!   [`pools`]: the addresses of a network.
//! - [`body`]: the Engine's own JSON.

pub mod body;
pub mod build;
pub mod files;
pub mod flags;
pub mod mounts;
pub mod networks;
pub mod pools;
pub mod ports;
pub mod values;
