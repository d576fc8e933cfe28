//! The frames in which an Engine sends stdout and stderr of a container without a terminal:
//! `[stream, 0, 0, 0, length]` and that many bytes. Pure.

use bytes::{Bytes, BytesMut};

/// Bytes of a frame's head.
pub(super) const HEAD: usize = 8;
/// The stream on which an Engine reports that it cannot read on.
pub(super) const SYSTEM_ERROR: u8 = 3;

/// The stream and the length that the head of a frame announces; `None` if it is no head.
pub(super) fn announced(head: &[u8; HEAD]) -> Option<(u8, u32)> {
    let [stream @ 0..=SYSTEM_ERROR, 0, 0, 0, length @ ..] = *head else { return None };
    Some((stream, u32::from_be_bytes(length)))
}

/// The same for the output of a process, on which there are no reports.
fn of_process(head: &[u8; HEAD]) -> Option<(u8, u32)> {
    announced(head).filter(|(stream, _)| *stream != SYSTEM_ERROR)
}

/// The output to which a container or a command wrote something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputSource {
    /// Standard output; all output of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Output of a process. A long frame of the Engine comes in several pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where the process wrote it.
    pub source: OutputSource,
    /// Never empty.
    pub data: Bytes,
}

/// Reads a stream of frames as it comes. Bytes that are no frame are standard output, from there
/// on: some Engines report an error without a frame.
#[derive(Debug)]
pub(super) struct FrameDecoder {
    source: OutputSource,
    /// Bytes of the current frame that have not come.
    left: usize,
    plain: bool,
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self { source: OutputSource::Stdout, left: 0, plain: false }
    }
}

impl FrameDecoder {
    /// Takes the next output from the received bytes; `None` if more must be received.
    pub(super) fn next(&mut self, received: &mut BytesMut) -> Option<Frame> {
        while self.left == 0 && !self.plain {
            let head: &[u8; HEAD] = received.first_chunk()?;
            let Some((stream, length)) = of_process(head) else {
                self.plain = true;
                self.source = OutputSource::Stdout;
                break;
            };
            self.source = if stream == 2 { OutputSource::Stderr } else { OutputSource::Stdout };
            self.left = length as usize;
            let _ = received.split_to(HEAD);
        }
        if received.is_empty() {
            return None;
        }
        let length = if self.plain { received.len() } else { self.left.min(received.len()) };
        self.left = self.left.saturating_sub(length);
        Some(Frame { source: self.source, data: received.split_to(length).freeze() })
    }
}

/// The bytes of both streams without the frames. An incomplete frame is used as far as it goes;
/// bytes without frames, as with a terminal, are unchanged.
pub(super) fn without_frames(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((head, after)) = rest.split_first_chunk() {
        let Some((_, length)) = of_process(head) else { break };
        let (content, next) = after.split_at(after.len().min(length as usize));
        plain.extend_from_slice(content);
        rest = next;
    }
    if plain.is_empty() && !rest.is_empty() { rest.to_vec() } else { plain }
}

