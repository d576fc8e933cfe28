//! News from the server: frames of all hosts, and open rollouts. A lost connection is made again.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;
use wharf::v1::stream_stats_response::Event;
use wharf::v1::{
    FanoutOptions, HostOutcome, HostSelector, ListRolloutsRequest, StreamStatsRequest,
};

use super::update::News;
use crate::app::{App, Connection};
use crate::commands::{call, rollout};
use crate::exit::Failure;
use crate::fanout::{self, Observer};
use crate::report::outcome_error;
use crate::resume::is_lost;
use crate::status::ErrorText;
use crate::view::rollouts::is_over;

/// First and longest delay between two attempts to reach the server.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// Time between two looks at the rollouts.
const ROLLOUTS: Duration = Duration::from_secs(2);
/// Rollouts to look at.
const PAGE: u32 = 50;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Order {
    /// The hosts.
    pub targets: HostSelector,
    /// Options of the call.
    pub fanout: FanoutOptions,
}

/// Sends news until nobody hears them, or the server refuses the call. A connection is there already.
pub async fn run(
    app: &App,
    mut connection: Connection,
    order: &Order,
    news: &UnboundedSender<News>,
) -> Result<(), Failure> {
    let mut wait = RETRY.0;
    while !news.is_closed() {
        let why = tokio::select! {
            why = stats(&connection, order, news) => why?,
            () = open_rollouts(&connection, news) => String::new(),
        };
        let _ = news.send(News::Lost(why));
        loop {
            sleep(wait).await;
            wait = (wait * 2).min(RETRY.1);
            match app.connect().await {
                Ok(again) => {
                    connection = again;
                    break;
                }
                Err(failure) => {
                    let _ = news.send(News::Lost(failure.lines().join("; ")));
                }
            }
        }
    }
    Ok(())
}

/// Reads frames until the call ends. Returns why.
async fn stats(
    connection: &Connection,
    order: &Order,
    news: &UnboundedSender<News>,
) -> Result<String, Failure> {
    let request = StreamStatsRequest {
        targets: Some(order.targets.clone()),
        fanout: Some(order.fanout),
        ..StreamStatsRequest::default()
    };
    let calls = vec![call!(connection, stats.stream_stats, request)];
    let report = fanout::read(calls, connection.timeout(), &mut Ear { news }).await;
    let was_begun = report.was_begun();
    match report.calls.into_iter().find_map(|call| call.end) {
        Some(status) if !was_begun && !is_lost(&status) => Err(status.into()),
        Some(status) => Ok(ErrorText::of_status(&status).lines().join("; ")),
        None => Ok("the server ended the call".to_owned()),
    }
}

/// Looks at the rollouts every now and then. Without them, the rest is still worth seeing.
async fn open_rollouts(connection: &Connection, news: &UnboundedSender<News>) {
    loop {
        let states = rollout::states(|state| !is_over(state));
        let request = ListRolloutsRequest { states, page_size: PAGE, ..Default::default() };
        let mut rollouts = connection.rollouts();
        let found: Result<_, Failure> =
            connection.unary(request, async |request| rollouts.list_rollouts(request).await).await;
        if let Ok(page) = found {
            let _ = news.send(News::Rollouts(page.rollouts));
        }
        sleep(ROLLOUTS).await;
    }
}

/// Turns responses to news.
struct Ear<'a> {
    news: &'a UnboundedSender<News>,
}

impl Ear<'_> {
    fn say(&self, news: News) {
        // Nobody listens: the view is about to end.
        let _ = self.news.send(news);
    }
}

impl Observer<Event> for Ear<'_> {
    fn started(&mut self, hosts: &[String]) {
        self.say(News::Hosts(hosts.to_vec()));
    }

    fn payload(&mut self, host: &str, event: Event) {
        let host = host.to_owned();
        match event {
            Event::Frame(frame) => self.say(News::Frame(host, frame)),
            Event::Gap(gap) if gap.away.is_some() => self.say(News::Back(host)),
            Event::Gap(gap) => {
                let why = gap.status.as_ref().map(|status| ErrorText::of_rpc(status).message);
                self.say(News::Away(host, why.unwrap_or_default()));
            }
            _ => {}
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        if let Some(error) = outcome_error(outcome) {
            self.say(News::Failed(host.to_owned(), error.message));
        }
    }

    fn is_done(&self) -> bool {
        self.news.is_closed()
    }
}
