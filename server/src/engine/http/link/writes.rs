//! Counts the calls that may change what a list of containers shows, so that a list that is kept can be
//! known to be out of date.

use std::sync::atomic::{AtomicU64, Ordering};

/// The calls of one host.
#[derive(Debug, Default)]
pub(in crate::engine::http) struct Writes(AtomicU64);

/// A call in progress; counted again when it is dropped.
#[derive(Debug)]
pub(in crate::engine::http) struct Write<'a>(&'a Writes);

impl Writes {
    /// How often a call has begun or ended.
    pub(in crate::engine::http) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// A call begins.
    pub(in crate::engine::http) fn begin(&self) -> Write<'_> {
        self.0.fetch_add(1, Ordering::AcqRel);
        Write(self)
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::AcqRel);
    }
}
