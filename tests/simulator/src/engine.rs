//! The model behind the trait `Engine`, in process and without a network; a file for each subject.

mod containers;
mod images;
mod networks;
mod system;
mod volumes;

use std::sync::Arc;

use wharf_server::domain::{Credential, ImageReference, RegistryLogin};
use wharf_server::engine::{EngineError, ErrorKind, ProgressSink, Result};

use crate::answers;
use crate::attempt::pause;
use crate::host::SimHost;
use crate::model::{Filters, RegistryAuth, Step};
use crate::operation::Operation;
use crate::process::Process;
use crate::script::Script;

/// A simulated Engine. Clones are one Engine with one script.
#[derive(Clone)]
pub struct SimEngine {
    host: Arc<SimHost>,
    script: Arc<Script>,
    /// Whose calls these are; `None`: of the test itself.
    caller: Option<Process>,
}

impl SimEngine {
    /// The Engine of a host, without latency and faults.
    pub fn new(host: Arc<SimHost>) -> Self {
        Self { host, script: Arc::default(), caller: None }
    }

    /// The same Engine as a process sees it: its calls end with it.
    #[must_use]
    pub fn as_seen_by(&self, caller: Process) -> Self {
        Self { caller: Some(caller), ..self.clone() }
    }

    /// The process whose calls these are.
    pub(crate) fn caller(&self) -> Option<&Process> {
        self.caller.as_ref()
    }

    /// Latency, faults, and the log of calls.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// The host behind it.
    pub fn host(&self) -> &Arc<SimHost> {
        &self.host
    }
}

/// Shows the lines of a transfer as they come.
async fn show(steps: &[Step], progress: &ProgressSink) {
    let mut transfer = answers::Progress::default();
    for step in steps {
        pause(step.after).await;
        progress.send_replace(transfer.read(&step.line));
    }
}

fn filters(filters: &wharf_server::engine::Filters) -> Filters {
    Filters::from(filters.clone())
}

fn registry_auth(login: &RegistryLogin) -> RegistryAuth {
    let (password, identity_token) = match login.credential() {
        Credential::Password(password) => (password.expose().to_owned(), String::new()),
        Credential::IdentityToken(token) => (String::new(), token.expose().to_owned()),
    };
    RegistryAuth {
        username: login.username().to_owned(),
        password,
        identity_token,
        server_address: login.registry().server_address().to_owned(),
    }
}

/// Credentials go to the registry they are for and to no other.
fn check_login(
    operation: Operation,
    reference: &ImageReference,
    login: Option<&RegistryLogin>,
) -> Result<()> {
    match login {
        Some(login) if *login.registry() != reference.registry() => {
            let (meant, registry) = (login.registry(), reference.registry());
            let message = format!("the login is for {meant} and the image is at {registry}");
            Err(EngineError::new(ErrorKind::BadRequest, operation.name(), message))
        }
        _ => Ok(()),
    }
}
