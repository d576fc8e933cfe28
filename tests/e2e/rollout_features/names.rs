//! Rule C16: names that a rollout needs but that somebody else takes during it.

use serde_json::{Value, json};
use testbed::Image;
use tokio::sync::oneshot;
use wharf::v1::{
    HostState, PauseCause, Promote, PromoteRolloutRequest, ResumeRolloutRequest, Rollout,
    RolloutState,
};

use super::bench::{Bench, backup, reason_of, told};
use crate::support::cut::Proxy;
use crate::support::hosts;

/// A rollout whose first host is done, and which waits before the second.
async fn half_done(bench: &Bench) -> anyhow::Result<(Rollout, String)> {
    let v1 = bench.image("v1", &Image::new("v1")).await?;
    let v2 = bench.image("v2", &Image::new("v2")).await?;
    bench.run(&json!({"Image": v1})).await?;
    let mut spec = bench.spec(&v2);
    let policy = spec.policy.get_or_insert_default();
    policy.canary = "1".to_owned();
    policy.promote = Promote::Manual.into();
    let rollout = bench.roll(spec).await?;
    assert_eq!(rollout.state(), RolloutState::Paused, "{}", told(&rollout));
    Ok((rollout, v1))
}

#[tokio::test]
async fn c16_what_has_such_a_name_stays_and_so_does_the_old_container() -> anyhow::Result<()> {
    for kind in ["new", "old", "bad"] {
        let bench = Bench::new(2).await?;
        let (rollout, v1) = half_done(&bench).await?;
        let before = bench.current().await?.remove(1);
        let taken = format!("{}.{kind}-{}", bench.name(), &rollout.id[..8]);
        let foreign = bench.scenes[1].create(&taken, json!({"Image": v1})).await?;
        let request = PromoteRolloutRequest { id: rollout.id.clone(), ..Default::default() };
        bench.rollouts().await?.promote_rollout(request).await?;
        let failed = bench.rest(&rollout.id).await?;
        let step = failed.steps.iter().find(|step| step.host == "beta").expect("it takes part");
        assert_eq!(step.state(), HostState::Unchanged, "{kind}: {}", told(&failed));
        assert_eq!(reason_of(step), "NAME_IN_USE");
        let after = bench.current().await?.remove(1);
        assert_eq!((&after["Id"], &after["State"]), (&before["Id"], &before["State"]), "{kind}");
        assert_eq!(bench.scenes[1].inspect(&taken).await?["Id"], json!(foreign));
        assert_eq!(bench.names(1).await?, [bench.name().to_owned(), taken]);
    }
    Ok(())
}

/// A container on one host, which the rollout reaches through a proxy that meddles with it.
struct Race {
    bench: Bench,
    proxy: Proxy,
    v1: String,
    v2: String,
    before: Value,
}

impl Race {
    async fn start() -> anyhow::Result<Race> {
        let bench = Bench::new(1).await?;
        let proxy = Proxy::start(bench.scenes[0].engine).await?;
        bench.server.add("raced", proxy.address()).await?;
        let v1 = bench.image("v1", &Image::new("v1")).await?;
        let v2 = bench.image("v2", &Image::new("v2")).await?;
        let restart = json!({"RestartPolicy": {"Name": "unless-stopped"}});
        bench.run(&json!({"Image": v1, "HostConfig": restart})).await?;
        let before = bench.current().await?.remove(0);
        Ok(Race { bench, proxy, v1, v2, before })
    }

    /// Somebody creates a container by the name that the next such write asks for, after the
    /// rollout looked and before the write. Its name and ID.
    fn somebody_is_faster(
        &self,
        is_it: impl Fn(&str) -> bool + Send + 'static,
    ) -> oneshot::Receiver<(String, String)> {
        let (told, created) = oneshot::channel();
        let (engine, image) = (self.bench.scenes[0].engine, self.v1.clone());
        self.proxy.ahead(is_it, async move |line| {
            let name = line.split_once("name=").map(|(_, name)| name).unwrap_or_default();
            let path = format!("/containers/create?name={name}");
            let body = json!({"Image": image, "HostConfig": {"NetworkMode": "none"}});
            // Where it fails, the test waits for the ID in vain and says so.
            if let Ok(made) = engine.post(&path, Some(body)).await {
                let id = made["Id"].as_str().unwrap_or_default().to_owned();
                let _ = told.send((name.to_owned(), id));
            }
        });
        created
    }

    async fn roll(&self) -> anyhow::Result<Rollout> {
        let mut spec = self.bench.spec(&self.v2);
        spec.targets = hosts(&["raced"]);
        self.bench.roll(spec).await
    }

