//! From an order to a plan, and nothing is changed on any host. `gather` asks every host at once for
//! what is there, and `resolve` asks the registry once what the image is, or `source` the host that it
//! comes from; from then on all is pure. `found` says of each host what is found there and what would
//! take its place, with `dependents`; `host` makes the plan of the host of it, and `fleet` the order, the
//! waves and the warnings. `undo` finds the way back in the journal and on the hosts, and ends in the
//! same `host` and `fleet`.

mod active;
mod dependents;
mod fleet;
mod foreign;
mod found;
mod gather;
mod given;
mod host;
mod newer;
mod old_image;
mod resolve;
mod sealed;
mod source;
mod undo;

use std::collections::BTreeMap;

use super::hosts::Hosts;
use super::journal::{Journal, NewSecret};
use super::model::{HostPlan, Plan};
use super::recreate::names;
use super::requests::{Order, Refusal, RolloutError};
use super::spec::Change;
use crate::domain::{HostName, Reason};

pub use active::refuse_active;
pub(super) use host::no_health_check;
pub use undo::plan_undo;

/// A plan, and related data that may contain secrets.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// What is sealed of each host.
    pub secrets: Vec<NewSecret>,
}

/// Plans a rollout.
pub async fn plan(
    hosts: &dyn Hosts,
    journal: &dyn Journal,
    order: &Order,
) -> Result<Planned, RolloutError> {
    if let Some(message) = names::too_long(order.spec.container.as_str()) {
        let refusal = Refusal { host: None, reason: Reason::InvalidField, message };
        return Err(RolloutError::PlanRefused(vec![refusal]));
    }
    let known = foreign::known(journal).await?;
    let names: Vec<_> = order.hosts.iter().map(|host| host.name.clone()).collect();
    let image = order.spec.change.image.as_ref();
    let mut asked = gather::ask(hosts, &names, &order.spec.container, image).await;
    let is_restart = order.spec.change == Change::default();
    let newer = newer::image(&order.spec, &asked).map_err(RolloutError::PlanRefused)?;
    let with_newer = match &newer {
        None => None,
        Some(reference) => {
            gather::images_on(hosts, &mut asked, reference).await;
            let mut order = order.clone();
            order.spec.change.image = Some(reference.clone());
            order.login = hosts.login(&reference.registry()).await;
            Some(order)
        }
    };
    let order = with_newer.as_ref().unwrap_or(order);
    let change = &order.spec.change;
    let image = match (&change.image, &change.image_from) {
        (None, _) => None,
        (Some(reference), Some(host)) => Some(source::resolve(hosts, host, reference).await?),
        (Some(reference), None) => Some(resolve::resolve(hosts, order, reference, &asked).await?),
    };
    let planned = found::plan(order, is_restart, image, asked, &known);
    let mut planned = planned.map_err(RolloutError::PlanRefused)?;
    leave_out(&mut planned.plan, &order.left_out);
    Ok(planned)
}

/// Lists hosts that were selected and do not take part.
fn leave_out(plan: &mut Plan, hosts: &BTreeMap<HostName, String>) {
    if hosts.is_empty() {
        return;
    }
    let names: Vec<_> = hosts.keys().map(ToString::to_string).collect();
    plan.warnings.push(format!("cordoned and left out: {}", fleet::first_of(&names)));
    let skipped =
        |(name, why): (&HostName, &String)| (name.clone(), HostPlan::skipped(why.clone()));
    plan.hosts.extend(hosts.iter().map(skipped));
}
