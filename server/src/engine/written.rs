//! Lists of containers that are written in another form while they arrive. Pure.

use bytes::Bytes;

use super::container_row::ContainerRow;
use super::list::{ItemError, ListItems};
use super::{ApiVersion, EngineError};

/// Writes containers of lists in the form in which they are wanted.
pub trait ContainerWriter: Send + Sync {
    /// Adds a container to what was written. Fails for one that nobody can take.
    fn write(
        &self,
        container: &ContainerRow<'_>,
        version: ApiVersion,
        written: &mut Vec<u8>,
    ) -> Result<(), EngineError>;
}

/// The containers of a list, written one after the other.
#[derive(Debug, Default)]
pub struct WrittenContainers {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl WrittenContainers {
    /// Adds a container.
    pub fn add(
        &mut self,
        writer: &dyn ContainerWriter,
        container: &ContainerRow<'_>,
        version: ApiVersion,
    ) -> Result<(), EngineError> {
        writer.write(container, version, &mut self.bytes)?;
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// How many containers there are.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Its current memory, in bytes.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// The containers, which share their memory.
    pub fn into_containers(self) -> impl Iterator<Item = Bytes> {
        let bytes = Bytes::from(self.bytes);
        let mut start = 0;
        self.ends.into_iter().map(move |end| bytes.slice(std::mem::replace(&mut start, end)..end))
    }
}

/// Containers that are written in another form.
pub(super) struct WrittenItems<'w> {
    writer: &'w dyn ContainerWriter,
    version: ApiVersion,
    keep_json: bool,
    written: WrittenContainers,
}

impl<'w> WrittenItems<'w> {
    /// Gives the writer each item's own JSON if `keep_json` is set.
    pub(super) fn new(
        writer: &'w dyn ContainerWriter,
        version: ApiVersion,
        keep_json: bool,
    ) -> Self {
        Self { writer, version, keep_json, written: WrittenContainers::default() }
    }

    pub(super) fn into_written(self) -> WrittenContainers {
        self.written
    }
}

impl ListItems for WrittenItems<'_> {
    fn take(&mut self, json: &str) -> Result<(), ItemError> {
        let mut row: ContainerRow<'_> = serde_json::from_str(json)?;
        row.json = self.keep_json.then_some(json);
        self.written.add(self.writer, &row, self.version).map_err(ItemError::Refused)
    }

    fn count(&self) -> usize {
        self.written.count()
    }

    fn memory(&self) -> usize {
        self.written.memory()
    }
}
