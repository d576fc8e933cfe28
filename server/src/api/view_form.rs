//! Views in the form of the API: containers as they are sent, and what is said of a view.

use wharf::batch::{ContainerBatch, EncodedContainer};
use wharf::v1;

use super::convert;
use super::size::batches;
use crate::engine::WrittenContainers;
use crate::fleet::view::View;
use crate::fleet::view::filter::Query;
use crate::fleet::view::host::{SyncState, ViewNote};
use crate::fleet::view::state::{Content, Entry};
use crate::fleet::view::status::Millis;

/// The containers of a content that a query wants, in messages of bounded size.
pub fn content_batches(
    content: &Content,
    query: &Query,
    view: &View,
) -> impl Iterator<Item = ContainerBatch> + use<> {
    let now = view.now();
    encoded_batches(query.choose(content, view.form()).map(|entry| encoded(entry, now)).collect())
}

/// Containers that were written with their status, in messages of bounded size.
pub fn written_batches(written: WrittenContainers) -> impl Iterator<Item = ContainerBatch> {
    let encoded = |body| EncodedContainer { body, status: String::new() };
    encoded_batches(written.into_containers().map(encoded).collect())
}

fn encoded_batches(
    containers: Vec<EncodedContainer>,
) -> impl Iterator<Item = ContainerBatch> + use<> {
    batches(containers, EncodedContainer::encoded_len)
        .map(|encoded| ContainerBatch { containers: Vec::new(), encoded })
}

/// A container with its status of this time.
pub fn encoded(entry: &Entry, now: Millis) -> EncodedContainer {
    EncodedContainer { body: entry.form.clone(), status: entry.status.text(now).into_owned() }
}

/// How current something is.
pub fn view_state(note: &ViewNote) -> v1::ViewState {
    v1::ViewState {
        observed_at: note.observed_at.map(convert::system_time),
        generation: note.generation,
        sync: view_sync(note.sync).into(),
        fresh: note.fresh,
    }
}

/// The state of a view.
pub fn view_sync(sync: Option<SyncState>) -> v1::ViewSync {
    match sync {
        None => v1::ViewSync::Unspecified,
        Some(SyncState::Live) => v1::ViewSync::Live,
        Some(SyncState::Resyncing) => v1::ViewSync::Resyncing,
        Some(SyncState::Stale) => v1::ViewSync::Stale,
        Some(SyncState::Unreachable) => v1::ViewSync::Unreachable,
    }
}
