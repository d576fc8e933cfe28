//! The listen addresses of `wharfd`. Created by `settings`, used by the composition root.

use std::fmt;

use crate::domain::{TcpHost, UnixPath, quoted};

/// A listen address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listen {
    /// A unix socket, created with mode 0660.
    Unix(UnixPath),
    /// A TCP port; 0 has the system choose one.
    Tcp {
        /// The address or name of an interface.
        host: TcpHost,
        /// The port.
        port: u16,
    },
}

impl Listen {
    /// Parses `unix:///PATH` or `tcp://HOST:PORT`. The error describes the problem.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("unix", path)) => UnixPath::parse(path)
                .map(Self::Unix)
                .map_err(|problem| format!("{}: {problem}", quoted(text))),
            Some(("tcp", rest)) => parse_tcp(rest).ok_or_else(|| {
                format!(
                    "{} is not a listen address: write tcp://HOST:PORT with a host name or an IP address, IPv6 in brackets",
                    quoted(text)
                )
            }),
            _ => Err(format!(
                "{} is not a listen address: write unix:///PATH or tcp://HOST:PORT",
                quoted(text)
            )),
        }
    }

    /// Whether only this machine can connect to it.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => host.is_loopback(),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{path}"),
            Self::Tcp { host, port } => write!(formatter, "tcp://{host}:{port}"),
        }
    }
}

fn parse_tcp(text: &str) -> Option<Listen> {
    let (host, digits) = text.rsplit_once(':')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Listen::Tcp { host: TcpHost::parse(host)?, port: digits.parse().ok()? })
}
