//! A rollout of a thousand hosts with long plans, read as a client does that takes 4 MiB a message.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;

use super::*;

/// What stock clients take at most.
const CLIENT: usize = 4 << 20;

/// The plan of a thousand hosts, of which each has about 6 KB to say.
pub fn plan(container: &str) -> Plan {
    let names: Vec<_> =
        (0..1000).map(|number| HostName::parse(&format!("h{number:04}")).unwrap()).collect();
    let mut plan = story::plan(container, &names);
    for (name, host) in &mut plan.hosts {
        host.diff = (0..60).map(|line| format!("env.{name}.{line}: {}", "x".repeat(80))).collect();
    }
    // Hosts are started in another order than that of their names.
    plan.waves = vec![names[500..].to_vec(), names[..400].to_vec()];
    plan
}

fn fits(message: &impl prost::Message) {
    let size = message.encoded_len();
    assert!(size < CLIENT / 3, "{size} bytes");
}

/// All pages of a rollout, and how many there are.
async fn pages(world: &World, id: &str) -> (v1::Rollout, usize) {
    let (mut whole, mut count, mut page_token) = (v1::Rollout::default(), 0, String::new());
    loop {
        let message = v1::GetRolloutRequest { id: id.to_owned(), page_token };
        let answer = world.api.get_rollout(Request::new(message)).await.unwrap().into_inner();
        fits(&answer);
        count += 1;
        let page = answer.rollout.unwrap();
        if count == 1 {
            whole = page;
        } else {
            assert_eq!((&page.id, &page.policy), (&whole.id, &None));
            whole.steps.extend(page.steps);
            let hosts = page.plan.unwrap().hosts;
            whole.plan.as_mut().unwrap().hosts.extend(hosts);
        }
        if answer.next_page_token.is_empty() {
            return (whole, count);
        }
        page_token = answer.next_page_token;
    }
}

fn hosts_of(plan: &v1::RolloutPlan) -> BTreeSet<String> {
    plan.hosts.iter().map(|host| host.host.clone()).collect()
}

#[tokio::test]
async fn a_rollout_of_a_thousand_hosts_is_read_in_pages() {
    let world = World::new().await;
    let created = world.api.create_rollout(Request::new(request("large"))).await.unwrap();
    let created = created.into_inner();
    fits(&created);
    assert!(!created.next_page_token.is_empty());
    let first = created.rollout.unwrap();
    assert!(first.policy.is_some());
    assert_eq!(first.counts.unwrap().total, 1000);
    assert_eq!(first.plan.as_ref().unwrap().waves.len(), 2);
    assert_eq!(first.steps[0].host, "h0500", "waves first");

    let (whole, count) = pages(&world, &first.id).await;
    assert!(count > 5, "{count} pages");
    let plan = plan("large");
    let in_order: Vec<_> = plan.waves.concat().iter().map(ToString::to_string).collect();
    let mut steps: Vec<_> = whole.steps.iter().map(|step| step.host.clone()).collect();
    assert_eq!(steps[..900], in_order);
    steps.sort();
    steps.dedup();
    assert_eq!(steps.len(), 1000, "every host once");
    let planned = whole.plan.unwrap();
    assert_eq!((planned.hosts.len(), hosts_of(&planned).len()), (1000, 1000));
    assert!(planned.hosts.iter().all(|host| host.diff.len() == 60 && !host.details_omitted));

    for wrong in ["nonsense", "cm9sbG91dHMtYWZ0ZXI6MTox"] {
        let (id, page_token) = (first.id.clone(), wrong.to_owned());
        let message = v1::GetRolloutRequest { id, page_token };
        let error = world.api.get_rollout(Request::new(message)).await.unwrap_err();
        assert_eq!(reason(&error), "INVALID_FIELD", "{wrong}");
    }
}

#[tokio::test]
async fn a_small_rollout_is_one_page() {
    let world = World::new().await;
    let rollout = world.create(request("web")).await.unwrap();
    let (whole, count) = pages(&world, &rollout.id).await;
    assert_eq!((whole, count), (rollout, 1));
}

