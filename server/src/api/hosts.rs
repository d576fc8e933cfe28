//! `HostService`: the inventory, and whether its hosts answer.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use prost::Message;
use tonic::{Request, Response, Status};
use wharf::v1;
use wharf::v1::add_host_request::Tls;
use wharf::v1::host_service_server::HostService;

use super::audit::Subject;
use super::auth::Principal;
use super::convert;
use super::edge::{Edge, ResponseStream, checked, some};
use super::host_view::view;
use super::problem::Finish;
use super::problem::Problem;
use super::size::{FRAME, FULL};
use super::system_views;
use super::table::host_problem;
use super::time_limits::READ;
use super::watch;
use crate::body::violation::Violations;
use crate::domain::{
    Cordon, CordonReason, Host, HostAddress, HostName, LabelKey, Labels, Reason, Secret,
    TlsMaterial, TlsPart, Transport, quoted,
};
use crate::fleet::inventory::{InventoryError, NewHost, NewTls, Snapshot};
use crate::fleet::select::{Selection, Targets};
use crate::fleet::{Done, HostError};

/// Default number of hosts per page.
const DEFAULT_PAGE: usize = 100;

/// Maximum number of hosts per page, which also has a size limit.
const MOST_PAGE: usize = 1000;

/// Prefix of page tokens, to refuse those of another kind.
const TOKEN_PREFIX: &str = "hosts-after:";

/// The service.
#[derive(Debug, Clone)]
pub struct Hosts {
    edge: Arc<Edge>,
    /// The Engine IDs that hosts gave, to warn of cloned machines.
    engine_ids: Arc<Mutex<HashMap<HostName, String>>>,
}

impl Hosts {
    /// The service.
    pub fn new(edge: Arc<Edge>) -> Self {
        Self { edge, engine_ids: Arc::default() }
    }
}

#[tonic::async_trait]
impl HostService for Hosts {
    type CheckHostsStream = ResponseStream<v1::CheckHostsResponse>;
    type WatchHostsStream = ResponseStream<v1::WatchHostsResponse>;

