//! The values that the whole server speaks in: hosts, labels, image references, container
//! names, registry logins.
//!
//! Every type here can only be made by a `parse` or `new` that checks it, so whoever holds one
//! may put it into a path or a header of the Engine API without looking again. Nothing here
//! imports another module of the server, waits, reads a clock or draws random numbers.

mod address;
mod annotations;
mod container;
#[cfg(test)]
mod fuzz;
mod host;
mod image;
mod labels;
mod reason;
mod registry;
mod role;
mod secret;
mod selector;
mod text;
mod tls;

pub use address::{AddressError, HostAddress, TcpAddress, TcpHost, Transport, UnixPath};
pub use annotations::{Annotations, InvalidAnnotation};
pub use container::{ContainerName, ContainerRef, InvalidContainerName, InvalidContainerRef};
pub use host::{Host, HostError, HostName, HostSource, HostTls, InvalidHostName};
pub use image::{Digest, ImageName, ImageReference, InvalidImage, PullParameters};
pub use labels::{InvalidLabel, LabelKey, LabelValue, Labels};
pub use reason::Reason;
pub use registry::{Credential, InvalidLogin, InvalidRegistry, RegistryHost, RegistryLogin};
pub use role::{InvalidRole, Role};
pub use secret::Secret;
pub use selector::{LabelSelector, Requirement, SelectorError};
pub use text::{is_engine_id, is_invisible, quoted};
pub use tls::{LAST_DATE, ServerIdentity, TlsMaterial, TlsMaterialError, TlsPart, Validity};
