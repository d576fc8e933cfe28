//! Progress of transfers on stderr: on a terminal, a bar for each host and a total;
//! otherwise, an occasional line for each host.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use wharf::v1::TransferProgress;

use crate::printer::{Printer, printable};
use crate::view::units;

/// Lines of the terminal that stay free: for the total, the prompt, and earlier output.
const SPARE_LINES: u16 = 4;

/// Minimum time between two lines about a host in progress, in a pipe.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Shows the progress of transfers.
pub struct Progress<'a> {
    printer: &'a Printer,
    mode: Mode,
    all: usize,
    ended: usize,
}

enum Mode {
    Silent,
    Lines { last: BTreeMap<String, (Instant, String)> },
    Bars { bars: BTreeMap<String, ProgressBar>, total: Option<ProgressBar>, slots: usize },
}

impl<'a> Progress<'a> {
    /// Progress that fits stderr and `--quiet`.
    pub fn new(printer: &'a Printer) -> Self {
        let mode = if printer.quiet {
            Mode::Silent
        } else if io::stderr().is_terminal() {
            let lines = rustix::termios::tcgetwinsize(io::stderr()).map_or(24, |size| size.ws_row);
            let slots = usize::from(lines.saturating_sub(SPARE_LINES)).max(1);
            Mode::Bars { bars: BTreeMap::new(), total: None, slots }
        } else {
            Mode::Lines { last: BTreeMap::new() }
        };
        Self { printer, mode, all: 0, ended: 0 }
    }

    /// Adds hosts.
    pub fn started(&mut self, hosts: usize) {
        self.all += hosts;
    }

    /// Updates the progress of a host.
    pub fn update(&mut self, host: &str, progress: &TransferProgress) {
        let (all, ended) = (self.all, self.ended);
        match &mut self.mode {
            Mode::Silent => {}
            Mode::Lines { last } => {
                let line = describe(progress);
                let due = last
                    .get(host)
                    .is_none_or(|(at, before)| at.elapsed() >= LINE_INTERVAL && *before != line);
                if due {
                    self.printer.stderr(&format!("{host}: {line}"));
                    last.insert(host.to_owned(), (Instant::now(), line));
                }
            }
            Mode::Bars { bars, total, slots } => {
                let total = total.get_or_insert_with(|| {
                    let bar =
                        ProgressBar::new(all as u64).with_style(style(TOTAL)).with_prefix("total");
                    bar.set_position(ended as u64);
                    self.printer.bars.add(bar)
                });
                if !bars.contains_key(host) && bars.len() < *slots {
                    let bar =
                        ProgressBar::new(0).with_style(style(HOST)).with_prefix(host.to_owned());
                    bars.insert(host.to_owned(), self.printer.bars.insert_before(total, bar));
                }
                if let Some(bar) = bars.get(host) {
                    bar.set_length(progress.bytes_total.max(progress.bytes_done));
                    bar.set_position(progress.bytes_done);
                    bar.set_message(describe(progress));
                }
            }
        }
    }

    /// A host is done. `lines` describe its results, if it succeeded.
    pub fn ended(&mut self, host: &str, lines: &[String]) {
        self.ended += 1;
        match &mut self.mode {
            Mode::Silent => {}
            Mode::Lines { .. } => {
                for line in lines {
                    self.printer.stderr(&format!("{host}: {line}"));
                }
            }
            Mode::Bars { bars, total, .. } => {
                if let Some(bar) = bars.remove(host) {
                    bar.finish_and_clear();
                    self.printer.bars.remove(&bar);
                }
                if let Some(total) = total {
                    total.set_position(self.ended as u64);
                }
            }
        }
    }

    /// Removes the bars.
    pub fn close(&mut self) {
        if let Mode::Bars { bars, total, .. } = &mut self.mode {
            bars.values().for_each(ProgressBar::finish_and_clear);
            total.iter().for_each(ProgressBar::finish_and_clear);
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.close();
    }
}

const HOST: &str = "{prefix:16!} [{bar:24}] {wide_msg}";
const TOTAL: &str = "{prefix:16!} [{bar:24}] {pos} of {len} hosts done, {elapsed}";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// A short description of a transfer's progress.
pub fn describe(progress: &TransferProgress) -> String {
    let mut text = printable(&progress.status);
    if progress.layers_total > 0 {
        text += &format!(" {}/{} layers", progress.layers_done, progress.layers_total);
    }
    if progress.bytes_total > 0 {
        let (done, total) = (progress.bytes_done as f64, progress.bytes_total as f64);
        text += &format!(" {}/{}", units::size(done), units::size(total));
    } else if progress.bytes_done > 0 {
        text += &format!(" {}", units::size(progress.bytes_done as f64));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_known() {
        let mut progress =
            TransferProgress { status: "Downloading".into(), ..TransferProgress::default() };
        assert_eq!(describe(&progress), "Downloading");
        progress.bytes_done = 2_000;
        assert_eq!(describe(&progress), "Downloading 2kB");
        progress.layers_total = 3;
        progress.bytes_total = 2_000_000;
        progress.bytes_done = 1_000_000;
        assert_eq!(describe(&progress), "Downloading 0/3 layers 1MB/2MB");
    }

    #[test]
    fn the_templates_are_valid() {
        for template in [HOST, TOTAL] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
