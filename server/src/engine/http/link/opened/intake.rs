//! How to read the body of a response: as a whole, or item by item.

use super::bad_answer;
use crate::engine::list::{ListDecoder, ListError, ListItems};
use crate::engine::operation::Operation;
use crate::engine::{EngineError, ErrorKind, Result};

/// Reads a body.
pub(in crate::engine::http) trait Intake: Send {
    /// Adds the next bytes.
    fn take(&mut self, operation: &Operation, bytes: &[u8]) -> Result<()>;
    /// Its current memory, in bytes.
    fn memory(&self) -> usize;
}

impl Intake for Vec<u8> {
    fn take(&mut self, _: &Operation, bytes: &[u8]) -> Result<()> {
        if self.capacity() - self.len() < bytes.len() {
            // Grows by a quarter: doubling would use up to twice the counted memory.
            self.reserve_exact(bytes.len().max(self.len() / 4));
        }
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn memory(&self) -> usize {
        self.len()
    }
}

impl<I: ListItems + Send> Intake for ListDecoder<I> {
    fn take(&mut self, operation: &Operation, bytes: &[u8]) -> Result<()> {
        self.push(bytes).map_err(|error| list_error(operation, error))
    }

    fn memory(&self) -> usize {
        ListDecoder::memory(self)
    }
}

/// The error for an invalid list.
pub(in crate::engine::http) fn list_error(operation: &Operation, error: ListError) -> EngineError {
    match error {
        ListError::Invalid(problem) => bad_answer(operation, &problem),
        ListError::ItemTooLong(_) => {
            EngineError::new(ErrorKind::AnswerTooLarge, operation.name, error.to_string())
        }
        ListError::Refused(error) => error,
    }
}
