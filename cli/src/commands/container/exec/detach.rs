//! The keys that end a session and leave its command running, as docker spells them. Pure.

/// A sequence of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys(Vec<u8>);

/// Looks for the keys in what is typed.
#[derive(Debug)]
pub struct Detector {
    keys: Vec<u8>,
    /// How many of the keys were typed last.
    matched: usize,
}

/// What to do with typed bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// Pass these on.
    Input(Vec<u8>),
    /// Pass these on, and end the session.
    Detach(Vec<u8>),
}

impl DetachKeys {
    /// Keys separated by commas: a character each, or `ctrl-` and a letter or one of `@[\]^_`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let keys = text.split(',').map(|key| match (key.strip_prefix("ctrl-"), key.as_bytes()) {
            (Some(name), _) => match name.as_bytes() {
                [letter @ b'a'..=b'z'] => Ok(letter - b'a' + 1),
                [sign @ (b'@' | b'['..=b'_')] => Ok(sign - b'@'),
                _ => Err(format!("\"{key}\" is not ctrl- and one of a-z @ [ \\ ] ^ _")),
            },
            (None, [key]) => Ok(*key),
            (None, _) => Err(format!("\"{key}\" is not one character, or ctrl- and a letter")),
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// A detector at its start.
    pub fn detector(&self) -> Detector {
        Detector { keys: self.0.clone(), matched: 0 }
    }
}

impl Detector {
    /// Takes what was typed. Keys that may be the start of the sequence are kept back.
    pub fn take(&mut self, typed: &[u8]) -> Typed {
        let mut input = Vec::with_capacity(typed.len());
        for &byte in typed {
            if byte != self.keys[self.matched] {
                input.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
            }
            if byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return Typed::Detach(input);
                }
            } else {
                input.push(byte);
            }
        }
        Typed::Input(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: &[u8]) -> Typed {
        Typed::Input(text.to_vec())
    }

    #[test]
    fn keys_are_spelled_as_in_docker() {
        let keys = |text| DetachKeys::parse(text).map(|keys| keys.0);
        assert_eq!(keys("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(keys("a,ctrl-@,ctrl-_,ctrl-["), Ok(vec![b'a', 0, 31, 27]));
        for wrong in ["", "ctrl-", "ctrl-A", "ctrl-1", "ab", "a,", "é"] {
            assert!(keys(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_sequence_ends_the_session_and_a_part_of_it_is_input() {
        let mut detector = DetachKeys::parse("ctrl-p,ctrl-q").unwrap().detector();
        assert_eq!(detector.take(b"ab"), input(b"ab"));
        assert_eq!(detector.take(b"c\x10"), input(b"c"));
        assert_eq!(detector.take(b"d"), input(b"\x10d"));
        assert_eq!(detector.take(b"\x10\x10"), input(b"\x10"));
        assert_eq!(detector.take(b"\x11more"), Typed::Detach(Vec::new()));
    }
}
