//! Logs from real Engines: every line once and in order, over kills of an Engine and of the server, and
//! whatever a line is like.

mod forms;
pub mod process;
mod restarts;
mod successor;
