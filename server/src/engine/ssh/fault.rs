//! Why there is no connection over ssh: the only reader of its messages. Pure.

use std::io;

use super::command;
use super::said::shown;
use crate::domain::SshAddress;
use crate::engine::ErrorKind;

/// Why there is no connection, on one line, with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(in crate::engine) struct SshError {
    pub(in crate::engine) kind: ErrorKind,
    pub(in crate::engine) message: String,
    /// Whether the sshd closed the connection before the login, as it does with too many at once.
    pub(super) was_dropped: bool,
}

impl SshError {
    fn new(kind: ErrorKind, message: String) -> Self {
        Self { kind, message, was_dropped: false }
    }

    /// ssh could not be started.
    pub(super) fn of_start(address: &SshAddress, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            let message = format!(
                "cannot connect to ssh://{address}: the machine of wharfd has no program `ssh` in its PATH; install it there (openssh-client)"
            );
            return Self::new(ErrorKind::SshNotInstalled, message);
        }
        // ENOMEM, ENFILE, EMFILE, EAGAIN: too many processes.
        let exhausted = matches!(error.raw_os_error(), Some(11 | 12 | 23 | 24));
        let kind = if exhausted { ErrorKind::NoResources } else { ErrorKind::Unreachable };
        Self::new(
            kind,
            format!("cannot start ssh for ssh://{address}: {}", shown(&error.to_string())),
        )
    }

    /// ssh ended before there was a connection, with these messages.
    pub(super) fn of_end(address: &SshAddress, text: &str) -> Self {
        let lower = text.to_lowercase();
        let has = |needle: &str| lower.contains(needle);
        let try_it = format!("as the user of wharfd, `{}`", command::shown(address));
        if has("remote host identification has changed") || has("revoked host key") {
            let line = |start: &str| text.lines().map(str::trim).find(|it| it.starts_with(start));
            let offending = line("Offending").map(|it| format!(" ({})", shown(it)));
            let remove = line("ssh-keygen").map_or("ssh-keygen -R".to_owned(), shown);
            let message = format!(
                "the host key of ssh://{address} differs from the known one{}; either the machine was reinstalled, or another one answers in its place; check it, then, as the user of wharfd, remove the old key with `{remove}` and log in once with `{}`",
                offending.unwrap_or_default(),
                command::shown(address)
            );
            return Self::new(ErrorKind::SshHostKeyChanged, message);
        }
        if has("host key verification failed") || has("host key is known for") {
            let message = format!(
                "the host key of ssh://{address} is not known; log in once {try_it}, check the fingerprint, and accept it"
            );
            return Self::new(ErrorKind::SshHostKeyUnknown, message);
        }
        let last = last_line(text);
        if has("permission denied (")
            || has("too many authentication failures")
            || has("no supported authentication methods")
        {
            let message = format!(
                "ssh://{address} refuses the login ({last}); try it {try_it}; the key must be without a passphrase or in an ssh-agent that wharfd knows by SSH_AUTH_SOCK, and its public key in authorized_keys on the host"
            );
            return Self::new(ErrorKind::SshPermissionDenied, message);
        }
        let mut error = Self::new(
            ErrorKind::Unreachable,
            format!("cannot connect to ssh://{address} ({last}); try it {try_it}"),
        );
        error.was_dropped = has("exchange_identification: ")
            && (has("connection closed by") || has("connection reset") || has("not allowed"));
        error
    }

    /// The login did not end in time.
    pub(super) fn of_silence(address: &SshAddress, text: &str) -> Self {
        let message = format!(
            "the login to ssh://{address} did not end in time ({}); try it as the user of wharfd, `{}`",
            last_line(text),
            command::shown(address)
        );
        Self::new(ErrorKind::Unreachable, message)
    }

    /// The login works, but neither way leads to the Engine.
    pub(super) fn of_socket(address: &SshAddress, forwarding: &str, dial: &str) -> Self {
        let message = format!(
            "logged in to ssh://{address}, but cannot connect to {} there ({forwarding}; `docker system dial-stdio`: {dial}); check that the Engine is running and listens there, and that the user is in the group of the socket, usually docker",
            address.socket()
        );
        Self::new(ErrorKind::SshSocketUnavailable, message)
    }

    /// The way is there, and a new connection over it was refused.
    pub(super) fn of_connection(address: &SshAddress, why: &str) -> Self {
        let message = format!(
            "cannot connect to {} over ssh://{address} ({why}); check that the Engine is running and listens there",
            address.socket()
        );
        Self::new(ErrorKind::SshSocketUnavailable, message)
    }

    /// Whether it may go away without the operator: then it is tried again in the background.
    pub(super) fn may_pass(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unreachable | ErrorKind::NoResources | ErrorKind::SshSocketUnavailable
        )
    }
}

/// The last line that says something.
fn last_line(text: &str) -> String {
    let says = |line: &&str| !line.trim().is_empty() && !line.starts_with("Warning: Permanently");
    text.lines().rfind(says).map_or_else(|| "ssh does not say why".to_owned(), shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{HostAddress, Transport};

    fn of(text: &str) -> SshError {
        let address = HostAddress::parse("ssh://ann@web1:2222", Transport::Plain).unwrap();
        let HostAddress::Ssh(address) = address else { panic!() };
        let error = SshError::of_end(&address, text);
        assert!(!error.message.contains(char::is_control), "{error}");
        assert!(error.message.contains("ssh -l ann -p 2222 web1"), "{error}");
        error
    }

    #[test]
    fn what_ssh_says_has_a_reason() {
        let changed = of(concat!(
            "@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n",
            "Offending ED25519 key in /root/.ssh/known_hosts:1\n  remove with:\n",
            "  ssh-keygen -f \"/root/.ssh/known_hosts\" -R \"[web1]:2222\"\n",
            "Host key verification failed.\r\n",
        ));
        assert_eq!(changed.kind, ErrorKind::SshHostKeyChanged);
        for said in ["Offending ED25519 key in /root/.ssh/known_hosts:1)", "-R \"[web1]:2222\"`"] {
            assert!(changed.message.contains(said), "{changed}");
        }
        for (text, kind) in [
            ("Host key verification failed.\r\n", ErrorKind::SshHostKeyUnknown),
            (
                "No ED25519 host key is known for [web1]:2222 and you have requested strict checking.\n",
                ErrorKind::SshHostKeyUnknown,
            ),
            (
                "ann@web1: Permission denied (publickey,password).\r\n",
                ErrorKind::SshPermissionDenied,
            ),
            (
                "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\n",
                ErrorKind::SshPermissionDenied,
            ),
            ("ssh: connect to host web1 port 22: Connection refused\r\n", ErrorKind::Unreachable),
            ("\x1b[2J\u{202e}", ErrorKind::Unreachable),
            ("", ErrorKind::Unreachable),
        ] {
            let error = of(text);
            assert_eq!(error.kind, kind, "{error}");
            assert!(!error.was_dropped);
        }
        assert!(
            of("Banner\nssh: connect to host web1 port 22: No route to host\n")
                .message
                .contains("(ssh: connect to host web1 port 22: No route to host)")
        );
    }

    #[test]
    fn a_connection_that_a_busy_sshd_dropped_is_noticed() {
        for text in [
            "kex_exchange_identification: Connection closed by remote host\nConnection closed by 127.0.0.1 port 22\n",
            "kex_exchange_identification: read: Connection reset by peer\n",
            "kex_exchange_identification: banner line 0: Not allowed at this time\n",
        ] {
            assert!(of(text).was_dropped, "{text}");
        }
    }
}