/// The end of a stream of frames: drops whole frames from the start until about `keep` bytes are
/// left. A longer frame is truncated at its start, and its header rewritten; bytes without frames
/// are cut anywhere. At most `keep` bytes and a header.
pub(super) fn last_frames(bytes: &[u8], keep: usize) -> Vec<u8> {
    let mut start = 0;
    while bytes.len() - start > keep {
        let Some((stream, announced)) = bytes[start..].first_chunk().and_then(of_process) else {
            start = bytes.len() - keep;
            break;
        };
        let content = start + HEAD;
        let next = content + announced as usize;
        if next <= bytes.len() {
            start = next;
            continue;
        }
        let kept = &bytes[content.max(bytes.len() - keep)..];
        let dropped = bytes.len() - kept.len() - content;
        // The dropped part is smaller than the announced length, so it fits.
        let left = announced.saturating_sub(u32::try_from(dropped).unwrap_or(u32::MAX));
        return [&[stream, 0, 0, 0][..], &left.to_be_bytes(), kept].concat();
    }
    bytes[start..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, content: &str) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0][..], &length, content.as_bytes()].concat()
    }

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let whole =
            [frame(1, "out\n"), frame(2, ""), frame(2, "error\n"), frame(1, "end")].concat();
        for size in 1..=whole.len() {
            let (mut decoder, mut received) = (FrameDecoder::default(), BytesMut::new());
            let (mut out, mut error) = (Vec::new(), Vec::new());
            for chunk in whole.chunks(size) {
                received.extend_from_slice(chunk);
                while let Some(Frame { source, data }) = decoder.next(&mut received) {
                    assert!(!data.is_empty());
                    match source {
                        OutputSource::Stdout => out.extend_from_slice(&data),
                        OutputSource::Stderr => error.extend_from_slice(&data),
                    }
                }
            }
            assert_eq!((&*out, &*error), (&b"out\nend"[..], &b"error\n"[..]), "{size}");
        }
    }

    #[test]
    fn what_is_no_frame_is_output() {
        let mut received = BytesMut::from(&[&frame(2, "a")[..], b"no such file"].concat()[..]);
        let mut decoder = FrameDecoder::default();
        let mut next = || decoder.next(&mut received);
        assert_eq!(next().unwrap().source, OutputSource::Stderr);
        let rest = next().unwrap();
        assert_eq!((rest.source, &*rest.data), (OutputSource::Stdout, &b"no such file"[..]));
        assert_eq!(next(), None);
    }

    #[test]
    fn the_end_of_many_frames_is_kept() {
        let lines: Vec<String> = (0..100).map(|line| format!("line {line}\n")).collect();
        let bytes: Vec<u8> = lines.iter().flat_map(|line| frame(1, line)).collect();
        let end = last_frames(&bytes, 40);
        assert!(end.len() <= 40, "{}", end.len());
        assert_eq!(without_frames(&end), b"line 98\nline 99\n");
        assert_eq!(last_frames(&bytes, bytes.len()), bytes);
        assert_eq!(last_frames(b"no frames at all", 3), b"all");
    }

    #[test]
    fn a_frame_that_does_not_end_takes_no_more_memory_than_others() {
        let mut bytes = vec![1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
        for letter in b'a'..=b'z' {
            bytes.extend_from_slice(&[letter; 100]);
            bytes = last_frames(&bytes, 150);
            assert!(bytes.len() <= 150 + HEAD, "{}", bytes.len());
        }
        let plain = without_frames(&bytes);
        assert_eq!(
            (plain.len(), &plain[..50], &plain[50..]),
            (150, &[b'y'; 50][..], &[b'z'; 100][..])
        );
        // A following frame is found where the header said.
        let mut bytes = frame(2, &"x".repeat(300))[..200].to_vec();
        bytes = last_frames(&bytes, 50);
        bytes.extend_from_slice(&[b'x'; 108]);
        bytes.extend_from_slice(&frame(1, "end"));
        let plain = without_frames(&bytes);
        assert!(plain.len() == 50 + 108 + 3 && plain.ends_with(b"xend"), "{plain:?}");
    }

    #[test]
    fn frames_are_taken_away() {
        let bytes = [frame(1, "out\n"), frame(2, "error\n"), frame(1, "")].concat();
        assert_eq!(without_frames(&bytes), b"out\nerror\n");
    }

    #[test]
    fn a_cut_frame_gives_what_is_there() {
        let bytes = frame(1, "hello");
        assert_eq!(without_frames(&bytes[..10]), b"he");
        assert_eq!(without_frames(&[]), b"");
    }

    #[test]
    fn a_terminal_has_no_frames() {
        assert_eq!(without_frames(b"plain text\r\n"), b"plain text\r\n");
        assert_eq!(without_frames(b"abc"), b"abc");
    }
}
