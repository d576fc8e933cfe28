//! The screen of a model. Pure.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Clear, Paragraph, Row, Table, TableState};
use wharf::v1::ResourceUsage;

use super::model::{Focus, Host, HostState, Mode, Model};
use crate::printer::printable;
use crate::view::stats::{memory_percent, percent};
use crate::view::units;
use crate::view::{rollouts, short_id};

/// From this width on, all columns are shown.
const WIDE: u16 = 110;
/// Rollouts that are shown at most.
const MOST_ROLLOUTS: usize = 4;

const HELP: [&str; 17] = [
    "Tab          switch between hosts and containers",
    "↑ ↓ k j      move; PgUp PgDn Home End g G move further",
    "Enter        on a host: show only its containers, or all again",
    "/            filter containers by host and name; Enter keeps the filter,",
    "             Esc removes it",
    "o            change the order: CPU, memory, network, name",
    "",
    "l            follow the log of the selected container; Ctrl-C returns",
    "e            open a shell in the selected container; exit returns",
    "s            stop the selected container, after a question",
    "",
    "q Ctrl-C     quit",
    "",
    "CPU % is of one processor. MEM is without the cache that can be freed.",
    "NET is received / sent since the container started.",
    "",
    "Any key closes this help.",
];

/// Styles; without colours only what a terminal without them can do.
#[derive(Debug, Clone, Copy)]
struct Styles {
    has_colour: bool,
}

impl Styles {
    fn of(self, colour: Color) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new() }
    }

    fn selected(self, is_focused: bool) -> Style {
        let modifier = if is_focused { Modifier::REVERSED } else { Modifier::UNDERLINED };
        Style::new().add_modifier(modifier)
    }

    fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }
}

/// Draws the whole screen.
pub fn draw(frame: &mut Frame, model: &Model, has_colour: bool) {
    let styles = Styles { has_colour };
    let area = frame.area();
    let most_hosts = (area.height.saturating_sub(8) / 3).max(2);
    let hosts = u16::try_from(model.hosts.len()).unwrap_or(u16::MAX).clamp(1, most_hosts) + 2;
    let shown_rollouts = model.rollouts.len().min(MOST_ROLLOUTS);
    let rollouts = match u16::try_from(shown_rollouts) {
        Ok(0) | Err(_) => 0,
        Ok(count) => count + 1,
    };
    let parts = [
        Constraint::Length(1),
        Constraint::Length(hosts),
        Constraint::Min(3),
        Constraint::Length(rollouts),
        Constraint::Length(1),
    ];
    let [top, hosts, containers, rollouts, bottom] = Layout::vertical(parts).areas(area);
    frame.render_widget(Paragraph::new(headline(model)).style(styles.title()), top);
    draw_hosts(frame, hosts, model, styles);
    draw_containers(frame, containers, model, styles);
    if shown_rollouts > 0 {
        draw_rollouts(frame, rollouts, model);
    }
    draw_bottom(frame, bottom, model, styles);
    if model.mode == Mode::Help {
        draw_help(frame, area);
    }
}

fn headline(model: &Model) -> String {
    let count = |state: fn(&HostState) -> bool| {
        model.hosts.values().filter(|host| state(&host.state)).count()
    };
    let mut text = format!("wharf: {} hosts", model.hosts.len());
    let away = count(|state| matches!(state, HostState::Away(_) | HostState::Failed(_)));
    if away > 0 {
        text.push_str(&format!(", {away} away"));
    }
    let waiting = count(|state| *state == HostState::Waiting);
    if waiting > 0 {
        text.push_str(&format!(", {waiting} not measured yet"));
    }
    let containers: usize = model.hosts.values().map(|host| host.containers.len()).sum();
    let open = model.rollouts.len();
    text.push_str(&format!(", {containers} containers, {open} open rollouts"));
    text
}

