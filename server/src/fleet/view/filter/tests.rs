use super::super::state::Content;
use super::super::status::StatusText;
use super::*;

/// Labels as `key=value` lines.
struct Lines;

impl Form for Lines {
    fn write(
        &self,
        _: &crate::engine::ContainerSummary,
    ) -> Result<bytes::Bytes, crate::engine::EngineError> {
        Ok(bytes::Bytes::new())
    }

    fn labels(&self, form: &[u8]) -> std::collections::BTreeMap<String, String> {
        let text = String::from_utf8(form.to_vec()).unwrap();
        let label = |line: &str| line.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        text.lines().filter_map(label).collect()
    }
}

fn content() -> Content {
    let entry = |id: &str, names: &[&str], state: &str, labels: &str| {
        Arc::new(Entry {
            id: id.repeat(32).into(),
            names: names.iter().map(|name| (*name).into()).collect(),
            state: state.into(),
            created: 0,
            status: StatusText::read("", 0),
            form: labels.to_owned().into(),
            revision: 0,
        })
    };
    let entries = vec![
        entry("a1", &["web-1", "db/alias"], "running", "app=web\nempty="),
        entry("a2", &["web-2"], "exited", "app=web\nenv=prod"),
        entry("b1", &["db"], "paused", "app=db"),
        entry("c1", &["cache"], "created", ""),
    ];
    Content { entries, ..Content::default() }
}

fn listing(all: bool, filters: &[(&str, &[&str])]) -> ContainerListing {
    let filters = filters.iter().map(|(key, values)| {
        ((*key).to_owned(), values.iter().map(|value| (*value).to_owned()).collect())
    });
    ContainerListing { all, filters: filters.collect(), ..ContainerListing::default() }
}

fn chosen(all: bool, filters: &[(&str, &[&str])]) -> Vec<String> {
    let query = Query::of(&listing(all, filters)).expect("it can be answered");
    let content = content();
    query.choose(&content, &Lines).map(|entry| entry.names[0].to_string()).collect()
}

#[test]
fn containers_are_chosen_as_the_engine_does() {
    assert_eq!(chosen(false, &[]), ["web-1", "db"]);
    assert_eq!(chosen(true, &[]), ["web-1", "web-2", "db", "cache"]);
    // A state is asked for whether it runs or not.
    assert_eq!(chosen(false, &[("status", &["exited", "created"])]), ["web-2", "cache"]);
    assert_eq!(chosen(true, &[("status", &["running"])]), ["web-1"]);
    assert_eq!(chosen(true, &[("name", &["web"])]), ["web-1", "web-2"]);
    assert_eq!(chosen(true, &[("name", &["^web-1$", "^/db"])]), ["web-1", "db"]);
    assert_eq!(chosen(true, &[("name", &["alias"])]), Vec::<String>::new());
    assert_eq!(chosen(true, &[("label", &["app"])]), ["web-1", "web-2", "db"]);
    assert_eq!(chosen(true, &[("label", &["app=web", "env"])]), ["web-2"]);
    assert_eq!(chosen(true, &[("label", &["empty="])]), ["web-1"]);
    assert_eq!(chosen(true, &[("id", &["a1"])]), ["web-1"]);
    assert_eq!(chosen(true, &[("id", &["a"])]), Vec::<String>::new(), "ambiguous");
    assert_eq!(chosen(true, &[("id", &["a", "b"])]), ["db"]);
    assert_eq!(chosen(false, &[("label", &["app=web"]), ("name", &["2"])]), Vec::<String>::new());
}

#[test]
fn what_cannot_be_decided_exactly_is_left_to_the_engine() {
    let refused: [(&str, &str); 17] = [
        ("ancestor", "app"),
        ("before", "web"),
        ("health", "healthy"),
        ("publish", "80"),
        ("exited", "0"),
        ("network", "n"),
        ("volume", "v"),
        ("status", "sleeping"),
        ("id", "web-1"),
        ("id", ""),
        ("name", "["),
        ("name", "a**"),
        ("name", "(?i)web"),
        ("name", "\\bweb"),
        ("name", "a{2}"),
        ("name", "(web"),
        ("name", "wéb"),
    ];
    for (key, value) in refused {
        assert!(Query::of(&listing(true, &[(key, &[value])])).is_none(), "{key}={value}");
    }
    for listing in [
        ContainerListing { size: true, ..ContainerListing::default() },
        ContainerListing { keep_json: true, ..ContainerListing::default() },
        ContainerListing { limit: 3, ..ContainerListing::default() },
    ] {
        assert!(Query::of(&listing).is_none(), "{listing:?}");
    }
    let query = |all, filters| Query::of(&listing(all, filters)).unwrap();
    assert!(query(true, &[]).is_for_podman());
    assert!(!query(false, &[]).is_for_podman());
    assert!(!query(true, &[("name", &["web"])]).is_for_podman());
}
