//! Lines of a terminal that are redrawn in place, below what is printed meanwhile.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Lines of the terminal that stay free for earlier output.
const SPARE_LINES: u16 = 2;

/// How soon the last change is seen.
const REDRAW: Duration = Duration::from_millis(250);

/// Some lines at the end of the output.
#[derive(Default)]
pub struct LiveLines {
    lines: Vec<ProgressBar>,
}

impl LiveLines {
    /// Whether the output streams are a terminal that can be redrawn.
    pub fn are_possible() -> bool {
        io::stdout().is_terminal() && io::stderr().is_terminal()
    }

    /// Lines that fit the terminal. Queried each time, because the window can be resized.
    pub fn height() -> usize {
        let rows = rustix::termios::tcgetwinsize(io::stderr()).map_or(24, |it| it.ws_row);
        rows.saturating_sub(SPARE_LINES).into()
    }

    /// Cuts a table to what fits the terminal. The last line is then made of how many are missing.
    pub fn fit(texts: &mut Vec<String>, missing: impl FnOnce(usize) -> String) {
        let height = Self::height().max(2);
        if texts.len() > height {
            let more = texts.len() - height + 1;
            texts.truncate(height - 1);
            texts.push(missing(more));
        }
    }

    /// Replaces the lines.
    pub fn draw(&mut self, bars: &MultiProgress, texts: Vec<String>) {
        while self.lines.len() < texts.len() {
            let bar = bars.add(ProgressBar::new_spinner().with_style(style()));
            // Drawing is limited to some times a second, and what comes sooner is only kept: without
            // another draw, the last change would not be seen.
            if self.lines.is_empty() {
                bar.enable_steady_tick(REDRAW);
            }
            self.lines.push(bar);
        }
        for bar in self.lines.drain(texts.len()..) {
            remove(bars, &bar);
        }
        for (bar, text) in self.lines.iter().zip(texts) {
            bar.set_message(text);
        }
    }

    /// Removes the lines.
    pub fn clear(&mut self, bars: &MultiProgress) {
        for bar in self.lines.drain(..) {
            remove(bars, &bar);
        }
    }
}

fn remove(bars: &MultiProgress, bar: &ProgressBar) {
    bar.finish_and_clear();
    bars.remove(bar);
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}
