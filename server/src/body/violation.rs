//! The problems of a request, field by field.
//!
//! Created by the conversions of this module's siblings, which collect all problems rather than
//! stop at the first; the services turn them into INVALID_ARGUMENT with `BadRequest`.

use std::fmt;

/// One problem of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field in the request, such as `spec.ports[1].container_port`.
    pub field: String,
    /// The problem and the remedy, on one line.
    pub description: String,
}

/// Violations in the order of detection, so that a caller learns all at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<FieldViolation>);

impl Violations {
    /// Notes that a field is wrong.
    pub fn add(&mut self, field: impl Into<String>, description: impl fmt::Display) {
        let description = description.to_string();
        self.0.push(FieldViolation { field: field.into(), description });
    }

    /// Returns the value, or records why there is none.
    pub fn check<T, E: fmt::Display>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.add(field, error)).ok()
    }

    /// Returns the value, or adds the problems found elsewhere.
    pub fn take<T>(&mut self, value: Result<T, Vec<FieldViolation>>) -> Option<T> {
        value.map_err(|found| self.0.extend(found)).ok()
    }

    /// How many were found so far.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The value if nothing was found.
    pub fn or<T>(self, value: T) -> Result<T, Vec<FieldViolation>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

impl fmt::Display for FieldViolation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field, self.description)
    }
}
