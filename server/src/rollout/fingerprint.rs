//! The fingerprint of a plan: a hash of what it does, without text for people. Two plans of an
//! unchanged fleet have the same fingerprint, so a caller can request exactly the reviewed plan.
//! Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::model::{
    DependentPlan, HostPlan, OldFacts, Order, Plan, PlannedImage, RestartPolicy, TargetKind,
};
use super::spec::Policy;
use crate::domain::{ContainerName, HostName};

/// Prefix of the hashed data. Change it if the same plan gets another hash.
const FORM: &str = "wharf plan 1\n";

/// Hexadecimal digits of a fingerprint.
const DIGITS: usize = 64;

/// Identifies a plan: SHA-256 in 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

/// Text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the fingerprint of a plan, in {DIGITS} lowercase hexadecimal digits, or empty")]
pub struct InvalidFingerprint;

impl Fingerprint {
    /// That of a plan and of how it is carried out.
    #[must_use]
    pub fn of(plan: &Plan, policy: &Policy) -> Self {
        let Plan { container, image, waves, hosts, warnings: _ } = plan;
        let hosts = hosts.iter().map(|(name, host)| (name, Essence::of(host))).collect();
        let whole = Whole { container, image: image.as_ref(), waves, hosts, policy };
        // Cannot fail: only texts, numbers, lists, and maps with text keys.
        let json = serde_json::to_vec(&whole).unwrap_or_default();
        let digest = Sha256::new().chain_update(FORM).chain_update(json).finalize();
        Self(digest.iter().fold(String::with_capacity(DIGITS), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }))
    }

    /// Parses what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Result<Self, InvalidFingerprint> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == DIGITS && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidFingerprint)
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// What a rollout does.
#[derive(Serialize)]
struct Whole<'a> {
    container: &'a ContainerName,
    image: Option<&'a PlannedImage>,
    waves: &'a [Vec<HostName>],
    hosts: BTreeMap<&'a HostName, Essence<'a>>,
    policy: &'a Policy,
}

/// What it does on one host. The construction names all fields, so that a new field of a plan
/// requires a decision here.
#[derive(Serialize)]
struct Essence<'a> {
    kind: Kind<'a>,
    old: Option<Old<'a>>,
    spec_sha: &'a str,
    order: Order,
    start: bool,
    unhealthy: bool,
    dependents: Vec<(&'a ContainerName, Essence<'a>)>,
    image: Option<&'a PlannedImage>,
}

/// What is done, without the reason for a skip.
#[derive(Serialize)]
enum Kind<'a> {
    Replace,
    Create,
    Adopt { id: &'a str, name: &'a str, restart: &'a RestartPolicy },
    Skip,
}

/// The container that is replaced.
#[derive(Serialize)]
struct Old<'a> {
    id: &'a str,
    image: &'a str,
    image_id: &'a str,
    running: bool,
    restart: &'a RestartPolicy,
    auto_remove: bool,
    compose_project: Option<&'a str>,
    fixed_restart: bool,
}

impl<'a> Essence<'a> {
    fn of(host: &'a HostPlan) -> Self {
        // A program that writes to its own layer changes what is lost, not what is done.
        let HostPlan {
            kind,
            old,
            diff: _,
            risks: _,
            lost_paths: _,
            spec_sha,
            order,
            start,
            unhealthy,
            dependents,
            image,
        } = host;
        let dependent = |it: &'a DependentPlan| (&it.name, Self::of(&it.plan));
        Self {
            kind: match kind {
                TargetKind::Replace => Kind::Replace,
                TargetKind::Create => Kind::Create,
                TargetKind::Adopt { id, name, restart } => Kind::Adopt { id, name, restart },
                TargetKind::Skip { reason: _ } => Kind::Skip,
            },
            old: old.as_ref().map(Old::of),
            spec_sha,
            order: *order,
            start: *start,
            unhealthy: *unhealthy,
            dependents: dependents.iter().map(dependent).collect(),
            image: image.as_ref(),
        }
    }
}

