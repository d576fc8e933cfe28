//! URLs of Engine calls. Pure.
//!
//! Names are already validated here; path segments are encoded anyway, and a segment that a URL
//! parser would drop (`push` drops `..`, and the request then reaches another endpoint) is refused.

use url::Url;

use crate::engine::ApiVersion;

/// A segment that is not allowed in a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{segment:?} cannot stand in the path of a request")]
pub(super) struct UnsafeSegment {
    segment: String,
}

/// `base` followed by `v1.xx`, if a version is given, and the segments, each encoded.
pub(super) fn url(
    base: &Url,
    version: Option<ApiVersion>,
    segments: &[&str],
    query: &[(&'static str, String)],
) -> Result<Url, UnsafeSegment> {
    let mut url = base.clone();
    {
        let mut path = url.path_segments_mut().expect("an http URL has a path");
        path.clear();
        if let Some(version) = version {
            path.push(&format!("v{version}"));
        }
        for segment in segments {
            if is_swallowed(segment) {
                return Err(UnsafeSegment { segment: (*segment).to_owned() });
            }
            path.push(segment);
        }
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// Whether a URL parser treats the segment as "here" or "one up", or omits it.
fn is_swallowed(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    // The parser removes tabs and line ends before it checks for dots.
    let plain: String = plain.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    matches!(plain.as_str(), "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base() -> Url {
        Url::parse("http://10.0.0.5:2375/").unwrap()
    }

    fn path(name: &str) -> Result<String, UnsafeSegment> {
        let version = Some(ApiVersion::new(1, 41));
        url(&base(), version, &["containers", name, "stop"], &[])
            .map(|url| url[url::Position::BeforePath..].to_owned())
    }

    #[test]
    fn nasty_names_stay_in_their_segment() {
        for (name, expected) in [
            ("web", "web"),
            ("prune?x=", "prune%3Fx="),
            ("a/../../b", "a%2F..%2F..%2Fb"),
            ("x#y", "x%23y"),
            ("a%2fb", "a%252fb"),
            ("a b", "a%20b"),
            ("a\\b", "a%5Cb"),
            ("é", "%C3%A9"),
            ("r.io:5000@x", "r.io:5000@x"),
        ] {
            assert_eq!(path(name).unwrap(), format!("/v1.41/containers/{expected}/stop"));
        }
        for name in ["", ".", "..", "%2e%2e", ".%2E", "\n..", "\t"] {
            assert!(path(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn every_value_of_a_query_is_encoded() {
        let query = [("filters", r#"{"label":["a=b&c"]}"#.to_owned()), ("t", "a b+c#".to_owned())];
        let url = url(&base(), None, &["_ping"], &query).unwrap();
        assert_eq!(url.path(), "/_ping");
        assert_eq!(
            url.query().unwrap(),
            "filters=%7B%22label%22%3A%5B%22a%3Db%26c%22%5D%7D&t=a+b%2Bc%23"
        );
        assert_eq!(url.fragment(), None);
    }

    proptest! {
        #[test]
        fn no_name_changes_the_shape_of_a_path(name in "\\PC*|[a-z/.?#%\\n\\r\\t\\\\2eE]{0,8}") {
            if let Ok(path) = path(&name) {
                let segments: Vec<&str> = path.split('/').collect();
                prop_assert_eq!(segments.len(), 5);
                prop_assert_eq!((segments[1], segments[2], segments[4]), ("v1.41", "containers", "stop"));
                prop_assert!(!path.contains(['?', '#']));
                let again = Url::parse(&format!("http://h{path}")).unwrap();
                prop_assert_eq!(again.path(), path);
            }
        }
    }
}
