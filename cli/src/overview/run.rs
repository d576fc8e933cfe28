//! The terminal: draws the model, reads keys, and gives the terminal to other commands for a while.

use std::io::{self, IsTerminal};
use std::process::ExitStatus;
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyEventKind};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use futures_util::StreamExt;
use ratatui::DefaultTerminal;
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval, sleep};
use wharf::v1::stop_containers_response::Event as StopEvent;
use wharf::v1::{HostOutcome, StopContainersRequest};

use super::draw::draw;
use super::feed::{self, Order};
use super::model::{Model, Note, Place};
use super::update::{Effect, News};
use crate::app::{App, Connection};
use crate::commands::{call, request_id};
use crate::exit::Failure;
use crate::fanout::{self, Observer};
use crate::printer::Stream;
use crate::report::{outcome_error, status_error};
use crate::status::ErrorText;
use crate::targets::named;

/// Least time between two drawings of news; keys are shown at once.
const REDRAW: Duration = Duration::from_millis(200);
/// Lines of a log to begin with.
const TAIL: &str = "100";
/// How much later than the end of a program the signal that ended it may be noticed.
const SIGNAL_DELAY: Duration = Duration::from_millis(50);
/// The exit status after Ctrl-C.
const INTERRUPTED: i32 = 130;

/// The screen, until it is dropped.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> Result<Self, Failure> {
        ratatui::try_init().map(Self).map_err(|error| failed(&error))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Refuses what is no terminal.
pub fn check() -> Result<(), Failure> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage(
        "--fleet needs a terminal on standard input and output; in a pipe, use wharf stats",
    ))
}

/// Shows the fleet until the user quits.
pub async fn run(app: &App, order: &Order) -> Result<(), Failure> {
    let connection = app.connect().await?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the view takes news in whenever it waits, and a host sends a frame a second"
    )]
    let (news, heard) = unbounded_channel();
    let feed = feed::run(app, connection.clone(), order, &news);
    let view = View { app, connection, news: news.clone(), heard, model: Model::default() };
    tokio::select! {
        result = view.run() => result,
        ended = feed => ended,
    }
}

struct View<'a> {
    app: &'a App,
    connection: Connection,
    news: UnboundedSender<News>,
    heard: UnboundedReceiver<News>,
    model: Model,
}

