//! The view without a terminal: news and keys in, a screen out.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use wharf::v1::{ContainerStats, HostStats, ResourceUsage, Rollout, RolloutState, StatsFrame};

use super::draw::draw;
use super::model::{HostState, Mode, Model, Note, Place, Sort};
use super::update::{Effect, News};

fn usage(cpu: f64, memory: u64) -> ResourceUsage {
    ResourceUsage {
        cpu_percent: Some(cpu),
        memory_bytes: memory,
        memory_limit_bytes: 8_200_000_000,
        network_received_bytes: memory / 1000,
        pids: 3,
        ..ResourceUsage::default()
    }
}

fn frame(names: &[(&str, f64, u64)]) -> StatsFrame {
    let container = |(name, cpu, memory): &(&str, f64, u64)| ContainerStats {
        container_id: format!("{name}-0123456789abcdef"),
        name: (*name).to_owned(),
        state: "running".to_owned(),
        usage: Some(usage(*cpu, *memory)),
    };
    let total = HostStats {
        containers: u32::try_from(names.len()).unwrap(),
        usage: Some(usage(names.iter().map(|it| it.1).sum(), 1 << 30)),
        cpus: 4,
    };
    StatsFrame {
        containers: names.iter().map(container).collect(),
        total: Some(total),
        continues: false,
    }
}

/// Fifty hosts with three containers each, of which `web-07` is the busiest.
fn fleet() -> Model {
    let mut model = Model::default();
    let names: Vec<String> = (0..50).map(|number| format!("host-{number:02}")).collect();
    model.hear(News::Hosts(names.clone()));
    for (number, name) in names.iter().enumerate() {
        let (web, db, log) =
            (format!("web-{number:02}"), format!("db-{number:02}"), format!("log-{number:02}"));
        let cpu = if number == 7 { 250.0 } else { 10.0 };
        let containers = [
            (db.as_str(), 5.0, (number as u64 + 1) << 30),
            (log.as_str(), 1.0, 1 << 20),
            (web.as_str(), cpu, 1 << 21),
        ];
        model.hear(News::Frame(name.clone(), frame(&containers)));
    }
    model
}

fn screen(model: &Model, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model, false)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    assert!(buffer.content().iter().all(|cell| cell.fg == Color::Reset), "no colour");
    buffer
        .content()
        .chunks(usize::from(width))
        .map(|line| line.iter().map(ratatui::buffer::Cell::symbol).collect::<String>())
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn press(model: &mut Model, code: KeyCode) -> Option<Effect> {
    model.press(KeyEvent::new(code, KeyModifiers::NONE))
}

fn type_in(model: &mut Model, text: &str) {
    for character in text.chars() {
        assert_eq!(press(model, KeyCode::Char(character)), None);
    }
}

#[test]
fn fifty_hosts_fit_eighty_columns() {
    let model = fleet();
    let lines = screen(&model, 80, 24);
    assert!(lines[0].starts_with("wharf: 50 hosts, 150 containers, 0 open rollouts"), "{lines:#?}");
    assert!(lines[1].contains("Hosts (50)") && lines[2].starts_with("HOST"), "{lines:#?}");
    assert!(lines[3].starts_with("host-00") && lines[3].contains("up"), "{lines:#?}");
    let containers =
        lines.iter().position(|line| line.contains("Containers (150) by CPU")).unwrap();
    let busiest = &lines[containers + 2];
    assert!(busiest.starts_with("host-07") && busiest.contains("web-07"), "{lines:#?}");
    assert!(busiest.contains("250.00%") && busiest.contains("2MiB"), "{lines:#?}");
    assert!(busiest.ends_with("2.1kB / 0B"), "{lines:#?}");
    assert!(lines[23].contains("? help  q quit"), "{lines:#?}");
    // What does not fit is left out, and nothing panics.
    for (width, height) in [(200, 60), (40, 10), (10, 3), (1, 1)] {
        screen(&model, width, height);
    }
    assert!(screen(&model, 120, 40).iter().any(|line| line.contains("BLOCK I/O")));
}

#[test]
fn the_selected_container_stays_selected_and_keys_are_for_it() {
    let mut model = fleet();
    assert_eq!(model.selected().unwrap().name, "web-07");
    press(&mut model, KeyCode::Down);
    let selected = model.selected().unwrap();
    assert_eq!((selected.host.as_str(), selected.name.as_str()), ("host-00", "web-00"));
    // It becomes the last one.
    model.hear(News::Frame("host-00".to_owned(), frame(&[("web-00", 0.0, 1)])));
    assert_eq!(model.selected().unwrap(), selected);
    assert_eq!(press(&mut model, KeyCode::Char('l')), Some(Effect::Logs(selected.clone())));
    assert_eq!(press(&mut model, KeyCode::Char('e')), Some(Effect::Shell(selected.clone())));
    // It is gone: the one in its place is selected.
    model.hear(News::Frame("host-00".to_owned(), frame(&[])));
    assert_ne!(model.selected().unwrap().name, "web-00");
    press(&mut model, KeyCode::Char('g'));
    assert_eq!(model.selected().unwrap().name, "web-07");
    press(&mut model, KeyCode::End);
    press(&mut model, KeyCode::PageUp);
    press(&mut model, KeyCode::Home);
    assert_eq!(model.selected().unwrap().name, "web-07");
}

