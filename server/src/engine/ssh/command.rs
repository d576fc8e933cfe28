//! The arguments of ssh, and its processes.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{LazyLock, mpsc};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::domain::SshAddress;

/// They override the user's configuration, in which everything else is set. Nobody is there to be
/// asked; a process is one connection, and ends with it.
const OPTIONS: [&str; 14] = [
    "BatchMode=yes",
    "ConnectTimeout=10",
    "ConnectionAttempts=1",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
    // A master that runs already would take the forwarding over and end it with itself.
    "ControlMaster=no",
    "ControlPath=none",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "EscapeChar=none",
    // What is wrong is read from its messages.
    "LogLevel=INFO",
];

/// `ssh -N -L`: forwards the socket `local` of the current directory to that of the Engine.
pub(super) fn forward(address: &SshAddress, local: &str) -> Vec<String> {
    let mut arguments = options();
    for option in ["ExitOnForwardFailure=yes", "StreamLocalBindUnlink=yes"] {
        arguments.extend(["-o".to_owned(), option.to_owned()]);
    }
    // A relative path: that of the directory may have characters that ssh interprets.
    arguments.extend(["-N", "-L"].map(str::to_owned));
    arguments.push(format!("./{local}:{}", address.socket()));
    arguments.extend(destination(address));
    arguments
}

/// `ssh … docker system dial-stdio`: one connection to the Engine, over stdin and stdout.
pub(super) fn dial(address: &SshAddress) -> Vec<String> {
    let mut arguments = options();
    // An ExitOnForwardFailure of the user must not end it because of forwardings that are not ours.
    arguments.extend(["-o", "ClearAllForwardings=yes", "-T"].map(str::to_owned));
    arguments.extend(destination(address));
    arguments.push("docker".to_owned());
    if address.has_own_socket() {
        arguments.extend(["-H".to_owned(), format!("unix://{}", address.socket())]);
    }
    arguments.extend(["system", "dial-stdio"].map(str::to_owned));
    arguments
}

/// What an operator types to see the same.
pub(super) fn shown(address: &SshAddress) -> String {
    let user = address.user().map(|user| format!(" -l {user}")).unwrap_or_default();
    let port = address.port().map(|port| format!(" -p {port}")).unwrap_or_default();
    format!("ssh{user}{port} {}", address.destination())
}

fn options() -> Vec<String> {
    OPTIONS.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]).collect()
}

fn destination(address: &SshAddress) -> Vec<String> {
    let user = address.user().map(|user| ["-l".to_owned(), user.to_owned()]);
    let port = address.port().map(|port| ["-p".to_owned(), port.to_string()]);
    let end = ["--".to_owned(), address.destination()];
    user.into_iter().chain(port).flatten().chain(end).collect()
}

/// A process to start, and who waits for it.
struct Order {
    command: Command,
    runtime: Handle,
    started: oneshot::Sender<io::Result<Child>>,
}

/// Starts ssh in `directory`, with pipes as stdin and stdout if `piped`, and a pipe as stderr.
/// It ends when the child is dropped, and when this process ends, however that happens.
pub(super) async fn spawn(
    arguments: &[String],
    directory: &Path,
    piped: bool,
) -> io::Result<Child> {
    let stdio = || if piped { Stdio::piped() } else { Stdio::null() };
    let mut command = Command::new("ssh");
    command
        .args(arguments)
        .current_dir(directory)
        .stdin(stdio())
        .stdout(stdio())
        .stderr(Stdio::piped())
        // Ctrl-C at a terminal stops wharfd, which ends its calls in order.
        .process_group(0)
        .kill_on_drop(true);
    let parent = rustix::process::getpid();
    let die_with_parent = move || {
        set_parent_process_death_signal(Some(Signal::TERM))?;
        // It ended before the signal was set.
        if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
    };
    // SAFETY: between fork and exec, only two system calls are made; nothing is allocated or locked.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(die_with_parent);
    }
    let (started, child) = oneshot::channel();
    let order = Order { command, runtime: Handle::current(), started };
    SPAWNER.send(order).map_err(io::Error::other)?;
    child.await.map_err(io::Error::other)?
}

/// The thread that starts the processes. The signal at the end of the parent comes at the end of
/// the thread that started the child, and threads of the runtime come and go.
static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (sender, orders) = mpsc::channel::<Order>();
    let serve = move || {
        for Order { mut command, runtime, started } in orders {
            let _runtime = runtime.enter();
            // Who waited for it may be gone; the child ends when it is dropped here.
            let _ = started.send(command.spawn());
        }
    };
    // Without the thread, the receiver is dropped, and every order fails.
    if let Err(error) = std::thread::Builder::new().name("ssh".to_owned()).spawn(serve) {
        tracing::error!(%error, "the thread that starts ssh cannot be started");
    }
    sender
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{HostAddress, Transport};

    fn address(text: &str) -> SshAddress {
        match HostAddress::parse(text, Transport::Plain).unwrap() {
            HostAddress::Ssh(address) => address,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_host_comes_after_the_options_and_nothing_of_it_is_one() {
        let full = address("ssh://ann@[fd00::5]:2222/run/podman/podman.sock");
        let arguments = forward(&full, "7.sock");
        let end = "-N -L ./7.sock:/run/podman/podman.sock -l ann -p 2222 -- fd00::5";
        assert!(arguments.join(" ").ends_with(end), "{arguments:?}");
        let arguments = dial(&full).join(" ");
        let end =
            "-l ann -p 2222 -- fd00::5 docker -H unix:///run/podman/podman.sock system dial-stdio";
        assert!(arguments.ends_with(end), "{arguments}");
        let short = dial(&address("ssh://Web1")).join(" ");
        assert!(short.ends_with(" -T -- Web1 docker system dial-stdio"), "{short}");
        assert_eq!(shown(&full), "ssh -l ann -p 2222 fd00::5");
        assert_eq!(shown(&address("ssh://Web1")), "ssh Web1");
    }

    #[test]
    fn a_process_asks_nobody_and_is_one_connection() {
        let arguments = forward(&address("ssh://web1"), "1.sock");
        for option in ["BatchMode=yes", "ControlMaster=no", "ControlPath=none", "LogLevel=INFO"] {
            let at = arguments.iter().position(|argument| argument == option).unwrap();
            assert_eq!(arguments[at - 1], "-o");
        }
    }
}
