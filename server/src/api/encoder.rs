//! Writes protobuf messages field by field, without a struct in between. Fields with their default value
//! are left out, as proto3 wants it. Pure.

use prost::encoding::{WireType, encode_key, encode_varint};

/// The end of a message that is being written.
#[derive(Debug)]
pub struct Encoder<'b>(pub &'b mut Vec<u8>);

impl Encoder<'_> {
    /// Writes a text.
    pub fn text(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            self.element(number, text);
        }
    }

    /// Writes a text even if it is empty, as an element of a repeated field.
    pub fn element(&mut self, number: u32, text: &str) {
        encode_key(number, WireType::LengthDelimited, self.0);
        encode_varint(text.len() as u64, self.0);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Writes an `int64`.
    pub fn int64(&mut self, number: u32, value: i64) {
        if value != 0 {
            encode_key(number, WireType::Varint, self.0);
            encode_varint(value.cast_unsigned(), self.0);
        }
    }

    /// Writes a message, even if it is empty.
    pub fn message(&mut self, number: u32, write: impl FnOnce(&mut Encoder<'_>)) {
        encode_key(number, WireType::LengthDelimited, self.0);
        // Most messages in messages are so short that their length takes one byte.
        let start = self.0.len() + 1;
        self.0.push(0);
        write(&mut Encoder(self.0));
        let length = self.0.len() - start;
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => self.0[start - 1] = short,
            _ => {
                let mut prefix = Vec::new();
                encode_varint(length as u64, &mut prefix);
                self.0.splice(start - 1..start, prefix);
            }
        }
    }
}
