//! `Debug` for the messages that carry secrets: a log line must never hold one.

use std::fmt;

use crate::v1::{RegistryCredentials, TlsMaterial};

impl fmt::Debug for RegistryCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RegistryCredentials")
            .field("registry", &self.registry)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsMaterial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsMaterial")
            .field("client_certificate", &!self.certificate_pem.is_empty())
            .finish_non_exhaustive()
    }
}