fn draw_hosts(frame: &mut Frame, area: Rect, model: &Model, styles: Styles) {
    let titles = ["HOST", "STATE", "RUN", "CPU %", "CPUS", "MEM / ALL", "MEM %", "NET I/O"];
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(7),
        Constraint::Length(4),
        Constraint::Length(8),
        Constraint::Length(4),
        Constraint::Length(19),
        Constraint::Length(7),
        Constraint::Length(15),
    ];
    let rows = model.hosts.iter().map(|(name, host)| host_row(name, host, styles));
    let title = match &model.only_host {
        Some(only) => format!(" Hosts ({}; containers of {only} only) ", model.hosts.len()),
        None => format!(" Hosts ({}) ", model.hosts.len()),
    };
    let selected = model.host_cursor.index(&model.host_keys());
    let is_focused = model.focus == Focus::Hosts;
    let table = Table::new(rows, widths).header(header(&titles, styles));
    draw_table(frame, area, table, &title, selected, is_focused, styles);
}

fn host_row<'a>(name: &'a str, host: &'a Host, styles: Styles) -> Row<'a> {
    let (state, style) = match &host.state {
        HostState::Waiting => ("…", styles.of(Color::DarkGray)),
        HostState::Up => ("up", styles.of(Color::Green)),
        HostState::Away(_) => ("away", styles.of(Color::Red)),
        HostState::Failed(_) => ("failed", styles.of(Color::Red)),
    };
    let mut cells = vec![Cell::new(name), Cell::new(state).style(style)];
    if let (HostState::Up, Some(usage)) = (&host.state, &host.total.usage) {
        let texts = [
            host.total.containers.to_string(),
            percent(usage.cpu_percent),
            host.total.cpus.to_string(),
            memory(usage),
            percent(memory_percent(usage)),
            network(usage),
        ];
        cells.extend(texts.map(right));
    }
    Row::new(cells)
}

fn draw_containers(frame: &mut Frame, area: Rect, model: &Model, styles: Styles) {
    let is_wide = area.width >= WIDE;
    let shown = model.containers();
    let all: usize = model.hosts.values().map(|host| host.containers.len()).sum();
    let mut titles = vec!["HOST", "NAME", "CPU %", "MEM", "MEM %", "NET I/O"];
    let mut widths = vec![
        Constraint::Fill(2),
        Constraint::Fill(3),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Length(7),
        Constraint::Length(15),
    ];
    if is_wide {
        titles.extend(["BLOCK I/O", "PIDS", "ID"]);
        widths.extend([15, 5, 12].map(Constraint::Length));
    }
    let rows = shown.iter().map(|(host, container)| {
        let mut cells = vec![Cell::new(*host), Cell::new(printable(&container.name))];
        let Some(usage) = &container.usage else {
            cells.push(right(container.state.clone()));
            return Row::new(cells).style(styles.of(Color::DarkGray));
        };
        cells.extend([
            right(percent(usage.cpu_percent)),
            right(units::memory(usage.memory_bytes)),
            right(percent(memory_percent(usage))),
            right(network(usage)),
        ]);
        if is_wide {
            let size = |bytes: u64| units::size(bytes as f64);
            cells.extend([
                right(format!(
                    "{} / {}",
                    size(usage.block_read_bytes),
                    size(usage.block_written_bytes)
                )),
                right(usage.pids.to_string()),
                Cell::new(short_id(&container.container_id)),
            ]);
        }
        Row::new(cells)
    });
    let count = match shown.len() {
        count if count == all => count.to_string(),
        count => format!("{count} of {all}"),
    };
    let title = format!(" Containers ({count}) by {} ", model.sort.name());
    let selected = model.container_cursor.index(&model.container_keys());
    let is_focused = model.focus == Focus::Containers;
    let table = Table::new(rows, widths).header(header(&titles, styles));
    draw_table(frame, area, table, &title, selected, is_focused, styles);
}

