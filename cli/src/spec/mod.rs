//! What describes a container on the command line, in docker's own spelling, as parts of a
//! request. Pure but for [`body::read`] and the files that [`flags`] names.
//!
//! - [`flags`]: the flags of `create` and `run`, and the `ContainerSpec` they make.
//! - [`values`], [`ports`], [`mounts`], [`files`]: the syntax of single values and files.
//! - [`body`]: the Engine's own JSON.

pub mod body;
pub mod files;
pub mod flags;
pub mod mounts;
pub mod ports;
pub mod values;
