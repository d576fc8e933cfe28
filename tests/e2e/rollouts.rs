//! Rolling upgrades on three real Engines: what each policy and each state does to the containers,
//! verified with the Engines. One file for each topic; they share `scene`, with `versions` in a
//! registry and `engines` to read from.

mod attention;
mod command_line;
mod deadlines;
mod engines;
mod events;
mod failures;
mod full_disk;
mod gates;
mod history;
mod keeping;
mod refusals;
pub mod scene;
mod steering;
mod terms;
mod undo;
mod unreachable;
mod upgrade;
mod versions;
mod watching;
mod way_back;
mod width;
