//! Converts the request for a rollout, or for its plan, to an order for the supervisor.

use std::collections::BTreeMap;
use std::sync::Arc;

use wharf::v1;

use super::spec;
use crate::api::edge::Edge;
use crate::api::problem::{Finish, Problem};
use crate::api::transfer;
use crate::body::violation::Violations;
use crate::domain::{Annotations, Host, HostName, LabelSelector, RegistryLogin};
use crate::fleet::select::Chosen;
use crate::rollout::fingerprint::Fingerprint;
use crate::rollout::requests::Terms;
use crate::rollout::spec::RolloutSpec;

/// Longest selector of annotations, in bytes.
const LONGEST_SELECTOR: usize = 4096;

/// The requested rollout and its hosts.
pub struct Wanted {
    /// The spec.
    pub spec: RolloutSpec,
    /// The hosts; at least one.
    pub hosts: Vec<Arc<Host>>,
    /// Cordoned hosts, each with its cordon.
    pub left_out: BTreeMap<HostName, String>,
    /// Credentials of the request.
    pub login: Option<Arc<RegistryLogin>>,
}

/// Checks the request and selects the hosts. Contacts none.
pub fn wanted(
    edge: &Edge,
    message: Option<&v1::RolloutSpec>,
    credentials: Option<&v1::RegistryCredentials>,
) -> Result<Wanted, Problem> {
    let mut violations = Violations::default();
    let spec = spec::read(&mut violations, message);
    violations.finish()?;
    let spec = spec.ok_or_else(|| Problem::invalid_field("spec", "must be set"))?;
    let targets = message.and_then(|spec| spec.targets.as_ref());
    let Chosen { hosts, cordoned } = edge.select_for_changes(targets).map_err(in_spec)?;
    let left_out = cordoned.into_iter().map(|(host, cordon)| (host, cordon.to_string())).collect();
    spec.policy.check("spec.policy", hosts.len()).map_err(Problem::invalid)?;
    if let Some(source) = &spec.change.image_from {
        edge.check_known(source)?;
        if credentials.is_some() {
            let problem =
                "are for a registry, but `spec.image_from` names a host; remove one of them";
            return Err(Problem::invalid_field("credentials", problem));
        }
    }
    let login = match &spec.change.image {
        Some(image) => transfer::given_login(image, credentials)?,
        None if credentials.is_some() => {
            let problem = "are for pulling an image, but `spec.image` is empty";
            return Err(Problem::invalid_field("credentials", problem));
        }
        None => None,
    };
    Ok(Wanted { spec, hosts, left_out, login })
}

/// Checks the conditions and annotations.
pub fn terms(
    expected_plan: &str,
    annotations: &BTreeMap<String, String>,
) -> Result<Terms, Problem> {
    let mut violations = Violations::default();
    let expected_plan = match expected_plan {
        "" => None,
        text => violations.check("expected_plan", Fingerprint::parse(text)),
    };
    let annotations = violations.check("annotations", Annotations::parse(annotations));
    violations.finish()?;
    Ok(Terms { expected_plan, annotations: annotations.unwrap_or_default() })
}

/// Which annotations the rollouts of a list must have; `None`: any.
pub fn annotation_filter(violations: &mut Violations, text: &str) -> Option<LabelSelector> {
    match text {
        "" => None,
        text if text.len() > LONGEST_SELECTOR => {
            let problem = format!("must not be longer than {LONGEST_SELECTOR} bytes");
            violations.add("annotations", problem);
            None
        }
        text => violations.check("annotations", LabelSelector::parse(text)),
    }
}

/// The selection of hosts is in the spec.
fn in_spec(mut problem: Problem) -> Problem {
    for violation in &mut problem.violations {
        violation.field = format!("spec.{}", violation.field);
    }
    if !problem.violations.is_empty() {
        return Problem::invalid(problem.violations);
    }
    problem
}
