//! Lists of an Engine, decoded item by item as they arrive. Even for a long or incomplete list,
//! memory contains only its items and the start of one.
//!
//! Pure; the HTTP client feeds it.

use super::EngineError;

/// Maximum size of an item, in bytes. Twice what fits in a message to a caller, so that the caller
/// learns which item is too large to send; and small enough to decode without delaying other hosts.
const LONGEST_ITEM: usize = 8 << 20;

/// What JSON allows between its parts.
const SPACE: [char; 4] = [' ', '\n', '\r', '\t'];

/// An item of a list that is kept.
pub(super) trait ListItem: Sized {
    /// Reads it.
    fn read(json: &str) -> serde_json::Result<Self>;
    /// Keeps its own JSON with it, if possible.
    fn keep_json(&mut self, _json: String) {}
    /// Its approximate memory beside its own JSON, in bytes.
    fn memory(&self) -> usize;
}

/// What becomes of the items of a list.
pub(super) trait ListItems {
    /// Takes the next item, without space around it.
    fn take(&mut self, json: &str) -> Result<(), ItemError>;
    /// How many there are.
    fn count(&self) -> usize;
    /// Their approximate memory, in bytes.
    fn memory(&self) -> usize;
}

/// Items that are kept.
#[derive(Debug)]
pub(super) struct KeptItems<T> {
    keep_json: bool,
    items: Vec<T>,
    memory: usize,
}

/// A problem of an item.
#[derive(Debug)]
pub(super) enum ItemError {
    /// It is not what such an item should be.
    Invalid(serde_json::Error),
    /// It can be read, and not be taken.
    Refused(EngineError),
}

/// A problem of a list.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListError {
    /// It is not a list of such items.
    #[error("{0}")]
    Invalid(String),
    /// The item at this place, from 0, is too long.
    #[error("item {0} of the list is larger than the limit of {LONGEST_ITEM} bytes")]
    ItemTooLong(usize),
    /// An item was refused by who takes them.
    #[error("{}", .0.message)]
    Refused(EngineError),
}

/// Reads one list.
#[derive(Debug)]
pub(super) struct ListDecoder<I> {
    items: I,
    /// The current item, or what may become `null`.
    partial: Vec<u8>,
    place: Place,
    /// Brackets and braces that are open in the item.
    depth: usize,
    /// Whether a string is open in the item, and whether the next byte is escaped.
    string: bool,
    escaped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the list.
    Start,
    /// The text does not start like a list: only `null` is valid.
    Null,
    /// Before the first item, or the end of the list.
    First,
    /// In an item.
    Item,
    /// After the list.
    End,
}

impl<T> KeptItems<T> {
    /// Keeps each item's own JSON if `keep_json` is set.
    pub(super) fn new(keep_json: bool) -> Self {
        Self { keep_json, items: Vec::new(), memory: 0 }
    }

    pub(super) fn into_items(self) -> Vec<T> {
        self.items
    }
}

impl<T: ListItem> ListItems for KeptItems<T> {
    fn take(&mut self, json: &str) -> Result<(), ItemError> {
        let mut item = T::read(json)?;
        self.memory += item.memory();
        if self.keep_json {
            self.memory += json.len();
            item.keep_json(json.to_owned());
        }
        self.items.push(item);
        Ok(())
    }

    fn count(&self) -> usize {
        self.items.len()
    }

    fn memory(&self) -> usize {
        self.memory
    }
}

impl From<serde_json::Error> for ItemError {
    fn from(error: serde_json::Error) -> Self {
        Self::Invalid(error)
    }
}

impl<I: ListItems> ListDecoder<I> {
    /// The items go to `items`.
    pub(super) fn new(items: I) -> Self {
        Self {
            items,
            partial: Vec::new(),
            place: Place::Start,
            depth: 0,
            string: false,
            escaped: false,
        }
    }

