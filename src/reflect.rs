//! Messages by the names of their fields.

use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(crate::DESCRIPTORS).expect("the descriptors of this crate are valid")
});

/// The descriptor of a message.
///
/// # Panics
/// For a message of another contract.
#[must_use]
pub fn descriptor<M: Name>() -> MessageDescriptor {
    POOL.get_message_by_name(&M::full_name())
        .expect("every message of the contract is among its descriptors")
}

/// The message with its fields by name.
///
/// # Panics
/// As [`descriptor`].
#[must_use]
pub fn dynamic<M: Message + Name>(message: &M) -> DynamicMessage {
    DynamicMessage::decode(descriptor::<M>(), message.encode_to_vec().as_slice())
        .expect("what was just encoded can be decoded")
}
