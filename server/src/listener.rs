//! The listeners of `wharfd`: binds unix sockets and TCP ports before anything is served, so that a
//! port in use is an error at startup.

mod connections;

pub use connections::{Accept, Connections, share};

use std::fmt;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::config::Listen;

/// Anyone who can write to the socket is root on every host: only owner and group.
const SOCKET_MODE: u32 = 0o660;

/// A place that is bound.
#[derive(Debug)]
pub enum Listener {
    /// A unix socket, removed again at the end.
    Unix(UnixListener, SocketFile),
    /// A TCP port.
    Tcp(TcpListener),
}

/// The file of a unix socket; removes it when dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

/// An address on which `wharfd` cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {place}: {problem}")]
pub struct ListenError {
    place: String,
    problem: String,
}

impl Listener {
    /// Binds. `option` sets the address; errors name it.
    pub async fn bind(listen: &Listen, option: &str) -> Result<Self, ListenError> {
        match listen {
            Listen::Unix(path) => bind_unix(Path::new(path.as_str()), option).await,
            Listen::Tcp { host, port } => {
                // Not `to_string` of the pair: brackets belong to the URL, not to the resolver.
                let host = host.to_string();
                let host = host.trim_matches(['[', ']']);
                let bound = TcpListener::bind((host, *port)).await;
                bound.map(Self::Tcp).map_err(|error| ListenError {
                    place: listen.to_string(),
                    problem: match error.kind() {
                        io::ErrorKind::AddrInUse => format!(
                            "the port is in use; stop the program that uses it, or set another port with {option}"
                        ),
                        _ => format!("{error}; set another address with {option}"),
                    },
                })
            }
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(_, file) => write!(formatter, "unix://{}", file.0.display()),
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(formatter, "tcp://{address}"),
                Err(_) => formatter.write_str("tcp://?"),
            },
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A leftover socket is replaced at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn bind_unix(path: &Path, option: &str) -> Result<Listener, ListenError> {
    let error =
        |problem: String| ListenError { place: format!("unix://{}", path.display()), problem };
    let elsewhere = |error: io::Error| format!("{error}; set another address with {option}");
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|cause| error(elsewhere(cause)))?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(error(
                "the path exists but is not a socket; move the file away".to_owned(),
            ));
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            return Err(error(format!(
                "another server listens there; stop it, or set another address with {option}"
            )));
        }
        // Nobody answers: left by a server that was killed.
        Ok(_) => std::fs::remove_file(path).map_err(|cause| error(elsewhere(cause)))?,
        Err(_) => {}
    }
    // Bound under another name and moved into place once nobody else can connect: between bind and
    // chmod, the mode is that of the umask.
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let listener = UnixListener::bind(&temporary).map_err(|cause| error(elsewhere(cause)))?;
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(SOCKET_MODE))
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|cause| error(elsewhere(cause)))?;
    Ok(Listener::Unix(listener, SocketFile(path.to_owned())))
}