#[tokio::test]
async fn a_plan_alone_is_cut_to_what_a_client_takes_and_says_so() {
    let world = World::new().await;
    let message = v1::CreateRolloutRequest { validate_only: true, ..request("large") };
    let answer = world.api.create_rollout(Request::new(message)).await.unwrap().into_inner();
    assert!(answer.encoded_len() < CLIENT, "{}", answer.encoded_len());
    let plan = answer.plan.unwrap();
    assert_eq!((plan.hosts.len(), plan.hosts_omitted), (1000, 0));
    let brief = plan.hosts.iter().filter(|host| host.details_omitted).count();
    assert!((300..900).contains(&brief), "{brief}");
    for host in &plan.hosts {
        assert_eq!(host.diff.is_empty(), host.details_omitted, "{}", host.host);
        assert!(!host.old_image.is_empty(), "{}", host.host);
    }
}

/// What a client has that knows snapshots, rollouts and steps, as every client does.
#[derive(Default)]
struct Client {
    rollouts: BTreeMap<String, BTreeSet<String>>,
    planned: BTreeSet<String>,
}

impl Client {
    fn take(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Snapshot(snapshot) => {
                *self = Self::default();
                for rollout in snapshot.rollouts {
                    self.planned.extend(rollout.plan.as_ref().map(hosts_of).unwrap_or_default());
                    let hosts = rollout.steps.into_iter().map(|step| step.host).collect();
                    self.rollouts.insert(rollout.id, hosts);
                }
            }
            WatchEvent::Rollout(rollout) => {
                self.rollouts.entry(rollout.id).or_default();
            }
            WatchEvent::Step(changed) => {
                let host = changed.step.unwrap().host;
                assert!(self.rollouts.get_mut(&changed.rollout).unwrap().insert(host), "twice");
            }
            WatchEvent::PlanPart(part) => {
                self.planned.extend(part.hosts.into_iter().map(|host| host.host));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Reads what is there at once.
async fn at_once(world: &World, id: &str) -> (Client, Vec<Option<v1::WatchCursor>>) {
    let mut watch = world.watch(id, None).await;
    let (mut client, mut cursors) = (Client::default(), Vec::new());
    while let Some(message) = watch.next().now_or_never() {
        let message = message.unwrap().unwrap();
        fits(&message);
        cursors.push(message.cursor);
        client.take(message.event.unwrap());
    }
    (client, cursors)
}

#[tokio::test]
async fn a_snapshot_of_a_thousand_hosts_comes_in_several_messages() {
    let world = World::new().await;
    let rollout = world.create(request("large")).await.unwrap();
    let (client, cursors) = at_once(&world, &rollout.id).await;
    assert_eq!(client.rollouts[&rollout.id].len(), 1000);
    assert_eq!(client.planned.len(), 1000);
    // Who is cut off in between begins again, since there is nothing to go on from.
    let (last, before) = cursors.split_last().unwrap();
    assert!(before.len() > 100 && before.iter().all(Option::is_none), "{}", before.len());
    assert!(last.is_some());
}

#[tokio::test]
async fn a_snapshot_of_many_rollouts_comes_in_several_messages() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for number in 0..12 {
        let (id, plan) = (RolloutId(Uuid::from_u128(number)), plan(&format!("web{number}")));
        let rollout = NewRollout {
            id,
            created_at: Millis(1),
            plan,
            policy: crate::rollout::spec::Policy::default(),
            by: "uid:0".to_owned(),
            undo_of: None,
            annotations: Annotations::default(),
            secrets: Vec::new(),
            planned_at: Revision(u64::MAX),
        };
        world.journal.create(Epoch(0), rollout).await.unwrap();
        ids.push(id.to_string());
    }
    let (client, cursors) = at_once(&world, "").await;
    for id in &ids {
        assert_eq!(client.rollouts[id].len(), 1000, "{id}");
    }
    let cursors: Vec<_> = cursors.iter().flatten().collect();
    assert_eq!(cursors.len(), 1);
}
