//! Callers: they order, vanish in the middle of their call, and send the same request again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tonic::{Request, Status};
use tonic_types::StatusExt;
use uuid::Uuid;
use wharf::v1;
use wharf::v1::rollout_service_server::RolloutService;
use wharf_server::api::rollouts::RolloutApi;
use wharf_server::domain::HostName;
use wharf_server::rollout::model::{Revision, RolloutId};

use super::book::Account;
use super::planted::Plant;
use super::rare::Rare;
use super::server::Server;
use super::site::Site;
use crate::world::{REGISTRY, TARGET};

/// Tries after which a caller gives up: planning takes minutes at most.
const MOST_TRIES: usize = 200;
/// Between tries that met the first one in progress.
const AGAIN: Duration = Duration::from_secs(1);

/// What somebody orders.
#[derive(Debug, Clone)]
pub enum OrderKind {
    /// This tag of the image on these hosts.
    Image(&'static str, Vec<HostName>, Box<v1::RolloutPolicy>),
    /// The way back of what the order with this number made.
    Undo(usize),
}

/// How long a caller waits for an answer before it vanishes.
#[derive(Debug, Clone, Copy)]
pub enum Patience {
    /// The future of the call is dropped after so many polls.
    Polls(u32),
    Time(Duration),
    ToTheEnd,
}

#[derive(Debug, Clone)]
pub struct Order {
    pub number: usize,
    pub kind: OrderKind,
    /// When it is sent first.
    pub at: Duration,
    /// Of its first tries; later ones wait to the end.
    pub patience: Vec<Patience>,
    /// Between a try whose caller vanished and the next one.
    pub pause: Duration,
    /// Whether it is sent again while another rollout holds the container, and how often.
    pub insists: usize,
}

/// What became of an order.
#[derive(Debug, Clone)]
pub struct Said {
    pub order: Order,
    /// The rollout, or the reason why there is none.
    pub answer: Result<RolloutId, String>,
}

/// How a try ended.
enum Try {
    Answered(Box<Result<v1::Rollout, Status>>),
    /// The caller did not wait for it, or the server died.
    Lost {
        vanished: bool,
    },
}

impl Order {
    fn request_id(&self) -> String {
        Uuid::from_u128(0x4000_8000_0000_0000_0000 + self.number as u128).to_string()
    }

    fn create(
        &self,
        tag: &str,
        hosts: &[HostName],
        policy: &v1::RolloutPolicy,
    ) -> v1::CreateRolloutRequest {
        let names = hosts.iter().map(ToString::to_string).collect();
        let selection = v1::host_selector::Selection::Hosts(v1::HostNames { names });
        let targets = v1::HostSelector { selection: Some(selection), ..Default::default() };
        let spec = v1::RolloutSpec {
            container: TARGET.to_owned(),
            targets: Some(targets),
            image: format!("{REGISTRY}/app:{tag}"),
            policy: Some(policy.clone()),
            ..Default::default()
        };
        let request_id = self.request_id();
        v1::CreateRolloutRequest { spec: Some(spec), request_id, ..Default::default() }
    }

    /// Sends the order until it is answered.
    pub async fn see_through(self, site: Arc<Site>, of: Option<RolloutId>) -> Said {
        let (mut vanished, mut lost, mut refused) = (false, false, 0);
        for number in 0..MOST_TRIES {
            let patience = self.patience.get(number).copied().unwrap_or(Patience::ToTheEnd);
            let server = site.server().await;
            let before = newest(&site);
            site.in_flight.fetch_add(1, Ordering::Relaxed);
            let tried = self.send(&site, &server, of, patience).await;
            site.in_flight.fetch_sub(1, Ordering::Relaxed);
            let answer = match tried {
                Try::Answered(answer) => *answer,
                Try::Lost { vanished: gone } => {
                    vanished |= gone;
                    lost = true;
                    tokio::time::sleep(self.pause).await;
                    continue;
                }
            };
            match answer {
                Ok(rollout) => {
                    let id = Uuid::parse_str(&rollout.id).map(RolloutId).expect("an ID");
                    let rare = {
                        let book = site.ledger.book();
                        let created = book.rollouts.get(&id).map(Account::created);
                        match created {
                            Some(created) if vanished && created <= before => {
                                Some(Rare::FoundAgain)
                            }
                            Some(_) if vanished => Some(Rare::MadeBySecondTry),
                            _ => None,
                        }
                    };
                    if let Some(rare) = rare {
                        site.ledger.book().reached.count(rare);
                    }
                    return Said { order: self, answer: Ok(id) };
                }
                Err(status) => {
                    let reason = reason_of(&status);
                    match reason.as_str() {
                        "REQUEST_IN_PROGRESS" => {
                            site.ledger.book().reached.count(Rare::MetTheFirstTry);
                            if !lost {
                                let text = format!("{}: in progress, but sent once", self.number);
                                site.ledger.book().errors.push(text);
                            }
                            tokio::time::sleep(AGAIN).await;
                        }
                        "ROLLOUT_ACTIVE" if refused < self.insists => {
                            self.refused(&site, &status);
                            refused += 1;
                            tokio::time::sleep(self.pause + AGAIN).await;
                        }
                        // A disk that is full for a while.
                        "STORE_FAILED" if site.ledger.book().was_full => {
                            tokio::time::sleep(AGAIN).await;
                        }
                        _ => {
                            self.refused(&site, &status);
                            return Said { order: self, answer: Err(reason) };
                        }
                    }
                }
            }
        }
        let reason = "NEVER_ANSWERED".to_owned();
        Said { order: self, answer: Err(reason) }
    }

