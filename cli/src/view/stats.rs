//! What containers use, in docker's columns. Pure.

use serde_json::Value;
use wharf::v1::{ContainerStats, HostStats, ResourceUsage};

use super::{short_id, units};
use crate::table::{self, Column, GAP};

/// All columns. On a narrow terminal, those at the end of [`DROPPED`] stay the longest.
pub const COLUMNS: [Column; 9] = [
    Column::new("HOST"),
    Column::new("CONTAINER ID").wide(),
    Column::new("NAME"),
    Column::new("CPU %").number(),
    Column::new("MEM USAGE / LIMIT").number(),
    Column::new("MEM %").number(),
    Column::new("NET I/O").number(),
    Column::new("BLOCK I/O").number(),
    Column::new("PIDS").number(),
];

/// The columns that a narrow terminal does without, in the order in which they go.
const DROPPED: [usize; 4] = [7, 6, 8, 5];

/// What docker's templates call the columns; `Container` is the name as well.
pub const FIELDS: [&str; 10] = [
    "Host",
    "ID",
    "Name",
    "CPUPerc",
    "MemUsage",
    "MemPerc",
    "NetIO",
    "BlockIO",
    "PIDs",
    "Container",
];

/// What stands for a value that was not measured.
const UNKNOWN: &str = "--";

/// The row of a container.
pub fn row(host: &str, container: &ContainerStats) -> Vec<String> {
    cells(host, &container.container_id, container.name.clone(), container.usage.as_ref())
}

/// The row of all containers of a host.
pub fn total_row(host: &str, total: &HostStats) -> Vec<String> {
    cells(host, "", format!("(total {})", total.containers), total.usage.as_ref())
}

/// The row of a host that is away.
pub fn away_row(host: &str) -> Vec<String> {
    cells(host, "", "(away)".to_owned(), None)
}

/// What a template sees of a row.
pub fn fields(row: &[String]) -> Value {
    let name = row.get(2).cloned();
    let names = FIELDS.iter().map(|name| (*name).to_owned());
    Value::Object(names.zip(row.iter().cloned().chain(name).map(Value::from)).collect())
}

/// The row of titles.
pub fn titles() -> Vec<String> {
    COLUMNS.iter().map(|column| column.title.to_owned()).collect()
}

/// The table of these rows. With a `width`, columns are left out so that a line fits, unless all
/// are requested with `wide`.
pub fn table(rows: &[Vec<String>], wide: bool, width: Option<u16>) -> Vec<String> {
    let mut shown: Vec<usize> = (0..COLUMNS.len()).collect();
    if let Some(width) = width.filter(|_| !wide) {
        shown.retain(|index| !COLUMNS[*index].wide);
        for dropped in DROPPED {
            if line_width(rows, &shown) <= usize::from(width) {
                break;
            }
            shown.retain(|index| *index != dropped);
        }
    }
    let columns: Vec<Column> = shown.iter().map(|index| COLUMNS[*index]).collect();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| shown.iter().map(|index| row[*index].clone()).collect()).collect();
    table::render(&columns, &rows, wide, width)
}

/// `12.35%`.
pub fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{value:.2}%"))
}

/// Part of the memory that is in use.
pub fn memory_percent(usage: &ResourceUsage) -> Option<f64> {
    let limit = usage.memory_limit_bytes;
    (limit > 0).then(|| usage.memory_bytes as f64 / limit as f64 * 100.0)
}

fn cells(host: &str, id: &str, name: String, usage: Option<&ResourceUsage>) -> Vec<String> {
    let pair = |values: fn(&ResourceUsage) -> [u64; 2], unit: fn(u64) -> String| {
        let [left, right] = match usage {
            Some(usage) => values(usage).map(unit),
            None => [UNKNOWN, UNKNOWN].map(str::to_owned),
        };
        format!("{left} / {right}")
    };
    let size = |bytes: u64| units::size(bytes as f64);
    vec![
        host.to_owned(),
        short_id(id),
        name,
        percent(usage.and_then(|usage| usage.cpu_percent)),
        pair(|it| [it.memory_bytes, it.memory_limit_bytes], units::memory),
        percent(usage.and_then(memory_percent)),
        pair(|it| [it.network_received_bytes, it.network_sent_bytes], size),
        pair(|it| [it.block_read_bytes, it.block_written_bytes], size),
        usage.map_or_else(|| UNKNOWN.to_owned(), |usage| usage.pids.to_string()),
    ]
}

fn line_width(rows: &[Vec<String>], shown: &[usize]) -> usize {
    let widths = shown.iter().map(|index| {
        let cells = rows.iter().map(|row| row[*index].chars().count());
        cells.chain([COLUMNS[*index].title.len()]).max().unwrap_or(0)
    });
    widths.sum::<usize>() + usize::from(GAP) * shown.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let usage = ResourceUsage {
            cpu_percent: Some(49.876),
            memory_bytes: 12_947_456,
            memory_limit_bytes: 8_200_000_000,
            network_received_bytes: 1234,
            network_sent_bytes: 0,
            block_read_bytes: 4_860_000,
            block_written_bytes: 999,
            pids: 7,
            sampled_at: None,
        };
        let web = ContainerStats {
            container_id: "0123456789abcdef".to_owned(),
            name: "web".to_owned(),
            state: "running".to_owned(),
            usage: Some(usage),
        };
        let new = ContainerStats { name: "new".to_owned(), usage: None, ..web.clone() };
        let total = HostStats { containers: 1, usage: Some(usage), cpus: 2 };
        vec![row("web1", &web), row("web1", &new), total_row("web1", &total), away_row("web2")]
    }

    #[test]
    fn the_columns_are_those_of_docker() {
        assert_eq!(
            table(&rows(), false, None),
            [
                "HOST   NAME         CPU %     MEM USAGE / LIMIT   MEM %       NET I/O       BLOCK I/O   PIDS",
                "web1   web         49.88%   12.35MiB / 7.637GiB   0.16%   1.23kB / 0B   4.86MB / 999B      7",
                "web1   new             --               -- / --      --       -- / --         -- / --     --",
                "web1   (total 1)   49.88%   12.35MiB / 7.637GiB   0.16%   1.23kB / 0B   4.86MB / 999B      7",
                "web2   (away)          --               -- / --      --       -- / --         -- / --     --",
            ]
        );
        assert!(table(&rows(), true, None)[1].starts_with("web1   0123456789ab   web"));
    }

    #[test]
    fn a_narrow_terminal_shows_the_columns_that_fit() {
        for width in [60, 70, 80, 90, 100] {
            let lines = table(&rows(), false, Some(width));
            let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(longest <= usize::from(width), "{width}: {lines:?}");
            assert!(lines[0].contains("CPU %") && lines[0].contains("MEM USAGE"), "{lines:?}");
        }
        assert!(table(&rows(), false, Some(80))[0].ends_with("PIDS"));
        assert!(table(&rows(), false, Some(93))[0].contains("BLOCK I/O"));
    }
}
