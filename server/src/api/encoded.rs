//! Reads protobuf messages that are not decoded yet, field by field, for the checks that come before
//! decoding. Pure.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// Not a valid message; the decoder reports the problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The rest of an encoded message.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

/// The encoded value of a field.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// A number of variable length.
    Number(u64),
    /// What has a length: a text, a message, several numbers.
    Bytes(&'a [u8]),
    /// Of 32 or 64 bits, which nobody looks at.
    Fixed,
    /// A group, which the contract does not have and the decoder skips.
    Group,
}

impl<'a> Reader<'a> {
    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number and form of the next field.
    pub fn key(&mut self) -> Result<(u32, WireType), Malformed> {
        decode_key(&mut self.0).map_err(|_| Malformed)
    }

    /// Takes the value of a field of that key.
    pub fn value(&mut self, number: u32, form: WireType) -> Result<Value<'a>, Malformed> {
        match form {
            WireType::Varint => self.varint().map(Value::Number),
            WireType::ThirtyTwoBit => self.take(4).map(|_| Value::Fixed),
            WireType::SixtyFourBit => self.take(8).map(|_| Value::Fixed),
            WireType::LengthDelimited => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                self.take(length).map(Value::Bytes)
            }
            WireType::StartGroup => {
                let skipped = skip_field(form, number, &mut self.0, DecodeContext::default());
                skipped.map(|()| Value::Group).map_err(|_| Malformed)
            }
            WireType::EndGroup => Err(Malformed),
        }
    }

    /// Takes a number of variable length.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        decode_varint(&mut self.0).map_err(|_| Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, left) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = left;
        Ok(taken)
    }
}
