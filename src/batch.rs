//! `wharf.v1.ContainerBatch` by hand instead of generated: besides decoded containers, a server can put
//! containers into it that are encoded already, so that a list from its memory costs what its bytes cost.
//! On the wire, and for a client, it is the message of the contract.

use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes};
use prost::encoding::{
    DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint, key_len, message,
    skip_field, string,
};

use crate::v1::Container;

/// `containers` of the batch.
const CONTAINERS: u32 = 1;
/// `status` of a container.
const STATUS: u32 = 8;

/// Some containers of one host.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ContainerBatch {
    /// The containers.
    pub containers: Vec<Container>,
    /// Further containers, which only a sender has: a receiver finds all in `containers`.
    pub encoded: Vec<EncodedContainer>,
}

/// A container that is encoded but for its status, which changes as time passes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EncodedContainer {
    /// A [`Container`] without status, as protobuf.
    pub body: Bytes,
    /// Its status.
    pub status: String,
}

impl EncodedContainer {
    /// Its size in a message.
    pub fn encoded_len(&self) -> usize {
        let status =
            if self.status.is_empty() { 0 } else { string::encoded_len(STATUS, &self.status) };
        self.body.len() + status
    }
}

impl ContainerBatch {
    /// A batch of these containers.
    pub fn of(containers: Vec<Container>) -> Self {
        Self { containers, encoded: Vec::new() }
    }
}

impl prost::Name for ContainerBatch {
    const NAME: &'static str = "ContainerBatch";
    const PACKAGE: &'static str = "wharf.v1";
}

impl Message for ContainerBatch {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        for container in &self.containers {
            message::encode(CONTAINERS, container, buffer);
        }
        for container in &self.encoded {
            encode_key(CONTAINERS, WireType::LengthDelimited, buffer);
            encode_varint(container.encoded_len() as u64, buffer);
            buffer.put_slice(&container.body);
            if !container.status.is_empty() {
                string::encode(STATUS, &container.status, buffer);
            }
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        match tag {
            CONTAINERS => message::merge_repeated(wire_type, &mut self.containers, buffer, context),
            _ => skip_field(wire_type, tag, buffer, context),
        }
    }

    fn encoded_len(&self) -> usize {
        let size = |container: &EncodedContainer| {
            let length = container.encoded_len();
            key_len(CONTAINERS) + encoded_len_varint(length as u64) + length
        };
        message::encoded_len_repeated(CONTAINERS, &self.containers)
            + self.encoded.iter().map(size).sum::<usize>()
    }

    fn clear(&mut self) {
        self.containers.clear();
        self.encoded.clear();
    }
}
