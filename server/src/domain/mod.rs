//! The values that the whole server speaks in: hosts, labels, image references, container
//! names, registry logins.
//!
//! Every type here can only be created by a `parse` or `new` that checks it, so it can be used in a
//! path or a header of the Engine API without another check. Nothing here imports another module of
//! the server, waits, reads a clock, or uses randomness.

mod address;
mod annotations;
mod container;
mod cordon;
mod durations;
#[cfg(test)]
mod fuzz;
mod host;
mod image;
mod labels;
mod network;
mod reason;
mod registry;
mod role;
mod secret;
mod selector;
mod text;
mod tls;

pub use address::{
    AddressError, HostAddress, SshAddress, TcpAddress, TcpHost, Transport, UnixPath,
};
pub use annotations::{Annotations, InvalidAnnotation};
pub use container::{ContainerName, ContainerRef, InvalidContainerName, InvalidContainerRef};
pub use cordon::{Cordon, CordonReason, InvalidReason};
pub use durations::{Durations, Tally};
pub use host::{Host, HostError, HostName, HostSource, HostTls, InvalidHostName};
pub use image::{Digest, ImageName, ImageReference, InvalidImage, PullParameters};
pub use labels::{InvalidLabel, LabelKey, LabelValue, Labels};
pub use network::{InvalidNetwork, InvalidVolume, NetworkRef, VolumeName};
pub use reason::Reason;
pub use registry::{Credential, InvalidLogin, InvalidRegistry, RegistryHost, RegistryLogin};
pub use role::{InvalidRole, Role};
pub use secret::Secret;
pub use selector::{LabelSelector, Requirement, SelectorError};
pub use text::{is_engine_id, is_invisible, quoted};
pub use tls::{LAST_DATE, ServerIdentity, TlsMaterial, TlsMaterialError, TlsPart, Validity};