    async fn send(
        &self,
        site: &Site,
        server: &Server,
        of: Option<RolloutId>,
        patience: Patience,
    ) -> Try {
        let forgets = site.ledger.book().plant == Some(Plant::ClaimsOfCallers);
        let api = if forgets { server.api_that_forgets_claims() } else { server.api() };
        let call = self.call(&api, of);
        tokio::pin!(call);
        let mut polls = 0;
        let impatient = std::future::poll_fn(|context| {
            polls += 1;
            match call.as_mut().poll(context) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending if matches!(patience, Patience::Polls(most) if polls >= most) => {
                    Poll::Ready(None)
                }
                Poll::Pending => Poll::Pending,
            }
        });
        let time_is_up = async {
            match patience {
                Patience::Time(time) => tokio::time::sleep(time).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = server.process.died() => Try::Lost { vanished: false },
            answer = impatient => match answer {
                Some(answer) => Try::Answered(Box::new(answer)),
                None => Try::Lost { vanished: true },
            },
            () = time_is_up => Try::Lost { vanished: true },
        }
    }

    async fn call(&self, api: &RolloutApi, of: Option<RolloutId>) -> Result<v1::Rollout, Status> {
        let rollout = match (&self.kind, of) {
            (OrderKind::Image(tag, hosts, policy), _) => {
                let request = self.create(tag, hosts, policy);
                api.create_rollout(Request::new(request)).await?.into_inner().rollout
            }
            (OrderKind::Undo(_), Some(of)) => {
                let (id, request_id) = (of.to_string(), self.request_id());
                let request = v1::UndoRolloutRequest { id, request_id, ..Default::default() };
                api.undo_rollout(Request::new(request)).await?.into_inner().rollout
            }
            (OrderKind::Undo(_), None) => None,
        };
        rollout.ok_or_else(|| Status::unknown("an answer without a rollout"))
    }

    /// Counts what was met.
    fn refused(&self, site: &Site, status: &Status) {
        let mut book = site.ledger.book();
        if status.message().contains("`stopped` is refuse") {
            book.reached.count(Rare::RefusedDown);
        }
        if status.message().contains(" is dead: ") {
            book.reached.count(Rare::RefusedDead);
        }
        if reason_of(status) != "ROLLOUT_ACTIVE" {
            return;
        }
        book.reached.count(Rare::RefusedActive);
        let OrderKind::Image(tag, hosts, _) = &self.kind else { return };
        let image = format!("{REGISTRY}/app:{tag}");
        let (mut same, mut later) = (false, false);
        for account in book.rollouts.values().filter(|it| !it.state.phase.is_terminal()) {
            let holds =
                |host: &&HostName| account.state.plan.waves.iter().flatten().any(|it| it == *host);
            for host in hosts.iter().filter(holds) {
                let state = &account.state.hosts[host];
                let wants = account.state.plan.image.as_ref().map(|image| &image.reference);
                let stands = site.engines[host].host().with(|model, _| {
                    let container = model.container(TARGET)?;
                    Some(container.config["Image"].as_str()? == image)
                });
                same |= wants == Some(&image) && stands == Some(true);
                later |= state.step.is_none();
            }
        }
        if same {
            book.reached.count(Rare::RefusedOnTheSameVersion);
        }
        if later {
            book.reached.count(Rare::RefusedInALaterWave);
        }
    }
}

fn newest(site: &Site) -> Revision {
    let book = site.ledger.book();
    let last = book.rollouts.values().filter_map(|account| account.entries.last());
    last.map(|(revision, _)| *revision).max().unwrap_or_default()
}

pub fn reason_of(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.map_or_else(|| format!("{:?}", status.code()), |info| info.reason)
}
