//! A model of a Docker Engine, in process behind the `Engine` trait and over HTTP.

mod answers;
mod calls;
pub mod engine;
pub mod host;
pub mod http;
pub mod model;
pub mod operation;
pub mod rules;
pub mod script;
