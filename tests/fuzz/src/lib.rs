//! Inputs of the fuzz targets.
//!
//! A target gets bytes: from a random source under `cargo test`, and from libFuzzer, which searches
//! for bytes that reach new code, under `scripts/fuzz`. Random bytes are rarely JSON or YAML, and
//! would only test the first check of a decoder. Therefore, [`edited`] interprets them as edits of
//! a valid text.

/// Makes an input of `bytes`: the first chooses one of `seeds`, or none of them; the others are
/// edits of it, four bytes each. Without a seed they are the input itself.
#[must_use]
pub fn edited(bytes: &[u8], seeds: &[&str]) -> Vec<u8> {
    let Some((&choice, edits)) = bytes.split_first() else { return Vec::new() };
    let Some(seed) = seeds.get(usize::from(choice) % (seeds.len() + 1)) else {
        return edits.to_vec();
    };
    let mut text = seed.as_bytes().to_vec();
    for edit in edits.chunks_exact(4) {
        let &[kind, high, low, value] = edit else { continue };
        let at = usize::from(u16::from_be_bytes([high, low])) % (text.len() + 1);
        let end = (at + usize::from(value)).min(text.len());
        match kind % 7 {
            0 if at < text.len() => text[at] = value,
            1 => text.insert(at, value),
            2 => drop(text.drain(at..end)),
            3 => {
                let part = text[at..end].to_vec();
                text.extend_from_slice(&part);
            }
            4 => {
                let part = text[at..end].to_vec();
                text.splice(at..at, part);
            }
            5 => {
                let other = WORDS[usize::from(value) % WORDS.len()].as_bytes();
                text.splice(at..at, other.iter().copied());
            }
            // Another seed from there on.
            6 => {
                text.truncate(at);
                let other = seeds[usize::from(value) % seeds.len()].as_bytes();
                text.extend_from_slice(&other[at.min(other.len())..]);
            }
            _ => {}
        }
    }
    text
}

/// The same as text; what is not UTF-8 is replaced.
#[must_use]
pub fn edited_text(bytes: &[u8], seeds: &[&str]) -> String {
    String::from_utf8_lossy(&edited(bytes, seeds)).into_owned()
}

/// What decoders stumble over: limits of numbers, empty values, marks of a syntax, characters
/// that cannot be seen.
const WORDS: [&str; 32] = [
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "0",
    "-1",
    "1e400",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "0.1",
    "\u{0}",
    "\u{1b}[2J",
    "\u{200b}",
    "\u{202e}",
    "\u{feff}",
    "é",
    "\u{10ffff}",
    "\\u0000",
    "\\ud800",
    "../",
    "%2e%2e",
    "://",
    "@",
    ":",
    ",",
    "\r\n",
    " ",
    "=",
    "/",
    "sha256:",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_without_edits_is_the_input() {
        assert_eq!(edited_text(&[0], &["one", "two"]), "one");
        assert_eq!(edited_text(&[1], &["one", "two"]), "two");
        assert_eq!(edited_text(&[2, b'x', b'y'], &["one", "two"]), "xy");
        assert_eq!(edited_text(&[], &["one"]), "");
    }

    #[test]
    fn edits_change_the_seed() {
        assert_eq!(edited_text(&[0, 0, 0, 1, b'x'], &["one"]), "oxe");
        assert_eq!(edited_text(&[0, 1, 0, 3, b'!'], &["one"]), "one!");
        assert_eq!(edited_text(&[0, 2, 0, 0, 2], &["one"]), "e");
        assert_eq!(edited_text(&[0, 5, 0, 0, 0], &["one"]), "nullone");
        assert_eq!(edited_text(&[0, 6, 0, 1, 1], &["one", "two"]), "owo");
    }
}
