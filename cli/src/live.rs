//! Lines of a terminal that are redrawn in place, below what is printed meanwhile.

use std::io::{self, IsTerminal};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Lines of the terminal that stay free for earlier output.
const SPARE_LINES: u16 = 2;

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

    /// Replaces the lines.
    pub fn draw(&mut self, bars: &MultiProgress, texts: Vec<String>) {
        while self.lines.len() < texts.len() {
            let bar = ProgressBar::new_spinner().with_style(style());
            self.lines.push(bars.add(bar));
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
