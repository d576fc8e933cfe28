//! Waits until a rollout is settled: paused or ended, with no host in progress.

use tonic::Request;
use wharf::v1::watch_rollouts_response::Event;
use wharf::v1::{Rollout, WatchRolloutsRequest, WatchRolloutsResponse};

use super::follow::{End, lost, reconnect};
use super::{get, missing_rollout};
use crate::app::{App, Connection};
use crate::exit::Failure;
use crate::view::rollouts::short;

/// Waits until the rollout is settled, even across restarts of the server.
pub async fn wait(app: &App, mut connection: Connection, id: String) -> Result<Rollout, Failure> {
    let then = format!("wharf rollout watch {}", short(&id));
    *app.on_interrupt.borrow_mut() = Some(format!(
        "interrupted; the request was sent, and hosts may be in progress; to follow the rollout, run: {then}"
    ));
    while let End::Lost = once(&connection, &id).await? {
        connection = reconnect(app, &then).await?;
    }
    get(&connection, id).await
}

async fn once(connection: &Connection, id: &str) -> Result<End, Failure> {
    let request = WatchRolloutsRequest { id: id.to_owned(), ..Default::default() };
    let mut stream = match connection.rollouts().watch_rollouts(Request::new(request)).await {
        Ok(response) => response.into_inner(),
        Err(status) => return lost(status),
    };
    loop {
        match stream.message().await {
            Ok(Some(message)) if says_settled(&message)? => return Ok(End::Over),
            Ok(Some(_)) => {}
            // The rollout has ended.
            Ok(None) => return Ok(End::Over),
            Err(status) => return lost(status),
        }
    }
}

fn says_settled(message: &WatchRolloutsResponse) -> Result<bool, Failure> {
    match &message.event {
        Some(Event::Snapshot(snapshot)) => {
            Ok(snapshot.rollouts.first().ok_or_else(missing_rollout)?.settled)
        }
        Some(Event::Rollout(rollout)) => Ok(rollout.settled),
        _ => Ok(false),
    }
}
