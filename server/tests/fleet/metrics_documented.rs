//! What a running server exports, what docs/metrics.md says of it, and what the dashboard and the
//! alerts in deploy/ ask for are the same.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

use crate::metrics::{Scrape, complete};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Labels that Prometheus adds, and the one of buckets.
const ADDED: [&str; 3] = ["instance", "job", "le"];

/// A row of docs/metrics.md.
#[derive(Debug)]
struct Row {
    kind: String,
    labels: BTreeSet<String>,
}

fn read(path: &str) -> String {
    let path = format!("{REPOSITORY}/{path}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn documented() -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for row in read("docs/metrics.md").lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, unit, meaning] = cells[..] else { panic!("five cells: {row}") };
        assert!(!unit.is_empty() && !meaning.is_empty(), "{row}");
        let quoted = labels.split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let labels = quoted.filter(|label| !label.is_empty()).collect();
        let name = name.trim_matches('`').to_owned();
        let before = rows.insert(name, Row { kind: kind.to_owned(), labels });
        assert!(before.is_none(), "{row} is there twice");
    }
    rows
}

/// The expressions of the dashboard, of its panels and of its variables.
fn dashboard() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    match value {
                        Value::String(text) if key == "expr" || key == "query" => {
                            found.push(text.clone());
                        }
                        _ => collect(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&serde_json::from_str(&read("deploy/grafana/wharf.json")).unwrap(), &mut found);
    found.retain(|text| text != "prometheus");
    found
}

/// The expressions of the alerts, and the labels that their texts show.
fn alerts() -> (Vec<String>, BTreeSet<String>) {
    let text = read("deploy/prometheus/wharf.rules.yml");
    let shown = Regex::new(r"\$labels\.([a-z_]+)").unwrap();
    let shown = shown.captures_iter(&text).map(|found| found[1].to_owned()).collect();
    let mut expressions: Vec<String> = Vec::new();
    let mut is_folded = false;
    for line in text.lines() {
        if let Some(expression) = line.trim_start().strip_prefix("expr: ") {
            is_folded = expression == ">-";
            expressions.push(if is_folded { String::new() } else { expression.to_owned() });
        } else if is_folded && line.starts_with("          ") {
            expressions.last_mut().unwrap().push_str(&format!("{} ", line.trim()));
        } else {
            is_folded = false;
        }
    }
    assert_eq!(expressions.len(), text.matches("- alert: ").count());
    (expressions, shown)
}

/// Every metric that an expression names is exported, with every label that it names.
fn check(expression: &str, scrape: &Scrape, labels: &BTreeMap<String, BTreeSet<String>>) -> usize {
    // In strings, anything may stand.
    let strings = Regex::new(r#""[^"]*""#).unwrap();
    let bare = strings.replace_all(expression, "\"\"");
    let all: BTreeSet<&str> = labels.values().flatten().map(String::as_str).chain(ADDED).collect();
    let selector =
        Regex::new(r"(?-u:\b)((?:wharf|rpc|process)_[a-z0-9_]+)(?:\{([^}]*)\})?").unwrap();
    let mut metrics = 0;
    for found in selector.captures_iter(&bare) {
        let name = &found[1];
        if all.contains(name) {
            continue;
        }
        metrics += 1;
        let exists = scrape.samples.iter().any(|sample| sample.name == name);
        assert!(exists, "no {name} is exported: {expression}");
        let known = &labels[scrape.metric_of(name)];
        for matcher in
            found.get(2).map_or("", |it| it.as_str()).split(',').filter(|it| !it.is_empty())
        {
            let label = matcher.trim().split(['=', '!']).next().unwrap();
            let is_known = known.contains(label) || ADDED.contains(&label);
            assert!(is_known, "{name} has no label {label}: {expression}");
        }
    }
    let groups = Regex::new(r"(?-u:\b)(?:by|on|without|ignoring|group_left) *\(([^)]*)\)").unwrap();
    for found in groups.captures_iter(&bare) {
        for label in found[1].split(',').map(str::trim) {
            assert!(all.contains(label), "no metric has the label {label}: {expression}");
        }
    }
    assert!(metrics > 0, "it names no metric: {expression}");
    metrics
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_documented_with_its_type_and_labels() {
    let watched = complete().await;
    let scrape = watched.scrape().await;
    let (labels, documented) = (scrape.labels(), documented());
    let exported: BTreeSet<&String> = scrape.types.keys().collect();
    assert_eq!(exported, documented.keys().collect(), "exported, and in docs/metrics.md");
    for (name, row) in &documented {
        // Prometheus text has no type for infos.
        let kind = if row.kind == "info" { "gauge" } else { &row.kind };
        assert_eq!(scrape.types[name], kind, "{name}");
        assert_eq!(row.kind == "info", name.ends_with("_info"), "{name}");
        assert_eq!(row.kind == "counter", name.ends_with("_total"), "{name}");
        let Some(labels) = labels.get(name) else { panic!("{name} has no sample here") };
        assert_eq!(*labels, row.labels, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboard_and_alerts_ask_for_what_is_exported() {
    let watched = complete().await;
    let scrape = watched.scrape().await;
    let labels = scrape.labels();
    let (alerts, shown) = alerts();
    let dashboard = dashboard();
    assert!(alerts.len() > 10 && dashboard.len() > 25, "{} {}", alerts.len(), dashboard.len());
    let asked: usize = alerts.iter().chain(&dashboard).map(|it| check(it, &scrape, &labels)).sum();
    assert!(asked > 50, "{asked}");
    for label in shown {
        assert!(labels.values().any(|of_one| of_one.contains(&label)), "{label} is shown");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expression_with_a_wrong_name_is_found() {
    let watched = complete().await;
    let scrape = watched.scrape().await;
    let labels = scrape.labels();
    let is_wrong = |expression: &str| {
        std::panic::catch_unwind(|| check(expression, &scrape, &labels)).is_err()
    };
    assert!(!is_wrong("sum by (host) (wharf_host_up{instance=\"a\"}) > 0"));
    for wrong in [
        "wharf_host_upp",
        "wharf_host_up{hots=\"a\"}",
        "sum by (hots) (wharf_host_up)",
        "rate(wharf_store_write_duration_seconds[1m])",
        "up",
    ] {
        assert!(is_wrong(wrong), "{wrong}");
    }
}
