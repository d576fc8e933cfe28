//! A real terminal, which is tmux.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::command;
use crate::script::Server;

/// A terminal in which a command runs.
pub struct Terminal {
    socket: String,
}

impl Terminal {
    /// Runs `wharf` with these arguments. The size is columns and rows.
    pub fn start(server: &Server, size: [&str; 2], arguments: &[&str]) -> Self {
        let socket = server.home().join("tmux.sock");
        let terminal = Self { socket: socket.to_str().unwrap().to_owned() };
        let wharf = command(server.home(), arguments);
        let variables = [
            format!("HOME={}", server.home().display()),
            format!("WHARF_SERVER={}", server.address()),
        ];
        let mut line = vec!["new-session", "-d", "-x", size[0], "-y", size[1], "env", "-i"];
        line.extend(["TERM=screen", "NO_COLOR=1"]);
        line.extend(variables.iter().map(String::as_str));
        // tmux does not always learn how what it runs ended.
        line.extend(["sh", "-c", "trap : INT; \"$@\"; echo ended with $?", "sh"]);
        line.push(wharf.get_program().to_str().unwrap());
        line.extend(wharf.get_args().map(|argument| argument.to_str().unwrap()));
        // In one call, so that what ends at once is seen, too.
        line.extend([";", "set-option", "remain-on-exit", "on"]);
        terminal.tmux(&line);
        terminal
    }

    /// The output of a command of tmux.
    pub fn tmux(&self, arguments: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        let output = tmux.args(["-S", &self.socket, "-f", "/dev/null"]).args(arguments).output();
        let output = output.expect("tmux is missing; as root, run `apt-get install tmux`");
        assert!(output.status.success(), "tmux {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Presses keys, as tmux names them.
    pub fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Waits for a screen that is so.
    pub fn until(&self, what: &str, so: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if so(&screen) {
                return screen;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}:\n{screen}");
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut tmux = Command::new("tmux");
        let _ = tmux.args(["-S", &self.socket, "kill-server"]).output();
    }
}
