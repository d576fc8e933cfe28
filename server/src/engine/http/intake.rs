//! What becomes of the body of an answer as it comes in: it is kept whole, or read item by item.

use serde::de::DeserializeOwned;

use super::opened::bad_answer;
use crate::engine::list::{ListDecoder, ListError, ListItem};
use crate::engine::operation::Operation;
use crate::engine::{EngineError, ErrorKind, Result};

/// Takes a body in.
pub(super) trait Intake: Send {
    /// Takes the next bytes.
    fn take(&mut self, operation: &Operation, bytes: &[u8]) -> Result<()>;
    /// The memory that it takes by now, in bytes.
    fn memory(&self) -> usize;
}

impl Intake for Vec<u8> {
    fn take(&mut self, _: &Operation, bytes: &[u8]) -> Result<()> {
        if self.capacity() - self.len() < bytes.len() {
            // By a quarter: doubling takes up to twice of what the budget counts.
            self.reserve_exact(bytes.len().max(self.len() / 4));
        }
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn memory(&self) -> usize {
        self.len()
    }
}

impl<W, T> Intake for ListDecoder<W, T>
where
    W: DeserializeOwned + Into<T>,
    T: ListItem + Send,
{
    fn take(&mut self, operation: &Operation, bytes: &[u8]) -> Result<()> {
        self.push(bytes).map_err(|error| list_error(operation, error))
    }

    fn memory(&self) -> usize {
        ListDecoder::memory(self)
    }
}

/// What a list that is wrong is for the caller.
pub(super) fn list_error(operation: &Operation, error: ListError) -> EngineError {
    match error {
        ListError::Invalid(problem) => bad_answer(operation, &problem),
        ListError::ItemTooLong(_) => {
            EngineError::new(ErrorKind::AnswerTooLarge, operation.name, error.to_string())
        }
    }
}
