//! The page in a real browser: Chromium, driven by the programs in `web/tests/`, with the real `wharfd` and
//! three real Engines of its own.

mod hostile;
mod stage;

use std::time::Duration;

use anyhow::{bail, ensure};
use serde_json::json;
use testbed::Engine;

use stage::{OPERATOR, READER, Stage, browse};

/// The longest that one of the programs may take.
const LIMIT: Duration = Duration::from_secs(240);

/// What a program asks the test to do.
async fn obey(stage: &Stage, order: &str) -> anyhow::Result<()> {
    match order.split_once(' ') {
        Some(("restart", "wharfd")) => stage.wharfd.restart().await,
        Some(("expect", version)) => stage.expect(version).await,
        Some(("freeze", host)) => stage.engine(host).map(Engine::freeze),
        Some(("thaw", host)) => stage.engine(host).map(Engine::thaw),
        Some(("shells", count)) => stage.shells(count.parse()?).await,
        _ => bail!("the program asks for {order:?}"),
    }
}

#[tokio::test]
async fn an_operator_works_through_wharf_ui() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    let hostile = stage.hostile().await?;
    let (_page, address) = stage.open().await?;
    let given = json!({
        "address": address,
        "container": stage.container,
        "images": stage.images(),
        "hostile": hostile,
    });
    browse(&stage, "command.mjs", &given, LIMIT, obey).await
}

#[tokio::test]
async fn an_operator_has_a_terminal_in_a_container() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    let (_page, address) = stage.open().await?;
    let given = json!({"address": address, "container": stage.container});
    browse(&stage, "terminal.mjs", &given, LIMIT, obey).await
}

#[tokio::test]
async fn errors_of_others_stay_texts() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    let hostile = stage.hostile_errors().await?;
    let (_page, address) = stage.open().await?;
    let given = json!({"address": address, "container": stage.container, "hostile": hostile});
    browse(&stage, "errors.mjs", &given, LIMIT, obey).await
}

#[tokio::test]
async fn a_token_becomes_a_session_on_the_tls_listener() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    let given = json!({
        "address": stage.address,
        "container": stage.container,
        "tokens": {"reader": READER, "operator": OPERATOR},
        "certificate": stage.certificate,
    });
    browse(&stage, "server.mjs", &given, LIMIT, obey).await?;
    ensure!(!stage.wharfd.log().contains(READER), "the log has the token");
    Ok(())
}
