//! Collects entries of one container into chunks of whole lines. Pure.

use std::time::{Duration, SystemTime};

use wharf::v1;

use super::position::Position;
use crate::api::convert::output_source;
use crate::api::times::timestamp;
use crate::engine::{LogTime, OutputSource};

/// Bytes of a chunk.
const FULL: usize = 64 << 10;

/// Some lines of one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    source: OutputSource,
    data: Vec<u8>,
    continues: bool,
    last_time: LogTime,
    position: Position,
}

/// The lines that wait to be sent, and how far the log was read.
///
/// Entries are sent in the order of the log, so that the position of each chunk is exact. Therefore,
/// a line is sent in pieces if the other output writes in the middle of it.
#[derive(Debug)]
pub struct Chunks {
    timestamps: bool,
    source: OutputSource,
    /// Whole lines.
    whole: Vec<u8>,
    whole_end: (LogTime, Position),
    /// The beginning of the line after them.
    partial: Vec<u8>,
    partial_end: (LogTime, Position),
    /// Whether the next entry of an output continues a line.
    mid_line: [bool; 2],
    position: Position,
}

impl Chunks {
    /// Continues after a position.
    pub fn after(position: Position, timestamps: bool) -> Self {
        let end = (LogTime::default(), position);
        Self {
            timestamps,
            source: OutputSource::Stdout,
            whole: Vec::new(),
            whole_end: end,
            partial: Vec::new(),
            partial_end: end,
            mid_line: [false; 2],
            position,
        }
    }

    /// Behind the last entry that was added.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether a line waits to be sent.
    pub fn is_due(&self) -> bool {
        !self.whole.is_empty()
    }

    /// Adds an entry. `ready` gets the chunks that are full with it.
    pub fn push(
        &mut self,
        source: OutputSource,
        time: LogTime,
        bytes: &[u8],
        ready: &mut Vec<Chunk>,
    ) {
        if source != self.source {
            self.flush(ready);
            self.flush_partial(ready);
            self.source = source;
        }
        if self.whole.len() + self.partial.len() + bytes.len() > FULL {
            self.flush(ready);
        }
        if self.partial.len() + bytes.len() > FULL {
            self.flush_partial(ready);
        }
        self.position.advance(source, time);
        let mid_line = &mut self.mid_line[source as usize];
        if self.timestamps && !*mid_line {
            self.partial.extend_from_slice(text(time).as_bytes());
        }
        *mid_line = !bytes.ends_with(b"\n");
        self.partial.extend_from_slice(bytes);
        self.partial_end = (time, self.position);
        if bytes.ends_with(b"\n") {
            self.whole.append(&mut self.partial);
            self.whole_end = self.partial_end;
        }
    }

    /// Sends the whole lines.
    pub fn flush(&mut self, ready: &mut Vec<Chunk>) {
        if !self.whole.is_empty() {
            let data = std::mem::take(&mut self.whole);
            ready.push(self.chunk(data, self.whole_end, false));
        }
    }

    /// Sends everything at the end of the log; its last line may have no end.
    pub fn finish(&mut self, ready: &mut Vec<Chunk>) {
        self.flush(ready);
        if !self.partial.is_empty() {
            let data = std::mem::take(&mut self.partial);
            ready.push(self.chunk(data, self.partial_end, false));
        }
        self.mid_line = [false; 2];
    }

    fn flush_partial(&mut self, ready: &mut Vec<Chunk>) {
        if !self.partial.is_empty() {
            let data = std::mem::take(&mut self.partial);
            ready.push(self.chunk(data, self.partial_end, true));
        }
    }

    fn chunk(&self, data: Vec<u8>, end: (LogTime, Position), continues: bool) -> Chunk {
        let (last_time, position) = end;
        Chunk { source: self.source, data, continues, last_time, position }
    }
}