#[test]
fn a_container_is_stopped_only_after_a_yes() {
    let mut model = fleet();
    let place = model.selected().unwrap();
    press(&mut model, KeyCode::Char('s'));
    assert_eq!(model.mode, Mode::AskStop(place.clone()));
    assert!(screen(&model, 80, 24)[23].starts_with("Stop host-07/web-07? y"));
    // What was asked about is stopped, whatever is selected meanwhile.
    model.hear(News::Frame("host-01".to_owned(), frame(&[("busy", 400.0, 1)])));
    assert_eq!(press(&mut model, KeyCode::Enter), None);
    assert_eq!(model.mode, Mode::Normal);
    press(&mut model, KeyCode::Char('g'));
    press(&mut model, KeyCode::Char('s'));
    let busy =
        Place { host: "host-01".into(), id: "busy-0123456789abcdef".into(), name: "busy".into() };
    assert_eq!(press(&mut model, KeyCode::Char('y')), Some(Effect::Stop(busy)));
    model.hear(News::Note(Note { text: "host-01/busy is stopped".into(), is_error: false }));
    assert_eq!(screen(&model, 80, 24)[23], "host-01/busy is stopped");
}

#[test]
fn containers_are_filtered_and_sorted() {
    let mut model = fleet();
    press(&mut model, KeyCode::Char('/'));
    // Also letters that are commands otherwise.
    type_in(&mut model, "LOGsq");
    assert!(model.containers().is_empty());
    assert_eq!(model.selected(), None);
    for _ in 0..2 {
        press(&mut model, KeyCode::Backspace);
    }
    press(&mut model, KeyCode::Enter);
    assert_eq!(model.containers().len(), 50);
    assert!(screen(&model, 80, 24).iter().any(|line| line.contains("Containers (50 of 150)")));
    assert_eq!(press(&mut model, KeyCode::Char('s')), None);
    press(&mut model, KeyCode::Char('n'));
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.containers().len(), 150);

    press(&mut model, KeyCode::Char('o'));
    assert_eq!((model.sort, model.containers()[0].1.name.as_str()), (Sort::Memory, "db-49"));
    for _ in 0..2 {
        press(&mut model, KeyCode::Char('o'));
    }
    assert_eq!((model.sort, model.containers()[0].1.name.as_str()), (Sort::Name, "db-00"));

    // Only those of one host.
    press(&mut model, KeyCode::Tab);
    press(&mut model, KeyCode::Down);
    press(&mut model, KeyCode::Enter);
    assert!(model.containers().iter().all(|(host, _)| *host == "host-01"));
    press(&mut model, KeyCode::Enter);
    assert_eq!(model.containers().len(), 150);
}

#[test]
fn hosts_that_are_away_and_a_lost_server_are_seen() {
    let mut model = fleet();
    model.hear(News::Away("host-00".to_owned(), "connection\u{1b}[2J refused".to_owned()));
    model.hear(News::Failed("host-01".to_owned(), "not supported".to_owned()));
    press(&mut model, KeyCode::Tab);
    let lines = screen(&model, 80, 24);
    assert!(lines[0].contains("50 hosts, 2 away"), "{lines:#?}");
    assert!(lines[3].contains("away") && lines[4].contains("failed"), "{lines:#?}");
    assert_eq!(lines[23], "connection [2J refused");
    assert!(!model.containers().iter().any(|(host, _)| *host == "host-00"));
    model.hear(News::Back("host-00".to_owned()));
    assert_eq!(model.hosts["host-00"].state, HostState::Waiting);
    model.hear(News::Lost("wharfd does not run".to_owned()));
    assert!(screen(&model, 80, 24)[23].contains("trying again: wharfd does not run"));
    // The server is there again, and knows fewer hosts.
    model.hear(News::Hosts(vec!["host-00".to_owned()]));
    assert_eq!((model.hosts.len(), model.lost.as_ref()), (1, None));
}

#[test]
fn help_and_rollouts_are_shown() {
    let mut model = fleet();
    let rollout = Rollout {
        id: "1a2b3c4d-0000-0000-0000-000000000000".to_owned(),
        container: "web".to_owned(),
        image: "registry/app:v2".to_owned(),
        state: RolloutState::Running.into(),
        ..Rollout::default()
    };
    model.hear(News::Rollouts(vec![rollout]));
    let lines = screen(&model, 80, 24);
    assert!(lines[21].contains("Rollouts (1)"), "{lines:#?}");
    assert!(lines[22].starts_with("1a2b3c4d") && lines[22].contains("web"), "{lines:#?}");
    press(&mut model, KeyCode::Char('?'));
    let lines = screen(&model, 80, 24);
    assert!(lines.iter().any(|line| line.contains("follow the log")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("Any key closes this help")), "{lines:#?}");
    press(&mut model, KeyCode::Char('q'));
    assert_eq!(model.mode, Mode::Normal);
    assert_eq!(press(&mut model, KeyCode::Char('q')), Some(Effect::Quit));
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    press(&mut model, KeyCode::Char('/'));
    assert_eq!(model.press(interrupt), Some(Effect::Quit));
}