impl<'a> Old<'a> {
    fn of(old: &'a OldFacts) -> Self {
        // The image's names in registries are only for an undo, and grow with every pull.
        let OldFacts {
            id,
            image,
            image_id,
            running,
            restart,
            auto_remove,
            digests: _,
            compose_project,
            fixed_restart,
        } = old;
        Self {
            id,
            image,
            image_id,
            running: *running,
            restart,
            auto_remove: *auto_remove,
            compose_project: compose_project.as_deref(),
            fixed_restart: *fixed_restart,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rollout::model::ImageSource;
    use crate::rollout::state::tests::values;

    fn plan() -> Plan {
        let mut plan = values::plan(&[&["a", "b"], &["c"]]);
        let host = plan.hosts.get_mut("a").unwrap();
        let old = OldFacts { id: "1".repeat(64), running: true, ..OldFacts::default() };
        host.old = Some(old);
        let side = HostPlan { spec_sha: "side".to_owned(), ..host.clone() };
        host.dependents = vec![DependentPlan { name: "side".parse().unwrap(), plan: side }];
        plan
    }

    fn source(host: &str, image_id: &str) -> ImageSource {
        ImageSource { host: host.parse().unwrap(), image_id: image_id.to_owned() }
    }

    fn of(change: impl Fn(&mut Plan, &mut HostPlan)) -> Fingerprint {
        let mut plan = plan();
        let mut host = plan.hosts["a"].clone();
        change(&mut plan, &mut host);
        plan.hosts.insert("a".parse().unwrap(), host);
        Fingerprint::of(&plan, &Policy::default())
    }

    #[test]
    fn what_is_said_for_people_does_not_count() {
        let same = of(|_, _| {});
        assert_eq!(of(|plan, _| plan.warnings.push("so what".to_owned())), same);
        assert_eq!(of(|_, host| host.diff.push("image: a -> b".to_owned())), same);
        assert_eq!(of(|_, host| host.risks.push("it may rain".to_owned())), same);
        assert_eq!(of(|_, host| host.lost_paths.push("/var/log/app".to_owned())), same);
        let pulled = "app@sha256:1".to_owned();
        assert_eq!(of(|_, host| host.old.as_mut().unwrap().digests.push(pulled.clone())), same);
        let skip = |reason: &str| {
            let kind = TargetKind::Skip { reason: reason.to_owned() };
            of(move |_, host| host.kind = kind.clone())
        };
        assert_eq!(skip("it has no container web"), skip("already on this version"));
        assert_ne!(skip("already on this version"), same);
        assert_eq!(Fingerprint::parse(&same.to_string()), Ok(same));
    }

    #[test]
    fn what_is_done_counts() {
        type Change = fn(&mut Plan, &mut HostPlan);
        let changes: &[Change] = &[
            |_, _| {},
            |plan, _| plan.container = "other".parse().unwrap(),
            |plan, _| plan.image.as_mut().unwrap().digest = Some("sha256:2".to_owned()),
            |plan, _| plan.image.as_mut().unwrap().from = Some(source("build1", "sha256:4")),
            |plan, _| plan.image.as_mut().unwrap().from = Some(source("build2", "sha256:4")),
            |plan, _| plan.image.as_mut().unwrap().from = Some(source("build1", "sha256:5")),
            |plan, _| plan.image = None,
            |plan, _| plan.waves.reverse(),
            |plan, _| plan.waves[0].reverse(),
            |plan, _| drop(plan.hosts.remove("b")),
            |_, host| host.kind = TargetKind::Create,
            |_, host| host.old = None,
            |_, host| host.old.as_mut().unwrap().id = "2".repeat(64),
            |_, host| host.old.as_mut().unwrap().image_id = "sha256:3".to_owned(),
            |_, host| host.old.as_mut().unwrap().running = false,
            |_, host| host.old.as_mut().unwrap().restart.name = "always".to_owned(),
            |_, host| host.old.as_mut().unwrap().auto_remove = true,
            |_, host| host.old.as_mut().unwrap().compose_project = Some("shop".to_owned()),
            |_, host| host.spec_sha = "other".to_owned(),
            |_, host| host.order = Order::StartFirst,
            |_, host| host.start = !host.start,
            |_, host| host.unhealthy = !host.unhealthy,
            |_, host| host.dependents[0].plan.spec_sha = "other".to_owned(),
            |_, host| host.dependents.clear(),
            |plan, host| host.image = plan.image.clone(),
        ];
        let mut seen: Vec<String> = changes.iter().map(|it| of(it).to_string()).collect();
        let slow = Policy { bake: Duration::from_secs(1), ..Policy::default() };
        seen.push(Fingerprint::of(&plan(), &slow).to_string());
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }

    #[test]
    fn another_text_is_no_fingerprint() {
        for text in ["", "abc", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65)] {
            assert_eq!(Fingerprint::parse(text), Err(InvalidFingerprint), "{text}");
        }
    }
}