impl Chunk {
    /// As sent.
    pub fn into_message(self, container_id: &str, name: &str) -> v1::LogChunk {
        v1::LogChunk {
            container_id: container_id.to_owned(),
            name: name.to_owned(),
            source: output_source(self.source).into(),
            data: self.data,
            continues: self.continues,
            last_time: Some(timestamp(self.last_time)),
            position: Some(self.position.to_message()),
        }
    }
}

/// The time before a line.
fn text(time: LogTime) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::new(time.seconds, time.nanos);
    format!("{} ", humantime::format_rfc3339_nanos(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: OutputSource = OutputSource::Stdout;
    const ERROR: OutputSource = OutputSource::Stderr;

    fn at(seconds: u64) -> LogTime {
        LogTime { seconds, nanos: 0 }
    }

    /// Text, and whether it continues, of each chunk.
    fn said(chunks: &[Chunk]) -> Vec<(OutputSource, &str, bool)> {
        let text = |chunk: &'_ Chunk| std::str::from_utf8(&chunk.data).unwrap().to_owned();
        let leaked = chunks.iter().map(|chunk| {
            let text: &'static str = Box::leak(text(chunk).into_boxed_str());
            (chunk.source, text, chunk.continues)
        });
        leaked.collect()
    }

    #[test]
    fn lines_of_one_output_share_a_chunk_and_a_partial_one_waits() {
        let mut chunks = Chunks::after(Position::default(), false);
        let mut ready = Vec::new();
        chunks.push(OUT, at(1), b"one\n", &mut ready);
        chunks.push(OUT, at(2), b"two\n", &mut ready);
        chunks.push(OUT, at(3), b"thr", &mut ready);
        assert!(ready.is_empty() && chunks.is_due());
        chunks.flush(&mut ready);
        assert_eq!(said(&ready), [(OUT, "one\ntwo\n", false)]);
        assert_eq!(ready[0].last_time, at(2));
        assert!(!chunks.is_due());
        chunks.push(OUT, at(3), b"ee\n", &mut ready);
        chunks.push(ERROR, at(4), b"four\n", &mut ready);
        assert_eq!(said(&ready[1..]), [(OUT, "three\n", false)]);
        chunks.finish(&mut ready);
        assert_eq!(said(&ready[2..]), [(ERROR, "four\n", false)]);
        assert_eq!(ready[2].position, chunks.position());
    }

    #[test]
    fn a_line_that_is_interrupted_or_too_long_comes_in_pieces() {
        let mut chunks = Chunks::after(Position::default(), true);
        let mut ready = Vec::new();
        chunks.push(OUT, at(1), b"be", &mut ready);
        chunks.push(ERROR, at(2), b"bang\n", &mut ready);
        chunks.push(OUT, at(1), b"gin\n", &mut ready);
        chunks.finish(&mut ready);
        let first = "1970-01-01T00:00:01.000000000Z be";
        let second = "1970-01-01T00:00:02.000000000Z bang\n";
        assert_eq!(
            said(&ready),
            [(OUT, first, true), (ERROR, second, false), (OUT, "gin\n", false)]
        );

        let mut chunks = Chunks::after(Position::default(), false);
        let mut ready = Vec::new();
        let piece = vec![b'x'; 16 << 10];
        for _ in 0..10 {
            chunks.push(OUT, at(1), &piece, &mut ready);
        }
        chunks.push(OUT, at(1), b"end\n", &mut ready);
        chunks.push(OUT, at(2), b"next\n", &mut ready);
        chunks.finish(&mut ready);
        let sizes: Vec<_> = ready.iter().map(|chunk| (chunk.data.len(), chunk.continues)).collect();
        assert_eq!(sizes, [(64 << 10, true), (64 << 10, true), ((32 << 10) + 9, false)]);
    }

    #[test]
    fn a_last_line_without_an_end_is_sent() {
        let mut chunks = Chunks::after(Position::default(), false);
        let mut ready = Vec::new();
        chunks.push(OUT, at(1), b"$ ", &mut ready);
        chunks.flush(&mut ready);
        assert!(ready.is_empty());
        chunks.finish(&mut ready);
        assert_eq!(said(&ready), [(OUT, "$ ", false)]);
    }
}