fn draw_table(
    frame: &mut Frame,
    area: Rect,
    table: Table,
    title: &str,
    selected: Option<usize>,
    is_focused: bool,
    styles: Styles,
) {
    let block = Block::new().borders(Borders::TOP).title(title);
    let block = if is_focused { block.title_style(styles.title()) } else { block };
    let table = table.block(block).row_highlight_style(styles.selected(is_focused));
    let mut state = TableState::default().with_selected(selected);
    frame.render_stateful_widget(table, area, &mut state);
}

fn draw_rollouts(frame: &mut Frame, area: Rect, model: &Model) {
    let lines = model.rollouts.iter().take(MOST_ROLLOUTS).map(|rollout| {
        let (id, line) = (rollouts::short(&rollout.id), rollouts::headline(rollout));
        Line::raw(printable(&format!("{id}  {line}")))
    });
    let title = format!(" Rollouts ({}) ", model.rollouts.len());
    let block = Block::new().borders(Borders::TOP).title(title);
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

fn draw_bottom(frame: &mut Frame, area: Rect, model: &Model, styles: Styles) {
    let (text, style) = match &model.mode {
        Mode::AskStop(place) => {
            let question =
                format!("Stop {}/{}? y: stop it; any other key: no", place.host, place.name);
            (question, styles.of(Color::Yellow).add_modifier(Modifier::BOLD))
        }
        Mode::Filter => {
            (format!("filter: {}█   Enter: keep   Esc: remove", model.filter), styles.title())
        }
        Mode::Normal | Mode::Help => message(model, styles),
    };
    frame.render_widget(Paragraph::new(printable(&text)).style(style), area);
}

fn message(model: &Model, styles: Styles) -> (String, Style) {
    if let Some(why) = &model.lost {
        return (format!("no connection to wharfd, trying again: {why}"), styles.of(Color::Red));
    }
    if let Some(note) = &model.note {
        let style = if note.is_error { styles.of(Color::Red) } else { Style::new() };
        return (note.text.clone(), style);
    }
    let selected = model.selected_host().filter(|_| model.focus == Focus::Hosts);
    if let Some(host) = selected.and_then(|name| model.hosts.get(&name))
        && let HostState::Away(why) | HostState::Failed(why) = &host.state
    {
        return (why.clone(), styles.of(Color::Red));
    }
    let keys = "Tab ↑↓ move  / filter  o order  l logs  e shell  s stop  ? help  q quit";
    let text = match model.filter.as_str() {
        "" => keys.to_owned(),
        filter => format!("filter: {filter} (Esc removes it)  {keys}"),
    };
    (text, styles.of(Color::DarkGray))
}

fn draw_help(frame: &mut Frame, area: Rect) {
    let height = u16::try_from(HELP.len()).unwrap_or(u16::MAX).saturating_add(2);
    let width = 78.min(area.width);
    let height = height.min(area.height);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let block = Block::bordered().title(" Keys ");
    frame.render_widget(Clear, place);
    let lines: Vec<Line> = HELP.iter().map(|line| Line::raw(*line)).collect();
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

fn header<'a>(titles: &[&'a str], styles: Styles) -> Row<'a> {
    // Names stand left, numbers right.
    let cell = |title: &&'a str| match *title {
        "HOST" | "NAME" | "STATE" | "ID" => Cell::new(*title),
        number => right(number.to_owned()),
    };
    Row::new(titles.iter().map(cell).collect::<Vec<_>>()).style(styles.title())
}

fn right<'a>(text: String) -> Cell<'a> {
    Cell::new(Line::raw(text).right_aligned())
}

fn memory(usage: &ResourceUsage) -> String {
    let [used, all] = [usage.memory_bytes, usage.memory_limit_bytes].map(units::memory);
    format!("{used} / {all}")
}

fn network(usage: &ResourceUsage) -> String {
    let bytes = [usage.network_received_bytes, usage.network_sent_bytes];
    let [received, sent] = bytes.map(|bytes| units::size(bytes as f64));
    format!("{received} / {sent}")
}
