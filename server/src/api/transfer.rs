//! Pulls and pushes: credentials, and progress on its way to the caller.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use wharf::v1;

use super::convert;
use super::edge::Edge;
use super::problem::Finish;
use super::problem::Problem;
use super::table::store_problem;
use crate::body::violation::Violations;
use crate::domain::{ImageReference, RegistryLogin};
use crate::engine::{ProgressSink, Pulled, Transfer};
use crate::fleet::HostError;
use crate::fleet::fanout::HostCall;

/// Progress is forwarded at most four times a second.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// Longest platform, in bytes.
const LONGEST_PLATFORM: usize = 100;

/// A pull as done on every host.
#[derive(Debug, Clone)]
pub struct PullOrder {
    /// What to pull; has a tag or a digest.
    pub reference: ImageReference,
    /// Such as `linux/arm64`.
    pub platform: Option<String>,
    /// For the registry.
    pub login: Option<Arc<RegistryLogin>>,
}

impl PullOrder {
    /// Pulls on the host of `call`.
    pub async fn pull<P>(
        &self,
        call: &HostCall<P>,
        wrap: impl Fn(v1::TransferProgress) -> P,
    ) -> Result<Pulled, HostError> {
        let (sink, progress) = watch::channel(Transfer::default());
        let platform = self.platform.as_deref();
        let pull = call.engine.pull_image(&self.reference, platform, self.login.as_deref(), &sink);
        let pulled = with_progress(call, progress, wrap, pull).await;
        pulled.map_err(|error| HostError::at_registry(&self.reference.registry(), error))
    }
}

/// Runs a transfer and passes its progress on while it runs.
pub async fn with_progress<P, T>(
    call: &HostCall<P>,
    mut progress: watch::Receiver<Transfer>,
    wrap: impl Fn(v1::TransferProgress) -> P,
    transfer: impl Future<Output = T>,
) -> T {
    let mut ticks = interval(PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(transfer);
    loop {
        tokio::select! {
            result = &mut transfer => return result,
            _ = ticks.tick() => {
                if progress.has_changed().unwrap_or(false) {
                    let latest = progress.borrow_and_update().clone();
                    call.emit_lossy(wrap(progress_message(latest)));
                }
            }
        }
    }
}

/// A channel for the progress of a push.
pub fn progress_channel() -> (ProgressSink, watch::Receiver<Transfer>) {
    watch::channel(Transfer::default())
}

/// Credentials for the registry of `reference`: those of the call, otherwise those stored in the
/// server, otherwise none.
pub async fn login_for(
    edge: &Edge,
    reference: &ImageReference,
    credentials: Option<&v1::RegistryCredentials>,
) -> Result<Option<Arc<RegistryLogin>>, Problem> {
    if credentials.is_some() {
        return given_login(reference, credentials);
    }
    let kept = edge.store.login(&reference.registry()).await;
    Ok(kept.map_err(|error| store_problem(&error))?.map(Arc::new))
}

/// Those of the call, which must be for the registry of `reference`.
pub fn given_login(
    reference: &ImageReference,
    credentials: Option<&v1::RegistryCredentials>,
) -> Result<Option<Arc<RegistryLogin>>, Problem> {
    let Some(credentials) = credentials else { return Ok(None) };
    let registry = reference.registry();
    let mut violations = Violations::default();
    let login = convert::login(&mut violations, "credentials", credentials, Some(registry.clone()));
    if let Some(login) = &login
        && *login.registry() != registry
    {
        violations.add(
            "credentials.registry",
            format!("must be {registry}, the registry of the image, not {}", login.registry()),
        );
    }
    violations.finish()?;
    Ok(login.map(Arc::new))
}

/// Checks a platform: `os/arch[/variant]`; `None` for the empty text.
pub fn platform(violations: &mut Violations, text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let parts: Vec<_> = text.split('/').collect();
    let valid = text.len() <= LONGEST_PLATFORM
        && (1..=3).contains(&parts.len())
        && parts.iter().all(|part| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        });
    if !valid {
        violations.add("platform", "must be os/arch or os/arch/variant, such as linux/arm64");
        return None;
    }
    Some(text.to_owned())
}

fn progress_message(transfer: Transfer) -> v1::TransferProgress {
    v1::TransferProgress {
        status: transfer.status,
        layers_done: transfer.layers_done,
        layers_total: transfer.layers_total,
        bytes_done: transfer.bytes_done,
        bytes_total: transfer.bytes_total,
    }
}
