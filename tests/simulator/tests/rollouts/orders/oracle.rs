//! The conditions when all callers have their responses and every rollout rests, and the states
//! that were reached.

use wharf_server::domain::{HostName, ImageName, ImageReference};
use wharf_server::engine::ImageEngine;
use wharf_server::rollout::model::{
    Control, Event, HostEnd, HostEvent, HostPlan, Phase, RolloutId, Step, TargetKind,
};
use wharf_server::rollout::state::RolloutState;
use wharf_simulator::model::Container;

use super::book::{Account, Book};
use super::caller::Said;
use super::rare::{Rare, Reached};
use super::site::Site;
use crate::world::{New, Old, TARGET};

/// Answers that say that the server broke.
const BROKEN: [&str; 5] =
    ["STORE_FAILED", "INTERNAL", "SERVER_REPLACED", "NEVER_ANSWERED", "RESULT_UNKNOWN"];

/// The reason why a host is left out that is on its version.
const CURRENT: &str = "already on this version";

pub async fn wrongs(site: &Site, said: &[Said]) -> Vec<String> {
    let mut wrongs = site.ledger.book().errors.clone();
    for said in said {
        let number = said.order.number;
        match &said.answer {
            Err(reason) if BROKEN.contains(&reason.as_str()) => {
                wrongs.push(format!("order {number} was answered {reason}"));
            }
            Ok(id) if !site.ledger.book().rollouts.contains_key(id) => {
                wrongs.push(format!("order {number} was answered with {id}, which is not stored"));
            }
            _ => {}
        }
    }
    wrongs.extend(unlike_their_journal(&site.ledger.book()));
    wrongs.extend(not_green(site).await);
    for host in site.engines.keys() {
        let of_host = standing(site, host);
        wrongs.extend(of_host.into_iter().map(|wrong| format!("{host}: {wrong}")));
    }
    wrongs
}

fn unlike_their_journal(book: &Book) -> Vec<String> {
    let wrong = |(id, account): (&RolloutId, &Account)| {
        let records = account.entries.iter().map(|(_, record)| record);
        match RolloutState::replay(records) {
            Ok(state) if state == account.state => None,
            Ok(_) => Some(format!("{}: the fold of the journal is not the state", id.short())),
            Err(error) => Some(format!("{}: the journal does not fold: {error}", id.short())),
        }
    };
    book.rollouts.iter().filter_map(wrong).collect()
}

/// What a rollout promises on a host by having succeeded.
struct Promise {
    id: RolloutId,
    host: HostName,
    image: Image,
    runs: bool,
}

enum Image {
    Named(String),
    Id(String),
}

/// What a rollout that succeeded says it put on a host is there, unless a later one changed it.
async fn not_green(site: &Site) -> Vec<String> {
    let promises: Vec<Promise> = {
        let book = site.ledger.book();
        let of = |(id, account): (&RolloutId, &Account)| promises(site, &book, *id, account);
        book.rollouts.iter().flat_map(of).collect()
    };
    let mut wrongs = Vec::new();
    for Promise { id, host, image, runs } in promises {
        let engine = &site.engines[&host];
        let wanted = match image {
            Image::Id(id) => id,
            Image::Named(name) => {
                let reference = ImageReference::parse(&name).expect("a reference");
                let found = engine.inspect_image(&ImageName::Reference(reference)).await;
                let json: serde_json::Value =
                    found.ok().and_then(|it| it.parse().ok()).unwrap_or_default();
                json["Id"].as_str().unwrap_or_default().to_owned()
            }
        };
        let id = id.short();
        let Some(standing) = of_name(site, &host, TARGET) else {
            wrongs.push(format!("{host}: {id} succeeded, and nothing has the name"));
            continue;
        };
        if standing.image_id != wanted {
            wrongs.push(format!("{host}: {id} succeeded, and has another image"));
        }
        if runs && !standing.state.status.counts_as_running() {
            let status = standing.state.status.as_str();
            wrongs.push(format!("{host}: {id} succeeded, and its container is {status}"));
        }
    }
    wrongs
}

fn promises(site: &Site, book: &Book, id: RolloutId, account: &Account) -> Vec<Promise> {
    if account.state.phase != Phase::Succeeded {
        return Vec::new();
    }
    let plan = &account.state.plan;
    let promise = |(host, planned): (&HostName, &HostPlan)| {
        let is_current = matches!(&planned.kind, TargetKind::Skip { reason } if reason == CURRENT);
        let committed = account.state.hosts[host].end == Some(HostEnd::Committed);
        if !is_current && !committed {
            return None;
        }
        let later = book
            .rollouts
            .values()
            .any(|other| other.created() > account.created() && other.last_change(host).is_some());
        if later {
            return None;
        }
        let image = match (&plan.image, account.state.undo_of) {
            (Some(image), _) => Image::Named(image.reference.clone()),
            (None, Some(of)) => {
                let old = book.rollouts.get(&of)?.state.plan.hosts.get(host)?.old.as_ref()?;
                Image::Id(old.image_id.clone())
            }
            (None, None) => return None,
        };
        let good = site.settings[host].new == New::Good && account.state.undo_of.is_none();
        Some(Promise { id, host: host.clone(), image, runs: committed && planned.start && good })
    };
    plan.hosts.iter().filter_map(promise).collect()
}

