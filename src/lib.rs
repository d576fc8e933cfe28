//! Wharf's API for Rust: the types of `proto/wharf/v1`, and a client.
//!
//! - [`v1`]: the generated messages, clients and servers.
//! - [`batch`]: containers of a list, which a server may send without decoding them.
//! - [`contract`]: its methods, and what all requests and responses of a kind have.
//! - [`fanout`]: the one envelope of every call that reaches several hosts.
//! - [`causes`]: why a call failed, below the words "transport error".
//! - [`client`]: a connection to `wharfd` over a unix socket, TCP or TLS.
//! - [`settings`]: the settings of a container and their keys in the Engine's JSON.
//! - [`reflect`]: messages by the names of their fields.
//! - [`DESCRIPTORS`]: the contract itself, with comments and options, for reflection.

pub mod batch;
pub mod causes;
#[cfg(feature = "client")]
pub mod client;
pub mod contract;
pub mod fanout;
mod redact;
pub mod reflect;
pub mod settings;

/// The generated code of package `wharf.v1`.
#[allow(clippy::all, clippy::needless_pass_by_value, missing_docs)]
pub mod v1 {
    pub use crate::batch::ContainerBatch;

    tonic::include_proto!("wharf.v1");
}

/// The serialized `google.protobuf.FileDescriptorSet` of the contract and all its imports.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/wharf.bin"));

/// `ErrorInfo.domain` of every error that Wharf makes.
pub const ERROR_DOMAIN: &str = "wharf.v1";
