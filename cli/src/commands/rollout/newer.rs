//! `wharf rollout plan --newer`: the containers whose tag names another image in the registry now.

use wharf::v1::ListUsedImagesRequest;

use crate::app::App;
use crate::commands::image::used;
use crate::exit::Failure;
use crate::report::used::Show;

/// Lists what could be upgraded, and changes nothing.
pub async fn list(app: &App, request: ListUsedImagesRequest) -> Result<(), Failure> {
    used::read(app, request, Show::Upgrades).await
}