    async fn watch_hosts(
        &self,
        request: Request<v1::WatchHostsRequest>,
    ) -> Result<Response<Self::WatchHostsStream>, Status> {
        let message = request.get_ref();
        let selection = match &message.targets {
            Some(targets) => convert::selection(Some(targets))?,
            None => Selection { targets: Some(Targets::All), exclude: Vec::new() },
        };
        let edge = Arc::clone(&self.edge);
        watch::require_views(&edge)?;
        let stream = watch::hosts::stream(edge, selection, message.after.as_ref())?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn add_host(
        &self,
        request: Request<v1::AddHostRequest>,
    ) -> Result<Response<v1::AddHostResponse>, Status> {
        let subject = Subject::of(&request);
        subject.say(format_args!("host={}", quoted(&request.get_ref().name)));
        let new = new_host(request.get_ref().clone())?;
        let edge = Arc::clone(&self.edge);
        let work = move |_| async move {
            let added = edge.inventory.add(new, SystemTime::now()).await;
            let host = added.map_err(|error| inventory_problem(&error))?;
            subject.say(format_args!("host={} address={}", host.name, host.address));
            let snapshot = edge.inventory.snapshot();
            Ok(v1::AddHostResponse { host: Some(current_view(&edge, &host, &snapshot)) })
        };
        self.edge.once(&request, work).await
    }

    async fn get_host(
        &self,
        request: Request<v1::GetHostRequest>,
    ) -> Result<Response<v1::GetHostResponse>, Status> {
        let name = HostName::parse(&request.get_ref().name)
            .map_err(|error| Problem::invalid_field("name", error))?;
        let snapshot = self.edge.inventory.snapshot();
        let host = snapshot.get(&name).ok_or_else(|| not_found(&name))?;
        Ok(Response::new(v1::GetHostResponse {
            host: Some(current_view(&self.edge, host, &snapshot)),
        }))
    }

    async fn list_hosts(
        &self,
        request: Request<v1::ListHostsRequest>,
    ) -> Result<Response<v1::ListHostsResponse>, Status> {
        let request = request.into_inner();
        let after = read_token(&request.page_token)?;
        let size = match request.page_size as usize {
            0 => DEFAULT_PAGE,
            size => size.min(MOST_PAGE),
        };
        let snapshot = self.edge.inventory.snapshot();
        let hosts = match &request.targets {
            // A query whose result may be empty. An unknown name is still an error.
            Some(targets) => {
                self.edge.chosen(&convert::selection(Some(targets))?, &snapshot, false)?
            }
            None => snapshot.hosts().cloned().collect(),
        };
        let rest =
            hosts.iter().filter(|host| after.as_ref().is_none_or(|after| host.name > *after));
        let (mut page, mut bytes, mut last, mut more) = (Vec::new(), 0, None, false);
        for host in rest {
            let view = current_view(&self.edge, host, &snapshot);
            bytes += view.encoded_len() + FRAME;
            more = page.len() == size || (bytes > FULL && !page.is_empty());
            if more {
                break;
            }
            page.push(view);
            last = Some(&host.name);
        }
        let next_page_token =
            last.filter(|_| more).map(|name| write_token(name.as_str())).unwrap_or_default();
        Ok(Response::new(v1::ListHostsResponse { hosts: page, next_page_token }))
    }

    async fn update_host_labels(
        &self,
        request: Request<v1::UpdateHostLabelsRequest>,
    ) -> Result<Response<v1::UpdateHostLabelsResponse>, Status> {
        let subject = Subject::of(&request);
        let (set, remove) = checked(&request, |violations, message| {
            let set = violations.check("set", Labels::from_pairs(&message.set)).unwrap_or_default();
            let mut remove = Vec::new();
            for (index, key) in message.remove.iter().enumerate() {
                remove.extend(violations.check(&format!("remove[{index}]"), LabelKey::parse(key)));
            }
            for key in remove.iter().filter(|key| set.get(key.as_str()).is_some()) {
                violations.add("remove", format!("must not contain {key}, which is also in `set`"));
            }
            if message.set.is_empty() && message.remove.is_empty() {
                violations.add("set", "must not be empty unless `remove` has a label");
            }
            Some((set, remove))
        })?;
        let targets = request.get_ref().targets.clone();
        convert::selection(targets.as_ref())?;
        let edge = Arc::clone(&self.edge);
        let work = move |_| async move {
            // Only after the record was read: completed work stands, even if the labels that
            // selected the hosts have changed.
            let hosts = edge.select(targets.as_ref())?;
            let names: Vec<_> = hosts.iter().map(|host| host.name.clone()).collect();
            subject.say(format_args!("hosts={}", some(names.iter().map(ToString::to_string))));
            let updated = edge.inventory.update_labels(names, set, remove).await;
            let hosts = updated.map_err(|error| inventory_problem(&error))?;
            let snapshot = edge.inventory.snapshot();
            let hosts = hosts.iter().map(|host| current_view(&edge, host, &snapshot)).collect();
            Ok(v1::UpdateHostLabelsResponse { hosts })
        };
        self.edge.once(&request, work).await
    }

    async fn cordon_hosts(
        &self,
        request: Request<v1::CordonHostsRequest>,
    ) -> Result<Response<v1::CordonHostsResponse>, Status> {
        let reason = checked(&request, |violations, message| {
            violations.check("reason", CordonReason::parse(&message.reason))
        })?;
        let by = Principal::of(&request).to_string();
        let targets = request.get_ref().targets.clone();
        let change = self.set_cordon(Subject::of(&request), targets)?;
        let cordon = Cordon { reason, by, since: in_millis(SystemTime::now()) };
        let work = move |_| async move {
            let (hosts, changed) = change(Some(cordon)).await?;
            Ok(v1::CordonHostsResponse { hosts, changed })
        };
        self.edge.once(&request, work).await
    }

    async fn uncordon_hosts(
        &self,
        request: Request<v1::UncordonHostsRequest>,
    ) -> Result<Response<v1::UncordonHostsResponse>, Status> {
        let targets = request.get_ref().targets.clone();
        let change = self.set_cordon(Subject::of(&request), targets)?;
        let work = move |_| async move {
            let (hosts, changed) = change(None).await?;
            Ok(v1::UncordonHostsResponse { hosts, changed })
        };
        self.edge.once(&request, work).await
    }

    async fn remove_host(
        &self,
        request: Request<v1::RemoveHostRequest>,
    ) -> Result<Response<v1::RemoveHostResponse>, Status> {
        let message = request.get_ref();
        Subject::of(&request).say(format_args!("host={}", quoted(&message.name)));
        let name = HostName::parse(&message.name)
            .map_err(|error| Problem::invalid_field("name", error))?;
        let edge = Arc::clone(&self.edge);
        let allow_missing = message.allow_missing;
        let work = move |again: bool| async move {
            let removed = edge.inventory.remove(name.clone()).await;
            let removed = removed.map_err(|error| inventory_problem(&error))?;
            if !removed && !allow_missing && !again {
                return Err(not_found(&name));
            }
            Ok(v1::RemoveHostResponse {})
        };
        self.edge.once(&request, work).await
    }

    async fn check_hosts(
        &self,
        request: Request<v1::CheckHostsRequest>,
    ) -> Result<Response<Self::CheckHostsStream>, Status> {
        use v1::check_hosts_response::Event;
        self.edge
            .each_host(&request, Some(READ), self.clone(), |call, service| async move {
                let version = call.engine.version().await?;
                let info = call.engine.info().await?;
                // Last, when the connection is open for certain.
                let ping = call.engine.ping().await?;
                let mut status = system_views::host_status(&info, &version)?;
                status.latency = prost_types::Duration::try_from(ping.latency).ok();
                status.warnings = service.same_engine(call.host_name(), &status.engine_id);
                call.emit(Event::Status(status)).await;
                Ok(Done::UNCHANGED)
            })
            .await
    }
}

/// The change of a cordon: the hosts after it, and the names of those that it changed.
type CordonChange = BoxFuture<'static, Result<(Vec<v1::Host>, Vec<String>), Problem>>;

impl Hosts {
    /// Checks the selection; what is returned changes the cordons of its hosts.
    fn set_cordon(
        &self,
        subject: Subject,
        targets: Option<v1::HostSelector>,
    ) -> Result<impl FnOnce(Option<Cordon>) -> CordonChange + Send + use<>, Problem> {
        convert::selection(targets.as_ref())?;
        let edge = Arc::clone(&self.edge);
        Ok(move |cordon| -> CordonChange {
            Box::pin(async move {
                let names: Vec<_> =
                    edge.select(targets.as_ref())?.iter().map(|host| host.name.clone()).collect();
                subject.say(format_args!("hosts={}", some(names.iter().map(ToString::to_string))));
                let set = edge.inventory.set_cordon(names, cordon).await;
                let changes = set.map_err(|error| inventory_problem(&error))?;
                let snapshot = edge.inventory.snapshot();
                let hosts = changes.iter().filter_map(|(name, _)| snapshot.get(name));
                let hosts = hosts.map(|host| current_view(&edge, host, &snapshot)).collect();
                let changed = changes.into_iter().filter(|(_, changed)| *changed);
                Ok((hosts, changed.map(|(name, _)| name.to_string()).collect()))
            })
        })
    }

