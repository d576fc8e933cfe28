//! The YAML file that describes a rollout: its keys are the fields of `RolloutSpec`.
//!
//! - [`yaml`]: text to a tree that knows its places.
//! - [`message`]: the tree to a message, directed by the contract: a value is read as what its
//!   field is, so that `country: no` is a text and `strict: yes` an error.
//! - [`schema`]: the same for editors, as a JSON Schema.

pub mod message;
pub mod schema;
pub mod yaml;

use std::path::Path;

use wharf::v1::RolloutSpec;

use crate::exit::Failure;
use crate::spec::body;

/// Reads a rollout from a file; `-` is stdin.
pub fn rollout(path: &Path) -> Result<RolloutSpec, Failure> {
    let text = body::read_text(path)?;
    let wrong = |problem| Failure::Usage(format!("{}:{problem}", body::name(path)));
    parse(&text).map_err(wrong)
}

/// Reads a rollout from the text of a file.
pub fn parse(text: &str) -> Result<RolloutSpec, yaml::Problem> {
    message::read(&yaml::parse(text)?)
}

#[cfg(test)]
mod tests;
