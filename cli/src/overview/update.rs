//! How keys and news change the model. Pure.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use wharf::v1::{Rollout, StatsFrame};

use super::model::{Focus, HostState, Mode, Model, Note, Place};
use crate::printer::printable;

/// Lines of a page.
const PAGE: isize = 10;

/// What happens.
#[derive(Debug)]
pub enum News {
    /// The server named the hosts.
    Hosts(Vec<String>),
    /// A frame of a host, or a part of it.
    Frame(String, StatsFrame),
    /// A host is away, and why.
    Away(String, String),
    /// A host is back.
    Back(String),
    /// A host cannot be measured, and why.
    Failed(String, String),
    /// The rollouts that have not ended.
    Rollouts(Vec<Rollout>),
    /// The connection to the server is lost, and why.
    Lost(String),
    /// Something for the user to read.
    Note(Note),
}

/// What the terminal is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// End.
    Quit,
    /// Follow the log of a container.
    Logs(Place),
    /// Run a shell in a container.
    Shell(Place),
    /// Stop a container.
    Stop(Place),
}

impl Model {
    /// Takes news in.
    pub fn hear(&mut self, news: News) {
        match news {
            News::Hosts(names) => {
                self.lost = None;
                self.hosts.retain(|name, _| names.contains(name));
                for name in names {
                    self.hosts.entry(name).or_default();
                }
            }
            News::Frame(name, frame) => {
                let host = self.hosts.entry(name).or_default();
                host.parts.extend(frame.containers);
                if !frame.continues {
                    host.containers = std::mem::take(&mut host.parts);
                    host.total = frame.total.unwrap_or_default();
                    host.state = HostState::Up;
                }
            }
            News::Away(name, why) => self.gone(name, HostState::Away(printable(&why))),
            News::Back(name) => self.gone(name, HostState::Waiting),
            News::Failed(name, why) => self.gone(name, HostState::Failed(printable(&why))),
            News::Rollouts(rollouts) => self.rollouts = rollouts,
            News::Lost(why) => self.lost = Some(printable(&why)),
            News::Note(note) => self.note = Some(note),
        }
        let (hosts, containers) = (self.host_keys(), self.container_keys());
        self.host_cursor.settle(&hosts);
        self.container_cursor.settle(&containers);
    }

    fn gone(&mut self, name: String, state: HostState) {
        let host = self.hosts.entry(name).or_default();
        *host = super::model::Host { state, ..Default::default() };
    }

    /// A key was pressed.
    pub fn press(&mut self, key: KeyEvent) -> Option<Effect> {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Some(Effect::Quit);
        }
        match self.mode.clone() {
            Mode::Normal => return self.command(key.code),
            Mode::Help => self.mode = Mode::Normal,
            Mode::Filter => self.edit_filter(key.code),
            Mode::AskStop(place) => {
                self.mode = Mode::Normal;
                if matches!(key.code, KeyCode::Char('y' | 'Y')) {
                    let text = format!("stopping {}/{} …", place.host, place.name);
                    self.note = Some(Note { text, is_error: false });
                    return Some(Effect::Stop(place));
                }
                self.note = Some(Note { text: "not stopped".to_owned(), is_error: false });
            }
        }
        None
    }

    fn command(&mut self, code: KeyCode) -> Option<Effect> {
        self.note = None;
        match code {
            KeyCode::Char('q') => return Some(Effect::Quit),
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Char('/') => {
                self.mode = Mode::Filter;
                self.focus = Focus::Containers;
            }
            KeyCode::Char('o') => self.sort = self.sort.next(),
            KeyCode::Esc => (self.filter, self.only_host) = (String::new(), None),
            KeyCode::Tab | KeyCode::BackTab => {
                self.focus = match self.focus {
                    Focus::Hosts => Focus::Containers,
                    Focus::Containers => Focus::Hosts,
                };
            }
            KeyCode::Enter if self.focus == Focus::Hosts => {
                let selected = self.selected_host();
                self.only_host = if self.only_host == selected { None } else { selected };
            }
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::PageUp => self.step(-PAGE),
            KeyCode::PageDown => self.step(PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX),
            KeyCode::Char(key @ ('l' | 'e' | 's')) => {
                let Some(place) = self.selected() else {
                    let text = "no container is selected".to_owned();
                    self.note = Some(Note { text, is_error: true });
                    return None;
                };
                match key {
                    'l' => return Some(Effect::Logs(place)),
                    'e' => return Some(Effect::Shell(place)),
                    _ => self.mode = Mode::AskStop(place),
                }
            }
            _ => {}
        }
        None
    }

    fn step(&mut self, by: isize) {
        match self.focus {
            Focus::Hosts => {
                let keys = self.host_keys();
                self.host_cursor.step(&keys, by);
            }
            Focus::Containers => {
                let keys = self.container_keys();
                self.container_cursor.step(&keys, by);
            }
        }
    }

    fn edit_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.mode = Mode::Normal,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::Normal;
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(character) => self.filter.push(character),
            _ => {}
        }
    }
}
