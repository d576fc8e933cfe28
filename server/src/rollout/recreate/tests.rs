//! The checklist as bodies: what needs no Engine, or a newer one than the tests have. The numbers
//! are those of the rollout sheet.

pub mod bodies;
mod changes;
mod images;
mod networks;
mod order;
mod properties;
mod shown;
mod storage;
