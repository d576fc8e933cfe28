//! The log of the process, at the most detailed level.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use tracing_subscriber::EnvFilter;

/// What the process logs, whichever test makes it do so.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The one of the process, from the first call on.
    pub fn take_down() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let begin = || {
            let log = Self::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_env_filter(EnvFilter::new("trace"))
                .with_ansi(false)
                .with_writer(move || writer.clone())
                .try_init()
                .expect("nobody else takes the log");
            log
        };
        LOG.get_or_init(begin).clone()
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// The audit lines so far that have all of these parts.
    pub fn audit(&self, parts: &[&str]) -> Vec<String> {
        let fits = |line: &&str| {
            line.contains(" audit principal=") && parts.iter().all(|part| line.contains(part))
        };
        self.text().lines().filter(fits).map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