impl View<'_> {
    async fn run(mut self) -> Result<(), Failure> {
        loop {
            match self.show().await? {
                Effect::Quit => return Ok(()),
                Effect::Logs(place) => {
                    let arguments = ["logs", "-f", "-n", TAIL];
                    self.give_away(&arguments, &place, &[], |status| {
                        status.code() == Some(INTERRUPTED)
                    })
                    .await?;
                }
                Effect::Shell(place) => {
                    self.give_away(&["exec", "-it"], &place, &["sh"], |status| status.success())
                        .await?;
                }
                // Done without leaving the screen.
                Effect::Stop(_) => {}
            }
        }
    }

    /// Shows the screen until it has to be left.
    async fn show(&mut self) -> Result<Effect, Failure> {
        let mut screen = Screen::open()?;
        let mut keys = EventStream::new();
        let has_colour = self.app.printer.has_colour(Stream::Stdout);
        let mut redraw = interval(REDRAW);
        redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_stale = true;
        loop {
            tokio::select! {
                event = keys.next() => {
                    let event = event.ok_or_else(|| failed(&io::ErrorKind::UnexpectedEof.into()))?;
                    match event.map_err(|error| failed(&error))? {
                        Event::Key(key) if key.kind != KeyEventKind::Release => {
                            match self.model.press(key) {
                                Some(Effect::Stop(place)) => self.stop(place),
                                Some(effect) => return Ok(effect),
                                None => {}
                            }
                            self.draw(&mut screen, has_colour)?;
                        }
                        Event::Resize(_, _) => self.draw(&mut screen, has_colour)?,
                        _ => {}
                    }
                }
                Some(news) = self.heard.recv() => {
                    self.model.hear(news);
                    is_stale = true;
                }
                _ = redraw.tick(), if is_stale => {
                    self.draw(&mut screen, has_colour)?;
                    is_stale = false;
                }
            }
        }
    }

    fn draw(&self, screen: &mut Screen, has_colour: bool) -> Result<(), Failure> {
        let drawn = screen.0.draw(|frame| draw(frame, &self.model, has_colour));
        drawn.map(drop).map_err(|error| failed(&error))
    }

    /// Stops a container; how that ended is a note.
    fn stop(&self, place: Place) {
        let (connection, news) = (self.connection.clone(), self.news.clone());
        tokio::spawn(async move {
            let (text, is_error) = match stop(&connection, &place).await {
                Ok(()) => (format!("{}/{} is stopped", place.host, place.name), false),
                Err(why) => (format!("cannot stop {}/{}: {why}", place.host, place.name), true),
            };
            // The view may have ended.
            let _ = news.send(News::Note(Note { text, is_error }));
        });
    }

    /// Runs another verb of this program on the terminal. Unless it ended as it should, the user reads
    /// what it printed before the screen comes back.
    async fn give_away(
        &mut self,
        verb: &[&str],
        place: &Place,
        rest: &[&str],
        is_usual: fn(ExitStatus) -> bool,
    ) -> Result<(), Failure> {
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let container = format!("{}/{}", place.host, place.id);
        let mut command = Command::new(program);
        command.args(self.app.server_flags()).args(verb).arg(container).args(rest);
        self.app.passes_signals.set(true);
        let status = self.listen_until(async move { command.status().await }).await;
        // Ctrl-C was for both, and may be noticed here a moment after the other program ended.
        sleep(SIGNAL_DELAY).await;
        self.app.passes_signals.set(false);
        match status {
            Ok(status) if is_usual(status) => return Ok(()),
            Ok(_) => {}
            Err(error) => self.app.printer.error(&format!("cannot start wharf: {error}")),
        }
        self.app.printer.stderr("Press a key to return to the overview.");
        enable_raw_mode().map_err(|error| failed(&error))?;
        let mut keys = EventStream::new();
        self.listen_until(async move {
            while let Some(Ok(event)) = keys.next().await {
                if matches!(event, Event::Key(_)) {
                    break;
                }
            }
        })
        .await;
        disable_raw_mode().map_err(|error| failed(&error))
    }

    /// Waits, and takes news in meanwhile.
    async fn listen_until<T>(&mut self, end: impl Future<Output = T>) -> T {
        tokio::pin!(end);
        loop {
            tokio::select! {
                ended = &mut end => return ended,
                Some(news) = self.heard.recv() => self.model.hear(news),
            }
        }
    }
}

/// Stops one container. Returns why it is not stopped.
async fn stop(connection: &Connection, place: &Place) -> Result<(), String> {
    let request = StopContainersRequest {
        targets: Some(named(vec![place.host.clone()])),
        request_id: request_id(),
        containers: vec![place.id.clone()],
        ..StopContainersRequest::default()
    };
    let calls = vec![call!(connection, containers.stop_containers, request)];
    let mut failures = Failures(Vec::new());
    let report = fanout::read(calls, connection.timeout(), &mut failures).await;
    let ended = report.calls.iter().find_map(|call| call.end.as_ref()).map(ErrorText::of_status);
    match failures.0.into_iter().chain(ended).next() {
        Some(error) => Err(error.lines().join("; ")),
        None => Ok(()),
    }
}

/// What went wrong, the closest cause first.
struct Failures(Vec<ErrorText>);

impl Observer<StopEvent> for Failures {
    fn payload(&mut self, _host: &str, event: StopEvent) {
        if let StopEvent::Item(item) = event {
            self.0.extend(status_error(item.status.as_ref()));
        }
    }

    fn outcome(&mut self, _host: &str, outcome: &HostOutcome) {
        self.0.extend(outcome_error(outcome));
    }
}

fn failed(error: &io::Error) -> Failure {
    Failure::Usage(format!("cannot use the terminal: {error}"))
}
