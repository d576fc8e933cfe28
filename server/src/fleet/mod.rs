//! All hosts together: which there are, and which a call is for.

pub mod inventory;
pub mod select;