    /// The rollout paused with its host in this state, and the foreign container is as it was
    /// made.
    async fn check_lost(
        &self,
        rollout: &Rollout,
        foreign: &(String, String),
        cause: PauseCause,
        state: HostState,
    ) -> anyhow::Result<()> {
        assert_eq!(rollout.state(), RolloutState::Paused, "{}", told(rollout));
        assert_eq!(rollout.pause_cause(), cause, "{}", told(rollout));
        assert_eq!(rollout.steps[0].state(), state, "{}", told(rollout));
        let found = self.bench.scenes[0].inspect(&foreign.0).await?;
        assert_eq!(
            (&found["Id"], &found["State"]["Status"]),
            (&json!(foreign.1), &json!("created"))
        );
        Ok(())
    }

    /// Without the foreign container the rollout comes to its end.
    async fn ends_without_it(&self, rollout: &Rollout, foreign: &str) -> anyhow::Result<()> {
        self.bench.scenes[0].engine.delete(&format!("/containers/{foreign}")).await?;
        let resume = ResumeRolloutRequest {
            id: rollout.id.clone(),
            retry_failed: true,
            ..Default::default()
        };
        self.bench.rollouts().await?.resume_rollout(resume).await?;
        self.is_done(&self.bench.rest(&rollout.id).await?).await
    }

    async fn is_done(&self, rollout: &Rollout) -> anyhow::Result<()> {
        assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(rollout));
        let now = self.bench.current().await?.remove(0);
        assert_eq!(
            (&now["Config"]["Image"], &now["State"]["Running"]),
            (&json!(self.v2), &json!(true))
        );
        let kept = self.bench.scenes[0].inspect(&backup(rollout)).await?;
        assert_eq!((&kept["Id"], &kept["State"]["Running"]), (&self.before["Id"], &json!(false)));
        assert_eq!(self.bench.names(0).await?, [self.bench.name().to_owned(), backup(rollout)]);
        Ok(())
    }
}

#[tokio::test]
async fn c16_a_name_taken_between_the_look_and_the_creation() -> anyhow::Result<()> {
    let race = Race::start().await?;
    let created = race.somebody_is_faster(|line| line.contains("/containers/create?"));
    let rollout = race.roll().await?;
    let foreign = created.await?;
    assert!(foreign.0.contains(".new-"), "{foreign:?}");
    race.check_lost(&rollout, &foreign, PauseCause::Budget, HostState::Unchanged).await?;
    let step = &rollout.steps[0];
    assert_eq!(reason_of(step), "NAME_IN_USE");
    let message = step.status.as_ref().map(|it| it.message.clone()).unwrap_or_default();
    assert!(message.contains(&foreign.0) && message.contains(&foreign.1[..12]), "{message}");
    let now = race.bench.current().await?.remove(0);
    assert_eq!((&now["Id"], &now["State"]), (&race.before["Id"], &race.before["State"]));
    race.ends_without_it(&rollout, &foreign.1).await
}

#[tokio::test]
async fn c16_a_name_taken_between_the_look_and_a_renaming() -> anyhow::Result<()> {
    // The name of the backup: the old container is restored as it was.
    let race = Race::start().await?;
    let created = race.somebody_is_faster(|line| line.contains("/rename?"));
    let rollout = race.roll().await?;
    let foreign = created.await?;
    assert!(foreign.0.contains(".old-"), "{foreign:?}");
    race.check_lost(&rollout, &foreign, PauseCause::Budget, HostState::Restored).await?;
    let now = race.bench.current().await?.remove(0);
    assert_eq!((&now["Id"], &now["State"]["Running"]), (&race.before["Id"], &json!(true)));
    let policy = |it: &Value| it["HostConfig"]["RestartPolicy"].clone();
    assert_eq!(policy(&now), policy(&race.before));
    assert_eq!(race.bench.names(0).await?, [race.bench.name().to_owned(), foreign.0.clone()]);
    race.ends_without_it(&rollout, &foreign.1).await?;

    // The name itself, while nobody has it: a person must say whose it is, and nothing goes.
    let race = Race::start().await?;
    let to_name = format!("/rename?name={}", race.bench.name());
    let created = race.somebody_is_faster(move |line| line.ends_with(&to_name));
    let rollout = race.roll().await?;
    let foreign = created.await?;
    let needs = PauseCause::NeedsAttention;
    race.check_lost(&rollout, &foreign, needs, HostState::NeedsAttention).await?;
    let kept = race.bench.scenes[0].inspect(&backup(&rollout)).await?;
    assert_eq!(kept["Id"], race.before["Id"]);
    assert_eq!(race.bench.names(0).await?.len(), 3);
    race.ends_without_it(&rollout, &foreign.1).await
}

/// Its answer is lost, and the next look finds nothing yet: the creation is asked for once more,
/// and its name is taken by what it made.
#[tokio::test]
async fn c16_what_the_rollout_made_itself_is_not_somebody_elses() -> anyhow::Result<()> {
    let race = Race::start().await?;
    race.proxy.twice(|line| line.contains("/containers/create?"));
    race.is_done(&race.roll().await?).await
}
