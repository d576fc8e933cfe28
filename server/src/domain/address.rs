//! Where a host's Engine listens.
//!
//! Written out by hand rather than with a URL parser: those read `2852039166` and `0x7f.1` as
//! IP addresses, and take user names, paths and queries that would go somewhere else than the
//! operator believes. Called by the configuration, the API and the store.

mod ssh;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use ssh::SshAddress;

use super::text::{alphanumeric_or, begins_alphanumeric, ends_alphanumeric, quoted, text_value};

/// Where an Engine listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostAddress {
    /// A unix socket of this machine, `unix:///path`.
    Unix(UnixPath),
    /// `tcp://host:port`, plain or with TLS.
    Tcp(TcpAddress),
    /// `ssh://[user@]host[:port][/path]`, a unix socket of another machine over ssh.
    Ssh(SshAddress),
}

/// The absolute path of a unix socket, at most 107 bytes, without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixPath(String);

/// Host and port of a TCP listener.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TcpAddress {
    host: TcpHost,
    port: u16,
}

/// The host part of a TCP address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcpHost {
    /// A name for the resolver, in lower case.
    Name(String),
    /// An IP address.
    Ip(IpAddr),
}

/// Whether a TCP connection is secured; this decides the default port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP; port 2375.
    Plain,
    /// HTTP over TLS; port 2376.
    Tls,
}

/// Why text is not the address of an Engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No text at all.
    #[error("the address is empty; write ssh://USER@HOST, unix:///PATH, or tcp://HOST:PORT")]
    Empty,
    /// Text without `://`.
    #[error("{} has no scheme; write {suggestion}", quoted(.address))]
    NoScheme {
        /// The text.
        address: String,
        /// The likely intention.
        suggestion: String,
    },
    /// `http://` or `https://`.
    #[error(
        "{} begins with {scheme}://; write tcp://HOST:PORT, and add certificates if the Engine requires TLS",
        quoted(.address)
    )]
    Web {
        /// The text.
        address: String,
        /// `http` or `https`.
        scheme: &'static str,
    },
    /// An `ssh://` address with a part that is refused.
    #[error("{}: {problem}", quoted(.address))]
    Ssh {
        /// The text.
        address: String,
        /// The problem and the remedy.
        problem: &'static str,
    },
    /// A password in an `ssh://` address, which is therefore not shown.
    #[error(
        "an ssh:// address cannot contain a password; write ssh://USER@HOST, and let the user of wharfd log in with a key, from its files or its ssh-agent"
    )]
    SshPassword,
    /// Any other scheme.
    #[error(
        "{} has an unsupported scheme; write ssh://USER@HOST, unix:///PATH, or tcp://HOST:PORT",
        quoted(.0)
    )]
    UnknownScheme(String),
    /// `user@` in a TCP address.
    #[error(
        "{} contains a user or password, which the Docker API does not use; write tcp://HOST:PORT",
        quoted(.0)
    )]
    Credentials(String),
    /// A path, query or fragment after a TCP address.
    #[error("{} has text after the port; write only tcp://HOST:PORT", quoted(.0))]
    PathOrQuery(String),
    /// A host part that is neither a host name nor an IP address.
    #[error(
        "{} in {} is neither a host name, nor an IPv4 address such as 10.0.0.5, nor an IPv6 address in brackets such as [fd00::5]",
        quoted(.host), quoted(.address)
    )]
    Host {
        /// The text.
        address: String,
        /// Its host part.
        host: String,
    },
    /// A port that is not a number from 1 to 65535.
    #[error("{} in {} is not a port; use a number from 1 to 65535", quoted(.port), quoted(.address))]
    Port {
        /// The text.
        address: String,
        /// Its port.
        port: String,
    },
    /// A socket path that is relative, too long, or has control characters.
    #[error("{} is not the address of a unix socket: {problem}", quoted(.address))]
    Path {
        /// The text.
        address: String,
        /// The problem and the remedy.
        problem: &'static str,
    },
}

