//! Which calls a scripted fault applies to. Used by the in-process Engine and by the one over HTTP.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::operation::Operation;

/// Which calls are meant, and how many of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    operation: Option<Operation>,
    subject: Option<String>,
    skip: u64,
    times: u64,
}

/// Faults with the calls they are for. The first rule that fits a call and is not used up wins.
#[derive(Debug)]
pub struct Rules<F>(Mutex<Vec<Rule<F>>>);

#[derive(Debug)]
struct Rule<F> {
    when: When,
    fault: F,
    seen: u64,
    hits: u64,
}

impl When {
    /// Every call, again and again.
    pub fn any() -> Self {
        Self { operation: None, subject: None, skip: 0, times: u64::MAX }
    }

    /// Every call of this kind.
    pub fn on(operation: Operation) -> Self {
        Self { operation: Some(operation), ..Self::any() }
    }

    /// Only about what has this in its name: a container, an image.
    #[must_use]
    pub fn about(mut self, subject: &str) -> Self {
        self.subject = Some(subject.to_owned());
        self
    }

    /// Not the first so many.
    #[must_use]
    pub fn after(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    /// Only so many.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Only one.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    fn fits(&self, operation: Option<Operation>, subject: &str) -> bool {
        self.operation.is_none_or(|wanted| Some(wanted) == operation)
            && self.subject.as_ref().is_none_or(|wanted| subject.contains(wanted))
    }
}

impl<F> Default for Rules<F> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<F: Clone> Rules<F> {
    /// Adds a rule behind those that are there.
    pub fn add(&self, when: When, fault: F) {
        self.lock().push(Rule { when, fault, seen: 0, hits: 0 });
    }

    /// Forgets all rules.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// How often rules were used since they were added.
    pub fn hits(&self) -> u64 {
        self.lock().iter().map(|rule| rule.hits).sum()
    }

    /// The fault for a call that is made now.
    pub(crate) fn take(&self, operation: Option<Operation>, subject: &str) -> Option<F> {
        let mut rules = self.lock();
        for rule in rules.iter_mut().filter(|rule| rule.when.fits(operation, subject)) {
            rule.seen += 1;
            if rule.seen > rule.when.skip && rule.hits < rule.when.times {
                rule.hits += 1;
                return Some(rule.fault.clone());
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Rule<F>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_used_for_what_it_is_for_and_no_oftener() {
        let rules = Rules::default();
        rules.add(When::on(Operation::Start).about("web").after(1).once(), "fault");
        let start = |subject| rules.take(Some(Operation::Start), subject);
        assert_eq!(start("web"), None, "the first is let through");
        assert_eq!(start("db"), None);
        assert_eq!(rules.take(Some(Operation::Stop), "web"), None);
        assert_eq!(start("web-1"), Some("fault"));
        assert_eq!(start("web"), None);
        assert_eq!(rules.hits(), 1);
    }
}