    /// Stores the Engine ID of a host; returns warnings if other hosts reported the same.
    fn same_engine(&self, host: &HostName, engine_id: &str) -> Vec<String> {
        if engine_id.is_empty() {
            return Vec::new();
        }
        let snapshot = self.edge.inventory.snapshot();
        let mut ids = self.engine_ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.retain(|name, _| snapshot.get(name).is_some());
        ids.insert(host.clone(), engine_id.to_owned());
        let others: BTreeSet<_> =
            ids.iter().filter(|(name, id)| *name != host && *id == engine_id).collect();
        others
            .into_iter()
            .map(|(name, _)| {
                format!("{name} has the same Engine ID: the host was added twice, or the machine was cloned")
            })
            .collect()
    }
}

fn new_host(request: v1::AddHostRequest) -> Result<NewHost, Problem> {
    let mut violations = Violations::default();
    let name = violations.check("name", HostName::parse(&request.name));
    let transport = if request.tls.is_some() { Transport::Tls } else { Transport::Plain };
    let address = violations.check("address", HostAddress::parse(&request.address, transport));
    let labels = violations.check("labels", Labels::from_pairs(&request.labels));
    let tls = match request.tls {
        None => Some(NewTls::Plain),
        Some(Tls::TlsGroup(group)) => Some(NewTls::Group(group)),
        Some(Tls::TlsMaterial(pem)) => {
            let key = Secret::new(pem.private_key_pem);
            match TlsMaterial::new(pem.ca_pem, pem.certificate_pem, key) {
                Ok(material) => Some(NewTls::Own(material)),
                Err(error) => {
                    let field = match error.part {
                        TlsPart::Ca => "tls_material.ca_pem",
                        TlsPart::Certificate => "tls_material.certificate_pem",
                        TlsPart::Key => "tls_material.private_key_pem",
                    };
                    violations.add(field, error);
                    None
                }
            }
        }
    };
    violations.finish()?;
    match (name, address, labels, tls) {
        (Some(name), Some(address), Some(labels), Some(tls)) => {
            Ok(NewHost { name, address, labels, tls, insecure: request.insecure })
        }
        _ => Err(Problem::invalid_field("name", "must be given")),
    }
}

/// A host, and whether it is known to be unreachable.
fn current_view(edge: &Edge, host: &Host, snapshot: &Snapshot) -> v1::Host {
    let unreachable = edge.pool.unreachable(&host.name).map(|known| v1::HostUnreachable {
        since: Some(convert::system_time(known.since)),
        attempted: Some(convert::system_time(known.attempted)),
        status: Some(host_problem(&host.name, &HostError::Unreachable(known)).to_proto()),
    });
    v1::Host { unreachable, ..view(host, snapshot) }
}

/// As precise as the store, so that it is the same before and after a restart.
fn in_millis(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

fn inventory_problem(error: &InventoryError) -> Problem {
    let message = error.to_string();
    match error {
        InventoryError::Exists(_) => Problem::new(Reason::HostExists, message),
        InventoryError::NotFound(_) => Problem::new(Reason::HostNotFound, message),
        InventoryError::ReadOnly { .. } | InventoryError::GroupMissing { .. } => {
            Problem::new(Reason::HostReadOnly, message)
        }
        InventoryError::UnknownGroup { .. } => Problem::invalid_field("tls_group", message),
        InventoryError::TooManyLabels(_) => Problem::invalid_field("labels", message),
        InventoryError::Host(_) => Problem::invalid_field("address", message),
        InventoryError::Store(error) => super::table::store_problem(error),
    }
}

fn not_found(name: &HostName) -> Problem {
    let message = format!("no host {name}; to list hosts, run `wharf host ls`");
    Problem::new(Reason::HostNotFound, message)
}

fn write_token(last: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{TOKEN_PREFIX}{last}"))
}

fn read_token(token: &str) -> Result<Option<HostName>, Problem> {
    if token.is_empty() {
        return Ok(None);
    }
    let name = BASE64_URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| HostName::parse(text.strip_prefix(TOKEN_PREFIX)?).ok());
    let invalid = || {
        let message = "must be the `next_page_token` of a response of this server, or empty";
        Problem::invalid_field("page_token", message)
    };
    name.map(Some).ok_or_else(invalid)
}