    /// Adds the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), ListError> {
        let mut rest = bytes;
        while let Some((&first, after)) = rest.split_first() {
            match self.place {
                Place::Item => match self.end_of_item(rest) {
                    Some(end) => {
                        self.item(&rest[..end])?;
                        if rest[end] == b']' {
                            self.place = Place::End;
                        }
                        rest = &rest[end + 1..];
                    }
                    None => return self.extend(rest),
                },
                // Kept, and checked at the end.
                Place::Null => return self.extend(rest),
                Place::Start | Place::First | Place::End if is_space(first) => rest = after,
                Place::Start if first == b'[' => {
                    self.place = Place::First;
                    rest = after;
                }
                Place::Start => self.place = Place::Null,
                Place::First if first == b']' => {
                    self.place = Place::End;
                    rest = after;
                }
                Place::First => self.place = Place::Item,
                Place::End => return Err(invalid("unexpected data after the list")),
            }
        }
        Ok(())
    }

    /// The items, at the end. An Engine may send `null` for an empty list.
    pub(super) fn finish(self) -> Result<I, ListError> {
        match self.place {
            Place::End => Ok(self.items),
            Place::Null if self.partial.trim_ascii() == b"null" => Ok(self.items),
            Place::Null => Err(invalid("not a list")),
            Place::Start | Place::First | Place::Item => {
                Err(invalid(format!("it ends unexpectedly after {} items", self.items.count())))
            }
        }
    }

    /// Its current memory, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.items.memory() + self.partial.capacity()
    }

    /// Reads on in an item, up to the comma or bracket that ends it, if that is there. Problems inside the
    /// item are found when it is decoded.
    fn end_of_item(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            if self.escaped {
                bytes.get(at)?;
                self.escaped = false;
                at += 1;
            }
            if self.string {
                // Most bytes of a list are in strings.
                at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
                self.string = bytes[at] != b'"';
                self.escaped = self.string;
            } else {
                let is_part = |byte: &u8| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b',');
                at += bytes[at..].iter().position(is_part)?;
                match bytes[at] {
                    b',' | b']' if self.depth == 0 => return Some(at),
                    b'"' => self.string = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
            }
            at += 1;
        }
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), ListError> {
        if self.partial.len() + bytes.len() > LONGEST_ITEM {
            return Err(ListError::ItemTooLong(self.items.count()));
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// Decodes the item that ends with these bytes: in place, unless its start came before them.
    fn item(&mut self, end: &[u8]) -> Result<(), ListError> {
        if self.partial.is_empty() && end.len() <= LONGEST_ITEM {
            return self.decode(end);
        }
        self.extend(end)?;
        let mut whole = std::mem::take(&mut self.partial);
        self.decode(&whole)?;
        whole.clear();
        self.partial = whole;
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<(), ListError> {
        let place = self.items.count();
        let wrong = |problem: &dyn std::fmt::Display| invalid(format!("item {place}: {problem}"));
        let json = std::str::from_utf8(bytes).map_err(|_| wrong(&"not UTF-8"))?;
        self.items.take(json.trim_matches(SPACE)).map_err(|error| match error {
            ItemError::Invalid(error) => wrong(&error),
            ItemError::Refused(error) => ListError::Refused(error),
        })
    }
}

fn is_space(byte: u8) -> bool {
    SPACE.contains(&char::from(byte))
}

fn invalid(problem: impl Into<String>) -> ListError {
    ListError::Invalid(problem.into())
}

/// Reads a whole list.
#[cfg(test)]
pub(super) fn parse_list<T: ListItem>(text: &str, keep_json: bool) -> Result<Vec<T>, ListError> {
    let mut decoder = ListDecoder::new(KeptItems::new(keep_json));
    decoder.push(text.as_bytes())?;
    Ok(decoder.finish()?.into_items())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Number(i64, Option<String>);

    impl ListItem for Number {
        fn read(json: &str) -> serde_json::Result<Self> {
            serde_json::from_str(json).map(|number| Self(number, None))
        }
        fn keep_json(&mut self, json: String) {
            self.1 = Some(json);
        }
        fn memory(&self) -> usize {
            size_of::<Self>()
        }
    }

    fn decode(text: &str, piece: usize) -> Result<Vec<i64>, ListError> {
        let mut decoder = ListDecoder::new(KeptItems::<Number>::new(false));
        for piece in text.as_bytes().chunks(piece) {
            decoder.push(piece)?;
        }
        Ok(decoder.finish()?.items.into_iter().map(|number| number.0).collect())
    }

    #[test]
    fn a_list_is_the_same_in_whatever_pieces_it_comes() {
        for piece in 1..9 {
            for (text, numbers) in [
                ("[]", &[][..]),
                (" [ ] ", &[]),
                ("null\n", &[]),
                ("[ 1 , 22,-3 ]\n", &[1, 22, -3]),
            ] {
                assert_eq!(decode(text, piece).unwrap(), numbers, "{text}");
            }
            for text in [
                "", "[", "[1", "[1,", "[1,]", "[,1]", "[1]]", "[1] 2", "[1 2]", "nul", "{}", "1",
                "[[]]",
            ] {
                assert!(decode(text, piece).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn of_a_list_under_way_only_its_items_are_held() {
        let mut decoder = ListDecoder::new(KeptItems::<Text>::new(false));
        decoder.push(b"[").unwrap();
        let item = format!("\"[,\\\"{}\",", "x".repeat(100));
        for _ in 0..10_000 {
            decoder.push(item.as_bytes()).unwrap();
        }
        assert!(decoder.partial.capacity() < 1000, "{}", decoder.partial.capacity());
        assert!(decoder.memory() < 10_000 * 200, "{}", decoder.memory());
        assert!(
            matches!(decoder.finish(), Err(ListError::Invalid(text)) if text.contains("10000"))
        );
    }

    #[test]
    fn an_item_without_an_end_is_refused_and_not_held() {
        let mut decoder = ListDecoder::new(KeptItems::<Text>::new(false));
        decoder.push(b"[\"a\",\"").unwrap();
        let piece = vec![b'x'; 1 << 20];
        let refused = (0..9).find_map(|_| decoder.push(&piece).err());
        assert!(matches!(refused, Some(ListError::ItemTooLong(1))), "{refused:?}");
    }

    #[derive(Debug)]
    struct Text(String);

    impl ListItem for Text {
        fn read(json: &str) -> serde_json::Result<Self> {
            serde_json::from_str(json).map(Self)
        }
        fn memory(&self) -> usize {
            size_of::<Self>() + self.0.len()
        }
    }
}
