//! The YAML file that describes a rollout. Its keys are the fields of `RolloutSpec`.
//!
//! - [`yaml`]: parses text to a tree with positions.
//! - [`message`]: converts the tree to a message. The type of the field decides how to read a
//!   value, so that `country: no` is text and `strict: yes` is an error.
//! - [`schema`]: the JSON Schema of the file, for editors.

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
