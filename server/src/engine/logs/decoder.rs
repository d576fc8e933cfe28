//! Reads the answer to a request for a log, piece by piece. Pure; fed by the HTTP client.
//!
//! The Engine frames the log of a container without a terminal, as in [`frames`](super::super::frames):
//! each frame is an entry. The log of a container with a terminal comes without frames. Every entry
//! begins with its time, because the client always asks for it, so the first byte shows which form it
//! is: a digit, or the number of a stream. That holds also for Podman versions that frame everything.

use super::{LogBatch, LogTime};
use crate::engine::frames::{HEAD, OutputSource, SYSTEM_ERROR, announced};

/// Longest entry in bytes, with its time. Docker cuts lines at 16 KiB.
const LONGEST: usize = 1 << 20;
/// Longest time in an entry, in bytes.
const LONGEST_TIME: usize = 40;

/// Turns bytes into entries.
#[derive(Debug, Default)]
pub(crate) struct LogDecoder {
    form: Option<Form>,
    /// Bytes of an entry that is not whole.
    rest: Vec<u8>,
    /// The last time of each source, for entries without one.
    last: [LogTime; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Frames,
    Raw,
}

/// An answer that is not a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LogProblem {
    /// Not a frame.
    #[error("the log contains a frame that begins with {0:?}")]
    Frame([u8; 4]),
    /// Too long.
    #[error("the log contains an entry of more than {LONGEST} bytes")]
    TooLong,
    /// The Engine's own message.
    #[error("{0}")]
    Engine(String),
}

impl LogDecoder {
    /// Takes the next bytes and adds the entries that are now whole.
    pub(crate) fn push(&mut self, bytes: &[u8], batch: &mut LogBatch) -> Result<(), LogProblem> {
        let Some(first) = self.rest.first().or(bytes.first()) else { return Ok(()) };
        let form =
            *self.form.get_or_insert(if *first <= SYSTEM_ERROR { Form::Frames } else { Form::Raw });
        if self.rest.is_empty() {
            let taken = self.take(form, bytes, batch)?;
            self.rest.extend_from_slice(&bytes[taken..]);
        } else {
            let mut whole = std::mem::take(&mut self.rest);
            whole.extend_from_slice(bytes);
            let taken = self.take(form, &whole, batch)?;
            whole.drain(..taken);
            self.rest = whole;
        }
        if self.rest.len() > LONGEST + HEAD { Err(LogProblem::TooLong) } else { Ok(()) }
    }

    /// Adds what is left at the end of a complete answer: without frames, a last line without an end.
    /// Returns false if the answer ended inside a frame, which is then not an entry.
    #[must_use]
    pub(crate) fn finish(mut self, batch: &mut LogBatch) -> bool {
        let rest = std::mem::take(&mut self.rest);
        if self.form == Some(Form::Raw) && !rest.is_empty() {
            self.entry(OutputSource::Stdout, &rest, batch);
        }
        self.form != Some(Form::Frames) || rest.is_empty()
    }

    fn take(
        &mut self,
        form: Form,
        bytes: &[u8],
        batch: &mut LogBatch,
    ) -> Result<usize, LogProblem> {
        match form {
            Form::Frames => self.frames(bytes, batch),
            Form::Raw => Ok(self.lines(bytes, batch)),
        }
    }

    fn frames(&mut self, bytes: &[u8], batch: &mut LogBatch) -> Result<usize, LogProblem> {
        let mut taken = 0;
        while let Some((head, after)) = bytes[taken..].split_first_chunk::<HEAD>() {
            let Some((stream, length)) = announced(head) else {
                return Err(LogProblem::Frame([head[0], head[1], head[2], head[3]]));
            };
            let length = length as usize;
            if length > LONGEST {
                return Err(LogProblem::TooLong);
            }
            let Some(content) = after.get(..length) else { break };
            match stream {
                SYSTEM_ERROR => {
                    let message = String::from_utf8_lossy(content).trim().to_owned();
                    return Err(LogProblem::Engine(message));
                }
                2 => self.entry(OutputSource::Stderr, content, batch),
                _ => self.entry(OutputSource::Stdout, content, batch),
            }
            taken += HEAD + length;
        }
        Ok(taken)
    }

    fn lines(&mut self, bytes: &[u8], batch: &mut LogBatch) -> usize {
        let mut taken = 0;
        while let Some(end) = memchr::memchr(b'\n', &bytes[taken..]) {
            let line = &bytes[taken..=taken + end];
            self.pieces(line, batch);
            taken += end + 1;
        }
        taken
    }

    /// The entries of one line. A long line is in pieces, each with its time at its beginning.
    fn pieces(&mut self, line: &[u8], batch: &mut LogBatch) {
        let mut rest = line;
        while let Some((piece, after)) = split_piece(rest) {
            self.entry(OutputSource::Stdout, piece, batch);
            rest = after;
        }
        self.entry(OutputSource::Stdout, rest, batch);
    }

    fn entry(&mut self, source: OutputSource, bytes: &[u8], batch: &mut LogBatch) {
        let last = &mut self.last[source as usize];
        let content = match split_time(bytes)
            .and_then(|(time, content)| Some((LogTime::parse(&time[..time.len() - 1])?, content)))
        {
            Some((time, content)) => {
                *last = time;
                content
            }
            None => bytes,
        };
        batch.push(source, *last, content);
    }
}

/// Splits an entry after the space that follows its time.
fn split_time(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = entry.iter().take(LONGEST_TIME).position(|byte| *byte == b' ')?;
    (space >= 20 && entry[0].is_ascii_digit()).then(|| entry.split_at(space + 1))
}

