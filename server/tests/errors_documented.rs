//! Every reason of the server has a row in docs/errors.md with its gRPC code, and there is no row
//! for a removed reason.

use std::collections::BTreeMap;

use tonic::{Code, Status};
use tonic_types::StatusExt;
use wharf_server::api::problem::Problem;
use wharf_server::domain::Reason;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");

#[test]
fn code_and_document_name_the_same_reasons() {
    let document = std::fs::read_to_string(DOCUMENT).expect("docs/errors.md");
    let mut documented = BTreeMap::new();
    for section in document.split("\n## ") {
        let of_rollouts = section.starts_with("Rollout errors");
        for row in section.lines().filter(|line| line.starts_with("| `")) {
            let mut cells = row.split('|').map(str::trim).skip(1);
            let reason = cells.next().expect("a reason").trim_matches('`').to_owned();
            // That section says once what the code of all is.
            let code =
                if of_rollouts { "FAILED_PRECONDITION" } else { cells.next().expect("a code") };
            let before = documented.insert(reason.clone(), code.to_owned());
            assert_eq!(before, None, "{reason} is documented twice");
            let meaning = cells.next().expect("a meaning");
            assert!(!meaning.is_empty(), "{reason} has no meaning");
        }
    }
    // Its code is that of the hosts, where they share one.
    let some = documented.insert("ALL_HOSTS_FAILED".to_owned(), "ABORTED".to_owned());
    assert_eq!(some.as_deref(), Some("the code that all hosts share, or ABORTED"));
    let known: BTreeMap<_, _> =
        Reason::ALL.iter().map(|reason| (reason.to_string(), name(reason.code()))).collect();
    assert_eq!(known, documented);
}

#[test]
fn what_the_document_promises_to_go_away_has_a_time_on_the_wire() {
    let document = std::fs::read_to_string(DOCUMENT).expect("docs/errors.md");
    let rows: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
    for reason in Reason::ALL.iter().copied() {
        let row = rows.iter().find(|row| row.starts_with(&format!("| `{reason}` |")));
        // Where all hosts failed alike, the reason and the time are those of the hosts.
        let promised = row.expect("a row").contains("RetryInfo");
        let status = Status::from(Problem::new(reason, "why"));
        let delay = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
        assert_eq!(delay.is_some_and(|delay| !delay.is_zero()), promised, "{reason}");
    }
}

/// A code as the document writes it: `NOT_FOUND`.
fn name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}
