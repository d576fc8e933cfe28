//! Hosts, the ledger, and the server that is up, if one is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use wharf_server::domain::HostName;
use wharf_server::rollout::model::{Control, RolloutId};
use wharf_server::rollout::requests::{RolloutError, Rollouts};
use wharf_simulator::{Call, Operation, Plan, PowerState, Registries, SimEngine};

use super::ledger::Ledger;
use super::rare::Rare;
use super::server::Server;
use crate::world::{Setting, host, keep, publish, set_up};

/// What happens to a call, if anything.
pub type Chaos = Box<dyn FnMut(&HostName, &Call) -> Option<Plan> + Send>;

/// Shared by all that happens in a run.
pub struct Site {
    pub engines: BTreeMap<HostName, SimEngine>,
    pub settings: BTreeMap<HostName, Setting>,
    /// The ID of the container that each host had at first.
    pub first: BTreeMap<HostName, Option<String>>,
    pub ledger: Ledger,
    pub chaos: Mutex<Option<Chaos>>,
    /// Orders that are being worked on for a caller.
    pub in_flight: AtomicUsize,
    server: watch::Sender<Option<Arc<Server>>>,
    _keepers: JoinSet<()>,
}

impl Site {
    pub async fn new(settings: &[Setting], ledger: Ledger) -> Arc<Self> {
        let registries = Registries::default();
        publish(&registries);
        let (mut engines, mut by_name) = (BTreeMap::new(), BTreeMap::new());
        let mut first = BTreeMap::new();
        let mut keepers = JoinSet::new();
        for (number, setting) in settings.iter().enumerate() {
            let name = host(number);
            let engine = set_up(&name, setting, &registries).await;
            keepers.spawn(keep(engine.host().clone()));
            let id = engine.host().with(|model, _| {
                model.container(crate::world::TARGET).map(|container| container.id.clone())
            });
            first.insert(name.clone(), id);
            engines.insert(name.clone(), engine);
            by_name.insert(name, *setting);
        }
        let site = Arc::new(Self {
            engines,
            settings: by_name,
            first,
            ledger,
            chaos: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            server: watch::Sender::new(None),
            _keepers: keepers,
        });
        for (name, engine) in &site.engines {
            let (name, site) = (name.clone(), Arc::downgrade(&site));
            engine.script().set_decide(move |call| site.upgrade()?.meets(&name, call));
        }
        site
    }

    /// What a call of the server meets.
    fn meets(&self, host: &HostName, call: &Call) -> Option<Plan> {
        // The sweeper removes what no rollout works on.
        if call.operation.is_write() && call.operation != Operation::Remove {
            let mut book = self.ledger.book();
            let at_work = book.rollouts.values().any(|account| {
                account.state.hosts.get(host).is_some_and(|state| state.work.is_some())
            });
            if !at_work {
                let (operation, subject) = (call.operation, &call.subject);
                let error = format!("{host}: {operation:?} {subject}: no rollout is at work there");
                book.errors.push(error);
            }
        }
        let mut chaos = self.chaos.lock().unwrap_or_else(PoisonError::into_inner);
        chaos.as_mut().and_then(|chaos| chaos(host, call))
    }

    pub fn set_chaos(&self, chaos: Option<Chaos>) {
        *self.chaos.lock().unwrap_or_else(PoisonError::into_inner) = chaos;
    }

    /// The server, as soon as one is up.
    pub async fn server(&self) -> Arc<Server> {
        let mut server = self.server.subscribe();
        // The sender lives as long as self.
        let up = server.wait_for(|it| it.as_ref().is_some_and(|it| !it.process.is_dead())).await;
        up.ok().and_then(|it| it.clone()).expect("a server")
    }

    /// Starts a server where none is up.
    pub async fn boot(&self) {
        if self.server.borrow().as_ref().is_some_and(|server| !server.process.is_dead()) {
            return;
        }
        self.end_of_server();
        match Server::start(&self.engines, &self.ledger).await {
            Ok(server) => {
                self.server.send_replace(Some(Arc::new(server)));
            }
            Err(error) => self.ledger.book().errors.push(format!("no start: {error}")),
        }
    }

    /// Ends the server as SIGKILL does.
    pub fn kill(&self) {
        let up = |server: &Arc<Server>| !server.process.is_dead();
        if !self.server.borrow().as_ref().is_some_and(up) {
            return;
        }
        self.ledger.note_kill();
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            self.ledger.book().reached.count(Rare::KilledWhilePlanning);
        }
        self.end_of_server();
    }

    fn end_of_server(&self) {
        if let Some(server) = self.server.send_replace(None) {
            server.end();
        }
    }

    /// The server stands still for a while, as under SIGSTOP.
    pub async fn freeze(&self, time: Duration) {
        let Some(server) = self.server.borrow().clone() else { return };
        let at_work = self.ledger.book().rollouts.values().any(|it| it.state.is_at_work());
        server.process.freeze();
        tokio::time::sleep(time).await;
        server.process.thaw();
        if at_work && !server.process.is_dead() {
            self.ledger.book().reached.count(Rare::Frozen);
        }
    }

    /// The network of a host is gone for a while, and what runs there runs on.
    pub async fn cut_off(&self, host: &HostName, time: Duration) {
        let away = self.engines[host].host();
        if away.power().state == PowerState::Up {
            away.set_unreachable(true);
            tokio::time::sleep(time).await;
            away.set_unreachable(false);
        }
    }

    /// Steers a rollout. Not every kind makes sense in every phase.
    pub async fn control(&self, id: RolloutId, control: Control) -> Result<(), RolloutError> {
        let server = self.server().await;
        let asked = server.supervisor.control(id, control, None, "anna", None);
        tokio::select! {
            biased;
            () = server.process.died() => Err(RolloutError::Stopping),
            done = asked => done,
        }
    }
}
