//! Input of sessions that comes in calls of its own: which session it is for, whether its caller may
//! send it, and in which order it is passed on.
//!
//! A session has room for one piece of input beside the one that the Engine is taking. Further calls
//! wait for that room, and a call whose caller left before there was any has done nothing.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::Stream;
use prost::Message;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use uuid::Uuid;
use wharf::v1;
use wharf::v1::send_session_input_request::Input as Called;

use super::order::terminal_size;
use crate::api::auth::Identity;
use crate::api::problem::Problem;
use crate::domain::Reason;
use crate::engine::TerminalSize;

/// One piece of input, checked.
#[derive(Debug)]
pub(super) enum Input {
    Stdin(Vec<u8>),
    Resize(TerminalSize),
    Close,
}

/// The sessions that take input in calls, by ID. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<HashMap<String, Arc<Live>>>>);

/// A session in progress.
#[derive(Debug)]
struct Live {
    owner: Identity,
    /// What the audit log says of it.
    subject: String,
    tty: bool,
    queue: tokio::sync::Mutex<Queue>,
}

/// What was sent so far.
#[derive(Debug)]
struct Queue {
    /// The position of the next piece.
    next: u64,
    /// Of the last piece, by which a retry is recognized.
    last: [u8; 32],
    pieces: mpsc::Sender<Input>,
}

/// The input of a session, which can be found until this is dropped.
#[derive(Debug)]
pub(super) struct Inputs {
    /// The ID of the session.
    pub id: String,
    sessions: Sessions,
    pieces: mpsc::Receiver<Input>,
}

impl Input {
    /// The input for a session with or without a terminal.
    pub fn resize(size: v1::TerminalSize, tty: bool) -> Result<Self, Problem> {
        if !tty {
            return Err(Problem::invalid_field("resize", "requires a terminal"));
        }
        let size = terminal_size(size).map_err(|text| Problem::invalid_field("resize", text))?;
        Ok(Self::Resize(size))
    }

    fn called(input: Option<Called>, tty: bool) -> Result<Self, Problem> {
        match input {
            Some(Called::Stdin(bytes)) => Ok(Self::Stdin(bytes)),
            Some(Called::Resize(size)) => Self::resize(size, tty),
            Some(Called::CloseStdin(v1::CloseStdin {})) => Ok(Self::Close),
            None => Err(Problem::invalid_field("input", "must be set")),
        }
    }
}

impl Sessions {
    /// Begins a session of this caller.
    pub fn begin(&self, owner: Identity, subject: String, tty: bool) -> Inputs {
        // Two of them, because one has only 122 random bits.
        let id = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let (sender, pieces) = mpsc::channel(1);
        let queue = tokio::sync::Mutex::new(Queue { next: 0, last: [0; 32], pieces: sender });
        let live = Arc::new(Live { owner, subject, tty, queue });
        self.live().insert(id.clone(), live);
        Inputs { id, sessions: self.clone(), pieces }
    }

    /// What the audit log says of a session of this caller; empty if there is none.
    pub fn subject(&self, caller: &Identity, id: &str) -> String {
        self.find(caller, id).map(|live| live.subject.clone()).unwrap_or_default()
    }

    /// Passes one piece of input on, once.
    pub async fn send(
        &self,
        caller: &Identity,
        request: v1::SendSessionInputRequest,
    ) -> Result<(), Problem> {
        let live = self.find(caller, &request.session_id).ok_or_else(not_found)?;
        let digest = Sha256::digest(request.encode_to_vec()).into();
        let position = request.position;
        let input = Input::called(request.input, live.tty)?;
        // One call at a time, so that what waits is in order.
        let mut queue = live.queue.lock().await;
        if position.checked_add(1) == Some(queue.next) && digest == queue.last {
            return Ok(());
        }
        if position != queue.next {
            return Err(out_of_order(position, queue.next));
        }
        let room = queue.pieces.clone().reserve_owned().await.map_err(|_| not_found())?;
        room.send(input);
        queue.next += 1;
        queue.last = digest;
        Ok(())
    }

    /// A session of another caller is none.
    fn find(&self, caller: &Identity, id: &str) -> Option<Arc<Live>> {
        self.live().get(id).filter(|live| live.owner == *caller).cloned()
    }

    fn live(&self) -> MutexGuard<'_, HashMap<String, Arc<Live>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Inputs {
    type Item = Input;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_recv(context)
    }
}

impl Drop for Inputs {
    fn drop(&mut self) {
        self.sessions.live().remove(&self.id);
    }
}

pub fn not_found() -> Problem {
    let message = "you have no session of this ID in progress; start one with StartSession";
    Problem::new(Reason::SessionNotFound, message)
}

pub fn out_of_order(position: u64, next: u64) -> Problem {
    let message = format!(
        "input came at position {position}, but the next one is {next}; send each piece after the answer to the one before, and repeat only the last one, unchanged"
    );
    Problem::new(Reason::SessionInputOrder, message)
}
