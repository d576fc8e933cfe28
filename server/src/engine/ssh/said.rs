//! What ssh processes write to their stderr: the end of it, in bounded memory, and the last
//! complaint about a connection that the other side did not open.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::engine::classify::one_line;

/// How many of the last bytes to keep: more than the longest warning of ssh.
const KEPT: usize = 8 << 10;
/// The longest line to show.
const LONGEST: usize = 300;

/// What was written so far, shared with whoever reads it.
#[derive(Debug, Clone)]
pub(super) struct Said(Arc<watch::Sender<Text>>);

#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    /// When a connection was refused last, and why.
    refused: Option<(Instant, String)>,
    /// Whether nothing more will come.
    has_ended: bool,
}

impl Said {
    /// Nothing, of nobody.
    pub(super) fn nothing() -> Self {
        Self(Arc::new(watch::Sender::new(Text::default())))
    }

    /// Reads the stderr of a process to its end.
    pub(super) fn of(stderr: Option<ChildStderr>) -> Self {
        let said = Self::nothing();
        let Some(mut stderr) = stderr else { return said };
        let text = Arc::clone(&said.0);
        tokio::spawn(async move {
            let mut chunk = [0; 1024];
            while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
                text.send_modify(|text| text.take(&chunk[..length]));
            }
            text.send_modify(|text| text.has_ended = true);
        });
        said
    }

    /// Notes why a connection was refused.
    pub(super) fn refuse(&self, why: &str) {
        let refused = Some((Instant::now(), shown(why)));
        self.0.send_modify(|text| text.refused = refused);
    }

    /// Everything that is kept, when the process has ended, and what it started too, or after a
    /// moment.
    pub(super) async fn at_the_end(&self) -> String {
        let mut reader = self.0.subscribe();
        let _ = timeout(Duration::from_secs(1), reader.wait_for(|text| text.has_ended)).await;
        String::from_utf8_lossy(&reader.borrow().bytes).into_owned()
    }

    /// Why a connection was refused after `begun`, if ssh says so within `limit`.
    pub(super) async fn refusal_since(&self, begun: Instant, limit: Duration) -> Option<String> {
        let mut reader = self.0.subscribe();
        let refusal = |text: &Text| {
            text.refused.as_ref().filter(|(at, _)| *at >= begun).map(|(_, why)| why.clone())
        };
        let waited = reader.wait_for(|text| text.has_ended || refusal(text).is_some());
        let _ = timeout(limit, waited).await;
        refusal(&reader.borrow())
    }
}

impl Text {
    fn take(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        let surplus = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..surplus);
        // ssh writes a line at once. "channel 1: open failed: connect failed: open failed"
        let text = String::from_utf8_lossy(chunk);
        if let Some(line) = text.lines().rfind(|line| line.contains("open failed")) {
            self.refused = Some((Instant::now(), shown(line)));
        }
    }
}

/// A text of another machine as one short line.
pub(super) fn shown(text: &str) -> String {
    let line = one_line(text);
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_however_much_comes() {
        let mut text = Text::default();
        for number in 0..100_000 {
            text.take(format!("line {number}\n").as_bytes());
        }
        assert_eq!(text.bytes.len(), KEPT);
        assert!(text.bytes.ends_with(b"line 99999\n"));
        assert_eq!(text.refused, None);
        text.take(b"channel 1: open failed: \x1b[2Jconnect failed\r\nmore\n");
        let (_, why) = text.refused.unwrap();
        assert_eq!(why, "channel 1: open failed: [2Jconnect failed");
    }
}
