//! The events of one host: read from the Engine as long as the caller wants them, also over restarts of
//! the Engine, and sent when the caller takes them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;
use wharf::v1;
use wharf::v1::stream_events_response::Event;

use super::order::Order;
use super::place::Place;
use super::queue::Queue;
use crate::api::away::{is_away, quick, until_it_answers};
use crate::api::table::host_problem;
use crate::api::times::timestamp;
use crate::engine::{
    EngineError, EngineEvent, ErrorKind, EventBatch, EventQuery, LogTime, host_clock,
};
use crate::fleet::fanout::HostCall;
use crate::fleet::{Done, HostError};

/// How long an Engine may take to give what it remembers.
const REMEMBERS: Duration = Duration::from_secs(3);
/// How long it may take to end after `until`.
const ENDS: Duration = Duration::from_secs(2);
/// How long it may take to give events that are all past.
const PAST: Duration = Duration::from_secs(120);
/// How often to say how far events were read that do not match.
const PROGRESS: Duration = Duration::from_secs(10);
/// Shortest time between two attempts on an Engine that ends the stream.
const AGAIN: Duration = Duration::from_secs(1);
/// Longest time to wait for an end.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
const OPERATION: &str = "GET /events";

/// The events of one host.
pub struct HostEvents {
    call: HostCall<Event>,
    order: Arc<Order>,
    queue: Queue,
    /// Why the host is away, if it is.
    away: Mutex<Option<HostError>>,
}

impl HostEvents {
    /// For one call on one host.
    pub fn new(call: HostCall<Event>, order: Arc<Order>) -> Self {
        Self { call, order, queue: Queue::default(), away: Mutex::default() }
    }

    /// Reads and sends at the same time, until the end.
    pub async fn read(&self) -> Result<Done, HostError> {
        let receive = async {
            let result = self.receive().await;
            self.queue.close();
            result
        };
        let send = async {
            while let Some(event) = self.queue.next().await {
                self.call.emit(event).await;
            }
        };
        tokio::join!(receive, send).0.map(|()| Done::UNCHANGED)
    }

    async fn receive(&self) -> Result<(), HostError> {
        let after = self.order.after(self.call.host_name());
        // A caller that resumes has read from it, so it is not a wrong address.
        let now = match &after {
            Some(place) => self.clock_when_back(place).await?,
            None => self.clock().await?,
        };
        let begins = after.is_none() && self.order.since.is_none();
        let mut place = after.unwrap_or_else(|| Place::at(self.order.since.unwrap_or(now)));
        self.queue.push(Event::Position(place.to_message()), now, &place);
        let Some(until) = self.order.until else {
            return self.follow(&mut place, now, begins).await;
        };
        let is_past = until <= now;
        let limit = if is_past { PAST } else { until.since(now).min(CENTURY) + ENDS };
        match timeout(limit, self.follow(&mut place, now, begins)).await {
            Ok(result) => result,
            Err(_) if is_past => Err(HostError::Timeout { budget: PAST, goes_on: false }),
            Err(_) => self.why_away().map_or(Ok(()), Err),
        }
    }

    /// `begins`: events from before the first connection are not wanted, so that none can be lost there.
    async fn follow(
        &self,
        place: &mut Place,
        mut now: LogTime,
        mut begins: bool,
    ) -> Result<(), HostError> {
        loop {
            let begun = Instant::now();
            let result = self.connection(place, now, begins).await;
            begins = false;
            let error = match result {
                // It has given all up to there.
                Ok(()) if self.is_over(now.later(begun.elapsed())) => return Ok(()),
                Ok(()) => {
                    sleep_until(begun + AGAIN).await;
                    let message = "the Engine ended the stream";
                    EngineError::new(ErrorKind::ConnectionLost, OPERATION, message).into()
                }
                Err(error) if is_away(&error) => error,
                Err(error) => return Err(error),
            };
            self.until_back(error, place).await?;
            now = self.clock_when_back(place).await?;
        }
    }

    /// Whether `until` is over at this time of the host.
    fn is_over(&self, now: LogTime) -> bool {
        self.order.until.is_some_and(|until| now.later(ENDS) >= until)
    }