/// Splits a line without frames before the time of its second piece.
///
/// Docker gives all pieces of a line the same time, to the nanosecond. Podman gives each piece its own,
/// in whole seconds. A text of the container that looks the same directly after the time is no piece:
/// programs like to begin a line with the time, and no piece is empty.
fn split_piece(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (time, content) = split_time(line)?;
    let date = &time[..time.iter().position(|byte| *byte == b'T')? + 1];
    let mut after = 1;
    while let Some(found) = memchr::memmem::find(content.get(after..)?, date) {
        let start = after + found;
        if begins_piece(time, &content[start..]) {
            return Some(line.split_at(time.len() + start));
        }
        after = start + date.len();
    }
    None
}

/// Whether this begins with the time of a piece that follows a piece with that time.
fn begins_piece(time: &[u8], content: &[u8]) -> bool {
    if content.starts_with(time) {
        return true;
    }
    let parsed = |text: &[u8]| LogTime::parse(text.strip_suffix(b" ")?);
    match (parsed(time), content.get(..time.len()).and_then(parsed)) {
        (Some(first), Some(next)) if !time.contains(&b'.') => {
            next.seconds == first.seconds + 1 && next.nanos == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "2026-01-01T00:00:01.000000001Z";
    const SECOND: &str = "2026-01-01T00:00:02.000000000Z";

    fn frame(stream: u8, content: &str) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0][..], &length, content.as_bytes()].concat()
    }

    /// The entries of an answer that arrives in pieces of this size, and whether it was whole.
    fn decoded(bytes: &[u8], size: usize) -> (Vec<(OutputSource, u64, String)>, bool) {
        let (mut decoder, mut batch) = (LogDecoder::default(), LogBatch::default());
        for piece in bytes.chunks(size) {
            decoder.push(piece, &mut batch).unwrap();
        }
        let is_whole = decoder.finish(&mut batch);
        let entries = batch.entries().map(|(source, time, bytes)| {
            (source, time.seconds % 60, String::from_utf8_lossy(bytes).into_owned())
        });
        (entries.collect(), is_whole)
    }

    #[test]
    fn frames_are_entries_however_they_arrive() {
        let bytes = [
            frame(1, &format!("{FIRST} one\n")),
            frame(2, &format!("{SECOND} two\n")),
            frame(1, &format!("{SECOND} \n")),
            frame(1, "no time\n"),
        ]
        .concat();
        let expected = [
            (OutputSource::Stdout, 1, "one\n".to_owned()),
            (OutputSource::Stderr, 2, "two\n".to_owned()),
            (OutputSource::Stdout, 2, "\n".to_owned()),
            (OutputSource::Stdout, 2, "no time\n".to_owned()),
        ];
        for size in [1, 3, 8, 9, 1000] {
            assert_eq!(decoded(&bytes, size), (expected.to_vec(), true), "{size}");
        }
        // A frame that did not arrive whole is not an entry, and the log is not whole.
        for missing in [1, "no time\n".len(), "no time\n".len() + HEAD - 1] {
            let cut = &bytes[..bytes.len() - missing];
            assert_eq!(decoded(cut, 5), (expected[..3].to_vec(), false), "{missing}");
        }
    }

    #[test]
    fn a_terminal_has_lines_and_long_ones_in_pieces() {
        let (long, rest) = ("x".repeat(16_384), "y".repeat(9));
        let bytes = format!("{FIRST} one\r\n{SECOND} {long}{SECOND} {rest}\r\n{SECOND} $ ");
        for size in [1, 1000, 100_000] {
            let (entries, _) = decoded(bytes.as_bytes(), size);
            let texts: Vec<&str> = entries.iter().map(|(_, _, text)| &**text).collect();
            assert_eq!(texts, ["one\r\n", &long, &format!("{rest}\r\n"), "$ "], "{size}");
        }
    }

    #[test]
    fn pieces_of_podman_have_times_in_seconds() {
        let (first, second) = ("2026-01-01T00:00:59+01:00", "2026-01-01T00:01:00+01:00");
        let (long, rest) = ("x".repeat(4_096), "y".repeat(9));
        let bytes = format!("{first} {long}{first} {long}{second} {long}{second} {rest}\r\n");
        let (entries, _) = decoded(bytes.as_bytes(), 1000);
        let texts: Vec<&str> = entries.iter().map(|(_, _, text)| &**text).collect();
        assert_eq!(texts, [&long, &long, &long, &*format!("{rest}\r\n")]);
        let seconds: Vec<u64> = entries.iter().map(|(_, second, _)| *second).collect();
        assert_eq!(seconds, [59, 59, 0, 0]);
    }

    #[test]
    fn a_time_that_the_container_wrote_stays() {
        let (time, later) = ("2026-01-01T00:00:01Z", "2026-01-01T00:00:09Z");
        for text in [format!("{time} started\r\n"), format!("next run at {later} or so\r\n")] {
            let (entries, _) = decoded(format!("{time} {text}").as_bytes(), 1000);
            assert_eq!(entries, [(OutputSource::Stdout, 1, text)]);
        }
    }

    #[test]
    fn what_is_not_a_log_is_an_error() {
        let problem = |bytes: &[u8]| LogDecoder::default().push(bytes, &mut LogBatch::default());
        let error = frame(3, "Error grabbing logs: unexpected EOF\n");
        let said = LogProblem::Engine("Error grabbing logs: unexpected EOF".to_owned());
        assert_eq!(problem(&error), Err(said));
        assert_eq!(problem(&[1, 0, 0, 9, 0, 0, 0, 1]), Err(LogProblem::Frame([1, 0, 0, 9])));
        assert_eq!(problem(&[1, 0, 0, 0, 255, 0, 0, 1]), Err(LogProblem::TooLong));
        assert_eq!(problem(&vec![b'2'; LONGEST + HEAD + 1]), Err(LogProblem::TooLong));
    }
}
