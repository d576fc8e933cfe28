//! Cuts a byte stream into the lines of a JSON-lines answer. Pure; fed by the transfers.
//!
//! Docker ends lines with `\r\n`, Podman with `\n`, and chunks of the connection are unrelated to
//! lines: a chunk may contain many lines, or a part of one.

/// Collects bytes until a line is whole.
#[derive(Debug)]
pub(super) struct LineDecoder {
    buffer: Vec<u8>,
    cap: usize,
}

/// A line that is longer than the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line of the response is longer than {cap} bytes")]
pub(super) struct LineTooLong {
    cap: usize,
}

impl LineDecoder {
    /// `cap` is the longest line in bytes that is accepted, its end not counted.
    pub(super) fn new(cap: usize) -> Self {
        Self { buffer: Vec::new(), cap }
    }

    /// Adds the next bytes and passes every complete line to `line`, without its end. Empty lines
    /// are skipped. The first error of `line` stops it.
    pub(super) fn push<E: From<LineTooLong>>(
        &mut self,
        mut bytes: &[u8],
        mut line: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = (&bytes[..end], &bytes[end + 1..]);
            self.append(head)?;
            let whole = std::mem::take(&mut self.buffer);
            deliver(&whole, &mut line)?;
            // Keep the allocation for the next line.
            self.buffer = whole;
            self.buffer.clear();
            bytes = rest;
        }
        self.append(bytes)?;
        Ok(())
    }

    /// Passes the rest after the last line end to `line`: a response may end without one.
    pub(super) fn finish<E>(
        mut self,
        mut line: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let rest = std::mem::take(&mut self.buffer);
        deliver(&rest, &mut line)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), LineTooLong> {
        // One more than the cap may be the `\r` of the line's end.
        if self.buffer.len() + bytes.len() > self.cap + 1 {
            return Err(LineTooLong { cap: self.cap });
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }
}

fn deliver<E>(whole: &[u8], line: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let trimmed = whole.trim_ascii();
    if trimmed.is_empty() { Ok(()) } else { line(trimmed) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(chunks: &[&[u8]]) -> Vec<String> {
        let mut decoder = LineDecoder::new(1024);
        let mut lines = Vec::new();
        let mut take = |line: &[u8]| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            Ok::<(), LineTooLong>(())
        };
        for chunk in chunks {
            decoder.push(chunk, &mut take).unwrap();
        }
        decoder.finish(&mut take).unwrap();
        lines
    }

    #[test]
    fn chunks_are_not_lines() {
        assert_eq!(
            decode(&[b"{\"a\":", b"1}\r", b"\n{}\n\r\n{\"b\"", b":2}"]),
            ["{\"a\":1}", "{}", "{\"b\":2}"]
        );
        assert!(decode(&[b"", b"\r\n", b"\n"]).is_empty());
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut decoder = LineDecoder::new(4);
        let accept = |_: &[u8]| Ok::<(), LineTooLong>(());
        assert_eq!(decoder.push(b"1234\r\n", accept), Ok(()));
        assert_eq!(decoder.push(b"123", accept), Ok(()));
        assert_eq!(decoder.push(b"456", accept), Err(LineTooLong { cap: 4 }));
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            text in "([a-z{}\":]{0,8}(\r\n|\n)){0,6}[a-z]{0,4}",
            cuts in prop::collection::vec(0usize..80, 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts {
                chunks.push(&text.as_bytes()[from..cut]);
                from = cut;
            }
            chunks.push(&text.as_bytes()[from..]);
            let expected: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
            prop_assert_eq!(decode(&chunks), expected);
        }
    }
}
