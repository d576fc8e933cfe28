//! Which volumes a prune removes where the Engine would remove more. Pure.

use super::{ApiVersion, Filters, VolumeSummary};

/// From this version of the Engine API on, a prune leaves named volumes unless told otherwise.
pub const PRUNE_KEEPS_NAMED: ApiVersion = ApiVersion::new(1, 42);

/// The label that newer Engines give to volumes without a name.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// The filters of a list that has all candidates: the Engine's listing does not know `label!`.
#[must_use]
pub fn candidates(filters: &Filters) -> Filters {
    let mut wanted = filters.clone();
    wanted.remove("label!");
    wanted.insert("dangling".to_owned(), vec!["true".to_owned()]);
    wanted
}

/// Whether a prune without `all` removes this unused volume.
#[must_use]
pub fn is_pruned(volume: &VolumeSummary, filters: &Filters) -> bool {
    let has = |wanted: &String| match wanted.split_once('=') {
        Some((key, value)) => volume.labels.get(key).is_some_and(|found| found == value),
        None => volume.labels.contains_key(wanted),
    };
    let of = |key: &str| filters.get(key).into_iter().flatten();
    // Engines leave what another driver, or an option of the driver, stands for.
    let plain = volume.driver == "local" && volume.options.is_empty();
    plain && is_anonymous(volume) && of("label").all(has) && !of("label!").any(has)
}

/// Whether nobody named it: the Engine generates 64 hexadecimal digits.
fn is_anonymous(volume: &VolumeSummary) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    volume.labels.contains_key(ANONYMOUS)
        || (volume.name.len() == 64 && volume.name.bytes().all(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: &str, labels: &[(&str, &str)]) -> VolumeSummary {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        VolumeSummary {
            name: name.to_owned(),
            driver: "local".to_owned(),
            labels: labels.collect(),
            ..Default::default()
        }
    }

    fn filters(entries: &[(&str, &str)]) -> Filters {
        let mut filters = Filters::new();
        for (key, value) in entries {
            filters.entry((*key).to_owned()).or_default().push((*value).to_owned());
        }
        filters
    }

    #[test]
    fn only_volumes_without_a_name_are_pruned() {
        let (hex, none) = ("0a".repeat(32), filters(&[]));
        assert!(is_pruned(&volume(&hex, &[]), &none));
        assert!(is_pruned(&volume("named", &[(ANONYMOUS, "")]), &none));
        for name in ["data", &hex[1..], &hex.to_uppercase(), &"g".repeat(64)] {
            assert!(!is_pruned(&volume(name, &[]), &none), "{name}");
        }
    }

    #[test]
    fn volumes_with_options_and_those_of_other_drivers_stay() {
        let plain = volume(&"0a".repeat(32), &[]);
        let with_option = [("type".to_owned(), "nfs".to_owned())].into();
        let with_option = VolumeSummary { options: with_option, ..plain.clone() };
        let of_driver = VolumeSummary { driver: "sshfs".to_owned(), ..plain.clone() };
        let none = filters(&[]);
        assert!(is_pruned(&plain, &none));
        assert!(!is_pruned(&with_option, &none) && !is_pruned(&of_driver, &none));
    }

    #[test]
    fn labels_choose_among_them() {
        let it = volume(&"0a".repeat(32), &[("env", "test"), ("keep", "")]);
        for (entries, pruned) in [
            (&[("label", "env")][..], true),
            (&[("label", "env=test")], true),
            (&[("label", "env=prod")], false),
            (&[("label", "env"), ("label", "other")], false),
            (&[("label!", "env=prod")], true),
            (&[("label!", "keep")], false),
        ] {
            assert_eq!(is_pruned(&it, &filters(entries)), pruned, "{entries:?}");
        }
        let listed = candidates(&filters(&[("label", "a"), ("label!", "b")]));
        assert_eq!(listed, filters(&[("label", "a"), ("dangling", "true")]));
    }
}
