//! Tests of the rules in docs/recreate.md on bodies: those that need no Engine, or a newer one than
//! the end-to-end tests have. Test names begin with the number of the rule.

pub mod bodies;
mod changes;
mod images;
mod networks;
mod order;
mod properties;
mod shown;
mod storage;
