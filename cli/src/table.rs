//! Tables in docker's look: no borders, upper-case titles, three spaces between columns. Pure.

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};

use crate::printer::printable;

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Title, upper case.
    pub title: &'static str,
    /// Only with `-o wide`.
    pub wide: bool,
    /// May be truncated on a narrow terminal. Never for what people copy, such as a name.
    pub shrinks: bool,
    /// Numbers, aligned right.
    pub number: bool,
}

impl Column {
    /// A column that is always shown in full.
    pub const fn new(title: &'static str) -> Self {
        Self { title, wide: false, shrinks: false, number: false }
    }

    /// Only with `-o wide`.
    #[must_use]
    pub const fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    /// May be truncated on a narrow terminal.
    #[must_use]
    pub const fn shrinks(mut self) -> Self {
        self.shrinks = true;
        self
    }

    /// Numbers, aligned right.
    #[must_use]
    pub const fn number(mut self) -> Self {
        self.number = true;
        self
    }
}

/// The minimum width of a truncated column.
const NARROWEST: usize = 8;

/// Space between two columns, in characters.
pub const GAP: u16 = 3;

/// Formats `rows`, which have a cell for every column, wide or not. The title line comes first.
/// `width` is the width of the terminal; `None` truncates nothing. If a line doesn't fit even with
/// truncated columns, the terminal wraps it.
pub fn render(
    columns: &[Column],
    rows: &[Vec<String>],
    wide: bool,
    width: Option<u16>,
) -> Vec<String> {
    let shown: Vec<usize> =
        (0..columns.len()).filter(|index| wide || !columns[*index].wide).collect();
    let widest = width.map(|width| widest_that_shrinks(columns, rows, &shown, usize::from(width)));
    let mut grid = Grid::new();
    grid.load_style(presets::NOTHING)
        .force_no_tty()
        .set_content_arrangement(ContentArrangement::Disabled);
    grid.set_header(shown.iter().map(|index| columns[*index].title));
    for cells in rows {
        grid.add_row(shown.iter().map(|index| {
            let cell = &cells[*index];
            match widest.filter(|_| columns[*index].shrinks) {
                Some(widest) => printable(&cut(cell, widest)),
                None => printable(cell),
            }
        }));
    }
    let last = shown.len().saturating_sub(1);
    for (position, index) in shown.iter().enumerate() {
        let Some(column) = grid.column_mut(position) else { continue };
        column.set_padding((0, if position == last { 0 } else { GAP }));
        if columns[*index].number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    grid.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// The width for truncated columns, so that a line fits `width` or comes as close as possible.
fn widest_that_shrinks(
    columns: &[Column],
    rows: &[Vec<String>],
    shown: &[usize],
    width: usize,
) -> usize {
    let (shrinking, fixed): (Vec<usize>, Vec<usize>) =
        shown.iter().partition(|index| columns[**index].shrinks);
    let natural = |indices: &[usize]| -> Vec<usize> {
        indices.iter().map(|index| content_width(columns, rows, *index)).collect()
    };
    let gaps = usize::from(GAP) * shown.len().saturating_sub(1);
    let left = width.saturating_sub(natural(&fixed).iter().sum::<usize>() + gaps);
    let shrinking = natural(&shrinking);
    let fits =
        |widest: &usize| shrinking.iter().map(|natural| natural.min(widest)).sum::<usize>() <= left;
    (NARROWEST..=left).rev().find(fits).unwrap_or(NARROWEST)
}

fn content_width(columns: &[Column], rows: &[Vec<String>], index: usize) -> usize {
    let cells = rows.iter().map(|row| row[index].chars().count());
    cells.chain([columns[index].title.len()]).max().unwrap_or(0)
}

fn cut(text: &str, widest: usize) -> String {
    if text.chars().count() <= widest {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(widest.saturating_sub(1)).collect();
    cut.push('…');
    cut
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
    fn a_very_narrow_terminal_breaks_lines_itself() {
        for width in [1, 16, 20] {
            assert_eq!(
                render(&COLUMNS, &rows(), false, Some(width)),
                [
                    "HOST    COMMAND     SIZE",
                    "web1    a comma…     12B",
                    "web10   sh         1.2kB",
                ],
                "{width}"
            );
        }
    }

    #[test]
    fn what_is_left_is_shared_by_the_columns_that_shrink() {
        let columns =
            [Column::new("HOST"), Column::new("STATUS").shrinks(), Column::new("LABELS").shrinks()];
        let row = ["web1".to_owned(), "reachable".to_owned(), "a=b,".repeat(100_000)];
        let lines = render(&columns, &[row.to_vec()], false, Some(40));
        assert_eq!(
            lines,
            ["HOST   STATUS      LABELS", "web1   reachable   a=b,a=b,a=b,a=b,a=b,…",]
        );
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
