//! `wharf changes`, docker's `diff`.

use wharf::v1::get_container_changes_response::Event;
use wharf::v1::{ChangeKind, ContainerChange, GetContainerChangesRequest};

use super::WhichOne;
use crate::app::App;
use crate::commands::{call, list};
use crate::exit::Failure;
use crate::report::listing::View;
use crate::table::Column;
use crate::targets::Access;

/// Arguments of `wharf changes`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf changes web1/web\n  wharf changes -A web")]
pub struct Args {
    #[command(flatten)]
    which: WhichOne,
}

/// Shows the changed files of a container: A added, C changed, D deleted.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let call = args.which.call(app, Access::Read)?;
    let request = GetContainerChangesRequest {
        targets: Some(call.targets),
        fanout: Some(app.targets(&args.which.targets).options()),
        container: call.containers.into_iter().next().unwrap_or_default(),
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, containers.get_container_changes, request)];
    list(app, &connection, calls, |_, event| match event {
        Event::Changes(changes) => changes.changes,
        _ => Vec::new(),
    })
    .await
}

impl View for ContainerChange {
    const COLUMNS: &'static [Column] = &[Column::new("PATH"), Column::new("CHANGE")];

    fn rows(&self, _now: jiff::Timestamp) -> Vec<Vec<String>> {
        let kind = match self.kind() {
            ChangeKind::Modified => "C",
            ChangeKind::Added => "A",
            ChangeKind::Deleted => "D",
            ChangeKind::Unspecified => "?",
        };
        vec![vec![self.path.clone(), kind.to_owned()]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.path.clone()]
    }
}
