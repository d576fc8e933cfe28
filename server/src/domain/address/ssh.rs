//! `ssh://[USER@]HOST[:PORT][/PATH/TO/SOCKET]`: the address of an Engine behind an sshd.
//!
//! Every part becomes an argument of the program `ssh`, and the path also a word of a command on
//! the host, so only characters are accepted that neither ssh nor a shell interprets.

use std::fmt;

use super::{AddressError, TcpHost, UnixPath, parse_port};
use crate::domain::text::alphanumeric_or;

/// The socket of an Engine whose address has no path.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The address of an Engine that is reached over ssh. What it leaves out is decided by the ssh
/// configuration of the user of `wharfd`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SshAddress {
    user: Option<String>,
    host: TcpHost,
    port: Option<u16>,
    socket: Option<UnixPath>,
}

impl SshAddress {
    /// The user to log in as.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host: a name, an alias of the ssh configuration, or an IP address.
    pub fn host(&self) -> &TcpHost {
        &self.host
    }

    /// The host as ssh takes it: an IPv6 address without brackets.
    pub fn destination(&self) -> String {
        self.host.to_string().trim_matches(['[', ']']).to_owned()
    }

    /// The port of the sshd, never 0.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The socket of the Engine on that host.
    pub fn socket(&self) -> &str {
        self.socket.as_ref().map_or(DEFAULT_SOCKET, UnixPath::as_str)
    }

    /// Whether the address names a socket other than Docker's usual one.
    pub fn has_own_socket(&self) -> bool {
        self.socket.is_some()
    }
}

impl fmt::Display for SshAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(formatter, "{user}@")?;
        }
        write!(formatter, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(formatter, ":{port}")?;
        }
        self.socket.as_ref().map_or(Ok(()), |socket| write!(formatter, "{socket}"))
    }
}

/// Reads what follows `ssh://`. `text` is the whole address, for errors.
pub(super) fn parse(text: &str, rest: &str) -> Result<SshAddress, AddressError> {
    let wrong = |problem| AddressError::Ssh { address: text.to_owned(), problem };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.contains(':')) {
        // Without the address: the error would show the password.
        return Err(AddressError::SshPassword);
    }
    let user = match user {
        Some(user) if !is_user(user) => {
            return Err(wrong(
                "the user is not a login name: use letters, digits, and . _ - beginning with a letter, digit, or _",
            ));
        }
        user => user.map(str::to_owned),
    };
    let after_brackets = place.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match place[after_brackets..].find(':') {
        Some(colon) => {
            (&place[..after_brackets + colon], Some(&place[after_brackets + colon + 1..]))
        }
        None => (place, None),
    };
    let host = match TcpHost::parse(host) {
        // As written: ssh compares it with the names of its configuration.
        Some(TcpHost::Name(_)) => TcpHost::Name(host.to_owned()),
        Some(ip) => ip,
        None => {
            let host = if place.matches(':').count() > 1 { place } else { host };
            return Err(AddressError::Host { address: text.to_owned(), host: host.to_owned() });
        }
    };
    let port = port.map(|digits| parse_port(text, digits)).transpose()?;
    let socket = match path {
        "" | "/" | DEFAULT_SOCKET => None,
        path if !alphanumeric_or(path, b"/._+-") => {
            return Err(wrong(
                "the path of the socket has characters that ssh or a shell would interpret; use letters, digits, and / . _ + -",
            ));
        }
        path => Some(UnixPath::parse(path).map_err(wrong)?),
    };
    Ok(SshAddress { user, host, port, socket })
}

/// A login name that cannot be taken for an option. A domain may follow, as in `ann@corp`.
fn is_user(text: &str) -> bool {
    text.len() <= 64
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && alphanumeric_or(text, b"._-@")
}

#[cfg(test)]
mod tests {
    use crate::domain::{HostAddress, Transport};

    fn read(text: &str) -> Result<String, String> {
        let address = HostAddress::parse(text, Transport::Plain);
        address.map(|address| address.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_stays_out() {
        for (text, expected) in [
            ("ssh://web1", "ssh://web1"),
            ("SSH://Web1/", "ssh://Web1"),
            ("ssh://ann@web1.example.com:2222", "ssh://ann@web1.example.com:2222"),
            ("ssh://ann@corp@web1", "ssh://ann@corp@web1"),
            ("ssh://_svc@[FD00::5]:22", "ssh://_svc@[fd00::5]:22"),
            ("ssh://10.0.0.5/var/run/docker.sock", "ssh://10.0.0.5"),
            ("ssh://a@b/run/podman/podman.sock", "ssh://a@b/run/podman/podman.sock"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
            assert_eq!(read(expected).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn nothing_that_ssh_or_a_shell_could_interpret_is_accepted() {
        for (text, expected) in [
            ("ssh://", "neither a host name"),
            ("ssh://-oProxyCommand=id", "neither a host name"),
            ("ssh://a b", "neither a host name"),
            ("ssh://web1;id", "neither a host name"),
            ("ssh://$(id)", "neither a host name"),
            ("ssh://fd00::5", "not a port"),
            ("ssh://::1", "in brackets"),
            ("ssh://-l@web1", "login name"),
            ("ssh://@web1", "login name"),
            ("ssh://a b@web1", "login name"),
            ("ssh://`id`@web1", "login name"),
            ("ssh://web1:0", "not a port"),
            ("ssh://web1:-1", "not a port"),
            ("ssh://web1:ssh", "not a port"),
            ("ssh://web1?x", "neither a host name"),
            ("ssh://web1/run/a b.sock", "shell would interpret"),
            ("ssh://web1/run/a:b.sock", "shell would interpret"),
            ("ssh://web1/run/$HOME", "shell would interpret"),
            ("ssh://web1/run/%d", "shell would interpret"),
            ("ssh://web1/run/a\\b", "shell would interpret"),
            ("ssh://web1/run/", "directory"),
            ("ssh://ann:secret@web1", "password"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("secret") && !error.contains('\n'), "{error}");
        }
    }
}
