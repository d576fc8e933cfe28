//! The frames in which an Engine sends standard output and error of a container without a
//! terminal: `[stream, 0, 0, 0, length]` and that many bytes. Pure.

/// Bytes of a frame's head.
const HEAD: usize = 8;

/// The bytes of both streams without the frames. What is cut in the middle of a frame is
/// taken as far as it goes; bytes that are no frames, as with a terminal, are taken as they
/// are.
pub(super) fn without_frames(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((head, after)) = rest.split_at_checked(HEAD) {
        let [0..=2, 0, 0, 0, a, b, c, d] = *head else { break };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let (content, next) = after.split_at(length.min(after.len()));
        plain.extend_from_slice(content);
        rest = next;
    }
    if plain.is_empty() && !rest.is_empty() { rest.to_vec() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, content: &str) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0][..], &length, content.as_bytes()].concat()
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
