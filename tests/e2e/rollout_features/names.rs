//! Point 16: names that a rollout needs and somebody else takes in the middle of it.

use serde_json::json;
use testbed::Image;
use wharf::v1::{HostState, Promote, PromoteRolloutRequest, Rollout, RolloutState};

use super::bench::{Bench, reason_of, told};

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
