//! Answers that are kept and given again, so that a simulated host costs little in a measurement.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::Method;

use crate::operation::Operation;

/// The lists and inspections that a host answered, by path and query. Off until [`Memory::keep`]: ages
/// such as "Up 3 minutes" stay what they were in the first answer.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Option<BTreeMap<String, Bytes>>>);

impl Memory {
    /// Keeps answers from now on. Every request that may change something forgets them.
    pub fn keep(&self) {
        self.lock().get_or_insert_default();
    }

    /// Forgets all answers: after a change of the model that came in without a request.
    pub fn forget(&self) {
        if let Some(answers) = &mut *self.lock() {
            answers.clear();
        }
    }

    /// The answer to the same request before, if there is one.
    pub(super) fn find(&self, method: &Method, request: &str) -> Option<Bytes> {
        self.forget_after(method);
        self.lock().as_ref()?.get(request).cloned()
    }

    /// Forgets all answers if a request of this method may have changed something.
    pub(super) fn forget_after(&self, method: &Method) {
        if *method != Method::GET && *method != Method::HEAD {
            self.forget();
        }
    }

    /// Keeps an answer of a call whose answers are kept.
    pub(super) fn store(&self, operation: Option<Operation>, request: &str, answer: &Bytes) {
        if matches!(operation, Some(Operation::ListContainers | Operation::Inspect))
            && let Some(answers) = &mut *self.lock()
        {
            answers.insert(request.to_owned(), answer.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<BTreeMap<String, Bytes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_until_something_may_change() {
        let memory = Memory::default();
        let answer = Bytes::from_static(b"[]");
        let list = Some(Operation::ListContainers);
        memory.store(list, "/containers/json", &answer);
        assert_eq!(memory.find(&Method::GET, "/containers/json"), None, "it is off");
        memory.keep();
        memory.store(list, "/containers/json", &answer);
        memory.store(Some(Operation::Info), "/info", &answer);
        assert_eq!(memory.find(&Method::GET, "/info"), None, "only lists and inspections");
        assert_eq!(memory.find(&Method::GET, "/containers/json"), Some(answer));
        assert_eq!(memory.find(&Method::POST, "/containers/web/stop"), None);
        assert_eq!(memory.find(&Method::GET, "/containers/json"), None);
    }
}