/// What is wrong with what stands on a host.
fn standing(site: &Site, host: &HostName) -> Vec<String> {
    let mut wrongs = Vec::new();
    let neighbour = of_name(site, host, "web2");
    if !neighbour.is_some_and(|it| it.state.status.has_process()) {
        wrongs.push("the neighbour was touched".to_owned());
    }
    let book = site.ledger.book();
    for (id, account) in &book.rollouts {
        if let Some(HostEnd::NeedsAttention { trouble }) =
            account.state.hosts.get(host).and_then(|it| it.end.as_ref())
        {
            let message = &trouble.message;
            wrongs.push(format!("{} needs attention: {message}", id.short()));
        }
    }
    if !wrongs.is_empty() {
        return wrongs;
    }
    let found: Vec<Container> = site.engines[host].host().with(|model, _| {
        let family = |it: &&Container| it.name.split('.').next() == Some(TARGET);
        model.containers().filter(family).cloned().collect()
    });
    for container in &found {
        let name = &container.name;
        if name == TARGET {
            continue;
        }
        if !name.starts_with("web.old-") {
            wrongs.push(format!("{name} is left"));
        }
        if container.state.status.counts_as_running() {
            wrongs.push(format!("{name} is {}", container.state.status.as_str()));
        }
        if !matches!(container.restart_policy(), "" | "no") {
            wrongs.push(format!("{name} restarts {}", container.restart_policy()));
        }
    }
    let Some(target) = found.iter().find(|container| container.name == TARGET) else {
        // What ended after its commit removed itself.
        let removes_itself =
            site.settings[host].old == Old::AutoRemove && site.settings[host].new != New::Good;
        if !removes_itself {
            wrongs.push("nothing has the name".to_owned());
        }
        return wrongs;
    };
    let last = book.rollouts.values().filter(|it| it.last_change(host).is_some());
    let Some(last) = last.max_by_key(|account| account.last_change(host)) else {
        if site.first[host].as_ref() != Some(&target.id) {
            wrongs.push("another container stands there, and nobody put it there".to_owned());
        }
        return wrongs;
    };
    let put_back = matches!(
        last.state.hosts[host].end,
        Some(HostEnd::Restored | HostEnd::Unchanged | HostEnd::RolledBack)
    );
    let old = last.state.plan.hosts[host].old.as_ref();
    if let Some(old) = old.filter(|old| put_back && !old.auto_remove) {
        if target.id != old.id {
            wrongs.push("the name does not belong to the old container".to_owned());
        }
        let is_first = site.first[host].as_ref() == Some(&old.id);
        if is_first && target.state.status.counts_as_running() != old.running {
            wrongs.push(format!("the old container is {}", target.state.status.as_str()));
        }
    }
    wrongs
}

fn of_name(site: &Site, host: &HostName, name: &str) -> Option<Container> {
    site.engines[host].host().with(|model, _| model.container(name).cloned())
}

/// Counts the rare states that stand in the journal.
pub fn count(site: &Site) {
    let mut book = site.ledger.book();
    let mut reached = Reached::default();
    let of_images = |it: &&Account| {
        it.state.phase == Phase::Succeeded && it.state.undo_of.is_none() && it.state.size() > 0
    };
    if book.rollouts.values().filter(of_images).count() > 1 {
        reached.count(Rare::TwoSucceeded);
    }
    for account in book.rollouts.values() {
        let state = &account.state;
        let succeeded = state.phase == Phase::Succeeded;
        if succeeded && state.size() == 0 {
            reached.count(Rare::CurrentEverywhere);
        }
        if succeeded && state.undo_of.is_some() {
            reached.count(Rare::Undone);
        }
        if account.was_refused && state.phase.is_terminal() {
            reached.count(Rare::WentOnAfterAFullDisk);
        }
        let asked = |wanted: fn(&Control) -> bool| {
            account.entries.iter().any(|(_, record)| {
                matches!(&record.event, Event::Control { control, .. } if wanted(control))
            })
        };
        if succeeded
            && asked(|it| *it == Control::Pause)
            && asked(|it| matches!(it, Control::Resume { .. }))
        {
            reached.count(Rare::ResumedAndSucceeded);
        }
        for host in state.plan.hosts.keys() {
            of_host(site, account, host).into_iter().for_each(|rare| reached.count(rare));
        }
    }
    book.reached.add(&reached);
}

fn of_host(site: &Site, account: &Account, host: &HostName) -> Option<Rare> {
    let (plan, state) = (&account.state.plan.hosts[host], &account.state.hosts[host]);
    if let TargetKind::Skip { reason } = &plan.kind {
        let paused = reason.contains("is paused").then_some(Rare::LeftOutPaused);
        return paused.or(reason.contains("`stopped` is skip").then_some(Rare::SkippedDown));
    }
    let old = plan.old.as_ref()?;
    if site.first[host].as_ref() != Some(&old.id) {
        return None;
    }
    let started =
        |happened: &HostEvent| matches!(happened, HostEvent::Did { step: Step::StartNew, .. });
    match (&state.end, site.settings[host].old) {
        (Some(HostEnd::Restored), _) if !old.running => {
            account.on(host).any(|(_, it)| started(it)).then_some(Rare::RestoredDown)
        }
        (Some(HostEnd::Committed), _) if !old.running && !plan.start => Some(Rare::KeptDown),
        (Some(HostEnd::Committed), Old::Running) => Some(Rare::RolledRunning),
        (Some(HostEnd::Committed), Old::Stopped) => Some(Rare::RolledCreated),
        (Some(HostEnd::Committed), Old::Exited) => Some(Rare::RolledExited),
        (Some(HostEnd::Committed), Old::Crashed) => Some(Rare::RolledCrashed),
        (Some(HostEnd::Committed), Old::Restarting) => Some(Rare::RolledRestarting),
        _ => None,
    }
}
