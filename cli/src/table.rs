//! Tables in docker's look: no borders, upper-case titles, three spaces between columns. Pure.

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, Row, Table as Grid, presets,
};

use crate::printer::printable;

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Title, upper case.
    pub title: &'static str,
    /// Only with `-o wide`.
    pub wide: bool,
    /// May be cut short on a narrow terminal. Never what a person would copy, such as a name.
    pub shrinks: bool,
    /// Numbers, to the right.
    pub number: bool,
}

impl Column {
    /// A column that is always there in full.
    pub const fn new(title: &'static str) -> Self {
        Self { title, wide: false, shrinks: false, number: false }
    }

    /// Only with `-o wide`.
    #[must_use]
    pub const fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    /// May be cut short on a narrow terminal.
    #[must_use]
    pub const fn shrinks(mut self) -> Self {
        self.shrinks = true;
        self
    }

    /// Numbers, to the right.
    #[must_use]
    pub const fn number(mut self) -> Self {
        self.number = true;
        self
    }
}

/// The narrowest that a column is cut to.
const NARROWEST: usize = 8;

/// Space between two columns.
const GAP: u16 = 3;

/// Lays out `rows`, which have a cell for every column, wide or not. The title line comes first.
/// `width` is that of the terminal; `None` cuts nothing off.
pub fn render(
    columns: &[Column],
    rows: &[Vec<String>],
    wide: bool,
    width: Option<u16>,
) -> Vec<String> {
    let shown: Vec<usize> =
        (0..columns.len()).filter(|index| wide || !columns[*index].wide).collect();
    let mut grid = Grid::new();
    grid.load_style(presets::NOTHING).force_no_tty().set_truncation_indicator("…");
    grid.set_header(shown.iter().map(|index| columns[*index].title));
    let fits = width.is_none_or(|width| natural_width(columns, rows, &shown) <= usize::from(width));
    match width.filter(|_| !fits) {
        Some(width) => grid.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => grid.set_content_arrangement(ContentArrangement::Disabled),
    };
    let one_line =
        fits || fixed_width(columns, rows, &shown) <= usize::from(width.unwrap_or(u16::MAX));
    for cells in rows {
        let mut row =
            Row::from(shown.iter().map(|index| printable(&cells[*index])).collect::<Vec<_>>());
        if one_line {
            row.max_height(1);
        }
        grid.add_row(row);
    }
    let last = shown.len().saturating_sub(1);
    for (position, index) in shown.iter().enumerate() {
        let Some(column) = grid.column_mut(position) else { continue };
        column.set_padding((0, if position == last { 0 } else { GAP }));
        if columns[*index].number {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if !fits && one_line && !columns[*index].shrinks {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    grid.lines().map(|line| line.trim_end().to_owned()).collect()
}

fn natural_width(columns: &[Column], rows: &[Vec<String>], shown: &[usize]) -> usize {
    total(shown.iter().map(|index| content_width(columns, rows, *index)))
}

/// The least width in which only columns that shrink are cut short.
fn fixed_width(columns: &[Column], rows: &[Vec<String>], shown: &[usize]) -> usize {
    total(shown.iter().map(|index| {
        let width = content_width(columns, rows, *index);
        if columns[*index].shrinks { width.min(NARROWEST) } else { width }
    }))
}

fn total(widths: impl Iterator<Item = usize>) -> usize {
    widths.map(|width| width + usize::from(GAP)).sum::<usize>().saturating_sub(usize::from(GAP))
}

fn content_width(columns: &[Column], rows: &[Vec<String>], index: usize) -> usize {
    let cells = rows.iter().map(|row| row[index].chars().count());
    cells.chain([columns[index].title.len()]).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::new("HOST"),
        Column::new("COMMAND").shrinks(),
        Column::new("SIZE").number(),
        Column::new("LABELS").wide(),
    ];

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        vec![
            row(["web1", "a command that is rather long", "12B", "a=b"]),
            row(["web10", "sh", "1.2kB", ""]),
        ]
    }

    #[test]
    fn nothing_is_cut_off_in_a_pipe() {
        assert_eq!(
            render(&COLUMNS, &rows(), false, None),
            [
                "HOST    COMMAND                          SIZE",
                "web1    a command that is rather long     12B",
                "web10   sh                              1.2kB",
            ]
        );
        assert!(render(&COLUMNS, &rows(), true, None)[1].ends_with("a=b"));
    }

    #[test]
    fn a_narrow_terminal_cuts_the_long_column_only() {
        let lines = render(&COLUMNS, &rows(), false, Some(30));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 30), "{lines:?}");
        assert!(lines[1].starts_with("web1 ") && lines[1].contains('…'), "{lines:?}");
        assert!(lines[2].starts_with("web10") && lines[2].ends_with("1.2kB"), "{lines:?}");
    }

    #[test]
    fn a_very_narrow_terminal_wraps_instead_of_hiding() {
        let lines = render(&COLUMNS, &rows(), false, Some(16)).join("");
        for part in ["web1", "rather", "1.2kB"] {
            let squeezed: String = lines.chars().filter(|c| !c.is_whitespace()).collect();
            assert!(squeezed.contains(&part[..3]), "{part} in {lines}");
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let rows =
            vec![vec!["a\x1b[31m\nb".to_owned(), String::new(), String::new(), String::new()]];
        let text = render(&COLUMNS, &rows, false, None).join("\n");
        assert!(!text.contains('\x1b'), "{text:?}");
        assert_eq!(text.lines().count(), 2);
    }
}
