//! Local files as tar archives, on their way to and from containers.
//!
//! - [`names`]: names in an archive, and what they become here; pure.
//! - [`place`]: docker's rules of what is copied to where.
//! - [`pack`]: reads local files to an archive.
//! - [`stream`]: an archive that is made while it is sent; also for the context of a build.
//! - [`unpack`]: writes an archive of a host, which may be hostile, to local files.

pub mod names;
pub mod pack;
pub mod place;
pub mod stream;
pub mod unpack;