    /// One stream of the Engine, up to its end.
    async fn connection(
        &self,
        place: &mut Place,
        now: LogTime,
        begins: bool,
    ) -> Result<(), HostError> {
        let (sink, mut batches) = mpsc::channel::<EventBatch>(1);
        let until = self.order.until;
        let follow = until.is_none_or(|until| until > now);
        let query = EventQuery { since: place.since(), until, follow };
        let engine = Arc::clone(&self.call.engine);
        // A task of its own, because the call takes turns with others of its host.
        let reading = tokio::spawn(async move { engine.read_events(&query, &sink).await });
        let reading = AbortOnDropHandle::new(reading);
        let mut is_proven = begins;
        let mut silent_until: Option<Instant> = None;
        let mut said = Instant::now();
        loop {
            let silence = async {
                match silent_until {
                    Some(until) if !is_proven => sleep_until(until).await,
                    _ => std::future::pending().await,
                }
            };
            let batch = tokio::select! {
                batch = batches.recv() => batch,
                () = silence => {
                    // It remembers nothing, and there is nothing to tell a restart from.
                    self.forgotten(place, now);
                    is_proven = true;
                    continue;
                }
            };
            let Some(batch) = batch else { break };
            silent_until.get_or_insert_with(|| Instant::now() + REMEMBERS);
            // Nothing that is stored gets lost, and nothing was read that must be found again.
            is_proven |= batch.are_stored && place.is_empty();
            for event in &batch.events {
                if !is_proven && !place.is_behind(event) {
                    self.forgotten(place, event.time);
                }
                is_proven = true;
                self.take(event, place, &mut said);
            }
        }
        reading.await.map_err(|_| HostError::Panicked)??;
        if let Some(until) = self.order.until
            && !is_proven
        {
            self.forgotten(place, until.min(now));
        }
        Ok(())
    }

    /// Passes on an event if it is new and matches.
    fn take(&self, event: &EngineEvent, place: &mut Place, said: &mut Instant) {
        let is_late = self.order.until.is_some_and(|until| event.time > until);
        if is_late || !place.advance(event) {
            return;
        }
        if self.order.filter.matches(event) {
            self.queue.push(Event::EngineEvent(message(event, place)), event.time, place);
            *said = Instant::now();
        } else if said.elapsed() >= PROGRESS && self.queue.is_empty() {
            self.queue.push(Event::Position(place.to_message()), event.time, place);
            *said = Instant::now();
        }
    }

    /// Events between the last one and this time may be missing.
    fn forgotten(&self, place: &Place, to: LogTime) {
        let from = place.last();
        let lost = v1::EventsLost {
            cause: v1::EventsLostCause::Forgotten.into(),
            from: Some(timestamp(from)),
            to: Some(timestamp(to.max(from))),
            count: 0,
            position: Some(place.to_message()),
        };
        self.queue.push(Event::Lost(lost), to, place);
    }

    /// Waits until the host answers again.
    async fn until_back(&self, error: HostError, place: &Place) -> Result<(), HostError> {
        let status = Some(host_problem(self.call.host_name(), &error).to_proto());
        let say = |away| {
            let gap = v1::EventGap { status: status.clone(), away };
            self.queue.push(Event::Gap(gap), place.last(), place);
        };
        say(None);
        self.set_away(Some(error));
        let away = until_it_answers(&*self.call.engine).await?;
        self.set_away(None);
        say(prost_types::Duration::try_from(away).ok());
        Ok(())
    }

    /// The clock of the host. Waits while the host is away.
    async fn clock_when_back(&self, place: &Place) -> Result<LogTime, HostError> {
        loop {
            match self.clock().await {
                Err(error) if is_away(&error) => self.until_back(error, place).await?,
                result => return result,
            }
        }
    }

    async fn clock(&self) -> Result<LogTime, HostError> {
        let info = quick(self.call.engine.info()).await?;
        host_clock(&info).ok_or_else(|| {
            let message = "the Engine does not report the time of its host";
            EngineError::new(ErrorKind::BadAnswer, "GET /info", message).into()
        })
    }

    fn set_away(&self, error: Option<HostError>) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    fn why_away(&self) -> Option<HostError> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn message(event: &EngineEvent, place: &Place) -> v1::EngineEvent {
    v1::EngineEvent {
        r#type: event.kind.clone(),
        action: event.action.clone(),
        actor_id: event.actor.clone(),
        attributes: event.attributes.clone(),
        scope: event.scope.clone(),
        time: Some(timestamp(event.time)),
        position: Some(place.to_message()),
    }
}