impl HostAddress {
    /// Reads `unix:///PATH`, `tcp://HOST[:PORT]`, or `ssh://[USER@]HOST[:PORT][/PATH]`. Without a
    /// port, that of TCP is the one of `transport`.
    pub fn parse(text: &str, transport: Transport) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(AddressError::NoScheme {
                address: text.to_owned(),
                suggestion: if text.starts_with('/') {
                    format!("unix://{}", escaped(text))
                } else {
                    "ssh://USER@HOST, tcp://HOST:PORT, or unix:///PATH".to_owned()
                },
            });
        };
        match scheme.to_ascii_lowercase().as_str() {
            "unix" => UnixPath::parse(rest)
                .map(Self::Unix)
                .map_err(|problem| AddressError::Path { address: text.to_owned(), problem }),
            "tcp" => parse_tcp(text, rest, transport).map(Self::Tcp),
            "http" => Err(AddressError::Web { address: text.to_owned(), scheme: "http" }),
            "https" => Err(AddressError::Web { address: text.to_owned(), scheme: "https" }),
            "ssh" => ssh::parse(text, rest).map(Self::Ssh),
            _ => Err(AddressError::UnknownScheme(text.to_owned())),
        }
    }

    /// Whether the address can only lead to this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(tcp) => tcp.is_loopback(),
            Self::Ssh(_) => false,
        }
    }

    /// Whether a connection without TLS to this address is acceptable: always to this machine and
    /// over ssh, but over TCP to another one only with `insecure`, because anyone who can read or alter that traffic is root
    /// there.
    pub fn may_be_plain(&self, insecure: bool) -> bool {
        insecure || self.is_local() || matches!(self, Self::Ssh(_))
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{path}"),
            Self::Tcp(tcp) => write!(formatter, "tcp://{tcp}"),
            Self::Ssh(ssh) => write!(formatter, "ssh://{ssh}"),
        }
    }
}

impl UnixPath {
    /// Checks the path of a socket. The error describes the problem.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        // sun_path holds 108 bytes, one of them for the NUL at the end.
        const LONGEST: usize = 107;
        if !text.starts_with('/') {
            Err("the path must be absolute, with three slashes as in unix:///var/run/docker.sock")
        } else if text.ends_with('/') {
            Err("the path is a directory; write the path of the socket")
        } else if text.len() > LONGEST {
            Err("the path is longer than the 107 bytes that a socket address can hold")
        } else if text.chars().any(char::is_control) {
            Err("the path contains control characters")
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

text_value!(UnixPath, &'static str);

impl TcpAddress {
    /// The host.
    pub fn host(&self) -> &TcpHost {
        &self.host
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host is `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        self.host.is_loopback()
    }
}

/// `host:port`, an IPv6 address in brackets: as the authority of a URL.
impl fmt::Display for TcpAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

impl TcpHost {
    /// Reads a host name, an IPv4 address, or an IPv6 address in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(inside) = text.strip_prefix('[') {
            let address: Ipv6Addr = inside.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Ip(address.into()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Ip(address.into()));
        }
        is_host_name(text).then(|| Self::Name(text.to_ascii_lowercase()))
    }

    /// Whether it is `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost",
            Self::Ip(ip) => ip.to_canonical().is_loopback(),
        }
    }
}

impl fmt::Display for TcpHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(formatter),
            Self::Ip(IpAddr::V6(ip)) => write!(formatter, "[{ip}]"),
        }
    }
}

impl Transport {
    /// The port that Docker uses.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Plain => 2375,
            Self::Tls => 2376,
        }
    }
}

fn parse_tcp(text: &str, rest: &str, transport: Transport) -> Result<TcpAddress, AddressError> {
    if rest.contains('@') {
        return Err(AddressError::Credentials(text.to_owned()));
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '\\']) {
        return Err(AddressError::PathOrQuery(text.to_owned()));
    }
    // The colons inside the brackets of an IPv6 address do not separate a port.
    let after_brackets = rest.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match rest[after_brackets..].find(':') {
        Some(colon) => (&rest[..after_brackets + colon], Some(&rest[after_brackets + colon + 1..])),
        None => (rest, None),
    };
    let host = TcpHost::parse(host).ok_or_else(|| AddressError::Host {
        address: text.to_owned(),
        host: if rest.matches(':').count() > 1 { rest } else { host }.to_owned(),
    })?;
    let port = match port {
        None => transport.default_port(),
        Some(digits) => parse_port(text, digits)?,
    };
    Ok(TcpAddress { host, port })
}

fn parse_port(text: &str, digits: &str) -> Result<u16, AddressError> {
    // `parse` accepts a sign, which no port has.
    match digits.parse::<u16>() {
        Ok(port) if port > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(AddressError::Port { address: text.to_owned(), port: digits.to_owned() }),
    }
}

/// A host name as resolvers accept it, with the underscore that people use in practice. A name
/// whose last part is a number is refused: resolvers interpret it as an IPv4 address.
fn is_host_name(text: &str) -> bool {
    let fits = |part: &str| {
        part.len() <= 63
            && begins_alphanumeric(part)
            && ends_alphanumeric(part)
            && alphanumeric_or(part, b"-_")
    };
    let last = text.rsplit('.').next().unwrap_or(text);
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.len() <= 253
        && text.split('.').all(fits)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
        && !hexadecimal.is_some_and(is_number)
}

fn escaped(text: &str) -> String {
    text.chars().take(120).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
