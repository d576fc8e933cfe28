//! Tags in the order in which somebody looks for one: versions first, the newest at the beginning, and a release
//! before what led to it; then all others by name. Pure.

use std::cmp::{Ordering, Reverse};

/// Sorts tags.
pub(super) fn newest_first(tags: &mut [String]) {
    tags.sort_by(|a, b| match (version(a), version(b)) {
        (Some(a_version), Some(b_version)) => {
            compare(&b_version, &a_version).then_with(|| a.cmp(b))
        }
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => natural(a, b).then_with(|| a.cmp(b)),
    });
}

/// The numbers of `v1.27.3-alpine`, and what follows them; `None` for a tag that is no version, such as `latest`
/// or the start of a commit.
fn version(tag: &str) -> Option<(Vec<&str>, &str)> {
    let text = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
    let end =
        text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let numbers = numbers.strip_suffix('.').unwrap_or(numbers);
    let numbers: Vec<_> = numbers.split('.').collect();
    let complete = numbers.iter().all(|number| !number.is_empty());
    (complete && (rest.is_empty() || rest.starts_with(['-', '_']))).then_some((numbers, rest))
}

fn compare((a, a_rest): &(Vec<&str>, &str), (b, b_rest): &(Vec<&str>, &str)) -> Ordering {
    let numbers = |list: &[&str]| list.iter().map(|number| number_key(number)).collect::<Vec<_>>();
    // Nothing behind the numbers is the release itself.
    numbers(a)
        .cmp(&numbers(b))
        .then_with(|| a_rest.is_empty().cmp(&b_rest.is_empty()))
        .then_with(|| natural(a_rest, b_rest))
}

/// Compares by value, whatever the number of digits.
fn number_key(number: &str) -> (usize, String) {
    let significant = number.trim_start_matches('0');
    (significant.len(), significant.to_owned())
}

/// As people count: `rc9` before `rc10`.
fn natural(a: &str, b: &str) -> Ordering {
    parts(a).cmp(&parts(b))
}

/// Texts and numbers in turn; a number comes before a text.
fn parts(text: &str) -> Vec<(Reverse<bool>, usize, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|letter: char| letter.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        let (length, part) = if digits { number_key(part) } else { (0, part.to_owned()) };
        found.push((Reverse(digits), length, part));
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::newest_first;

    #[test]
    fn the_newest_version_comes_first() {
        let sorted = [
            "2024.11.3",
            "v10.0.0",
            "v9.12.1",
            "1.27.10",
            "1.27.9",
            "1.27.9-alpine3.20",
            "1.27.9-alpine3.9",
            "1.27",
            "1.0.0",
            "1.0.0-rc10",
            "1.0.0-rc9",
            "1.0.0-beta",
            "1",
            "3f2a9c5",
            "edge",
            "latest",
            "sha-9",
            "sha-10",
        ];
        let mut tags: Vec<String> = sorted.iter().rev().map(ToString::to_string).collect();
        newest_first(&mut tags);
        assert_eq!(tags, sorted);
    }

    #[test]
    fn numbers_of_any_length_are_numbers() {
        let long = "9".repeat(100);
        let mut tags =
            vec!["2".to_owned(), long.clone(), "010".to_owned(), "1..2".to_owned(), ".".to_owned()];
        newest_first(&mut tags);
        assert_eq!(tags, [long.as_str(), "010", "2", "1..2", "."]);
    }
}
