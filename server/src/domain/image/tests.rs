use proptest::prelude::*;

use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn parse(text: &str) -> ImageReference {
    ImageReference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn registry_repository_tag_and_digest_are_found() {
    let digest = format!("sha256:{HEX}");
    for (text, registry, path, tag, has_digest, shown) in [
        ("nginx", "docker.io", "library/nginx", None, false, "nginx"),
        ("nginx:1.27", "docker.io", "library/nginx", Some("1.27"), false, "nginx:1.27"),
        ("docker.io/library/nginx", "docker.io", "library/nginx", None, false, "nginx"),
        ("index.docker.io/team/app", "docker.io", "team/app", None, false, "team/app"),
        ("host:5000/app", "host:5000", "app", None, false, "host:5000/app"),
        ("host:5000/app:v1", "host:5000", "app", Some("v1"), false, "host:5000/app:v1"),
        ("localhost/app", "localhost", "app", None, false, "localhost/app"),
        (
            "127.0.0.1:5051/a/b:x_Y.z-1",
            "127.0.0.1:5051",
            "a/b",
            Some("x_Y.z-1"),
            false,
            "127.0.0.1:5051/a/b:x_Y.z-1",
        ),
        ("host/app", "docker.io", "host/app", None, false, "host/app"),
        ("Host/app", "host", "app", None, false, "Host/app"),
        ("[::1]:5000/app", "[::1]:5000", "app", None, false, "[::1]:5000/app"),
        ("a__b/c---d.e", "docker.io", "a__b/c---d.e", None, false, "a__b/c---d.e"),
        (
            &format!("app@{digest}"),
            "docker.io",
            "library/app",
            None,
            true,
            &format!("app@{digest}"),
        ),
        (
            &format!("r.io/app:v1@{digest}"),
            "r.io",
            "app",
            Some("v1"),
            true,
            &format!("r.io/app:v1@{digest}"),
        ),
        // Left short, these would read back as another registry or as an ID.
        ("docker.io/foo.bar/baz", "docker.io", "foo.bar/baz", None, false, "docker.io/foo.bar/baz"),
        ("docker.io/localhost/x", "docker.io", "localhost/x", None, false, "docker.io/localhost/x"),
        (
            &format!("docker.io/library/{HEX}"),
            "docker.io",
            &format!("library/{HEX}"),
            None,
            false,
            &format!("docker.io/library/{HEX}"),
        ),
    ] {
        let reference = parse(text);
        assert_eq!(reference.registry().as_str(), registry, "{text}");
        assert_eq!(reference.path(), path, "{text}");
        assert_eq!(reference.tag(), tag, "{text}");
        assert_eq!(reference.digest().is_some(), has_digest, "{text}");
        assert_eq!(reference.to_string(), shown, "{text}");
    }
}

#[test]
fn what_docker_refuses_is_refused() {
    let long = format!("a/{}", "b".repeat(254));
    let long_tag = format!("a:{}", "b".repeat(129));
    for (text, expected) in [
        ("", "is empty"),
        (HEX, "is an image ID"),
        ("App", "lowercase"),
        ("host:5000/App", "lowercase"),
        ("app:", "not a tag"),
        ("app:-x", "not a tag"),
        ("app:a b", "not a tag"),
        ("app:v1:v2", "not a tag"),
        (&long_tag, "not a tag"),
        ("host:5000:x/app", "not a registry"),
        ("host:0/app", "not a registry"),
        ("-a.b/app", "not a registry"),
        ("a_b.c/app", "not a registry"),
        ("2852039166.1/app", "not a registry"),
        ("a..b", "not an image reference"),
        ("a___b", "not an image reference"),
        ("a/", "not an image reference"),
        ("a//b", "not an image reference"),
        ("../b", "not a registry"),
        ("a/../../b", "not an image reference"),
        (".", "not an image reference"),
        ("..", "not an image reference"),
        ("/a", "not an image reference"),
        ("x?force=1", "not an image reference"),
        ("%2e%2e", "not an image reference"),
        ("a\nb", "not an image reference"),
        ("é", "not an image reference"),
        (&long, "at most 255"),
        ("app@", "not a digest"),
        ("app@sha256:abc", "not a digest"),
        ("app@md5:0123456789abcdef0123456789abcdef", "not a digest"),
        (&format!("app@sha256:{}", HEX.to_uppercase()), "not a digest"),
        (&format!("app@sha256:{HEX}@sha256:{HEX}"), "not a digest"),
    ] {
        let message = ImageReference::parse(text).unwrap_err().to_string();
        assert!(message.contains(expected), "{text:?}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn a_pull_always_says_which_tag() {
    let digest = format!("sha256:{HEX}");
    for (text, from_image, tag) in [
        ("nginx", "nginx", "latest"),
        ("host:5000/app", "host:5000/app", "latest"),
        ("app:v1", "app", "v1"),
        (&format!("app@{digest}"), "app", &*digest),
        (&format!("app:v1@{digest}"), "app", &*digest),
    ] {
        let parameters = parse(text).engine_pull_params();
        assert_eq!((&*parameters.from_image, &*parameters.tag), (from_image, tag), "{text}");
    }
    assert_eq!(parse("app").with_default_tag().to_string(), "app:latest");
    assert_eq!(parse("app:v1").with_default_tag().to_string(), "app:v1");
    assert_eq!(parse(&format!("app:v1@{digest}")).with_tag("v2").unwrap().to_string(), "app:v2");
    assert!(parse("app").with_tag("a/b").is_err());
}

#[test]
fn names_may_be_ids() {
    for text in [HEX, &format!("sha256:{HEX}"), "sha256:abc"] {
        assert_eq!(ImageName::parse(text).unwrap(), ImageName::Id(text.to_owned()));
    }
    for text in ["deadbeef", "nginx:1", "sha256"] {
        let name = ImageName::parse(text).unwrap();
        assert_eq!(name.reference().unwrap().to_string(), text);
        assert_eq!(name.to_string(), text);
    }
    for text in ["", "..", "sha256:", "x?force=1", &format!("sha256:{HEX}0/..")] {
        assert!(ImageName::parse(text).is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn nothing_that_reroutes_a_request_survives(
        text in "\\PC*|[a-zA-Z0-9./:@?#%_\\n\\\\-]{0,40}"
    ) {
        if let Ok(name) = ImageName::parse(&text) {
            let shown = name.to_string();
            prop_assert!(shown.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@[]".contains(&b)), "{}", shown);
            prop_assert!(shown.split('/').all(|part| !part.is_empty() && part != "." && part != ".."), "{}", shown);
        }
    }

    #[test]
    fn display_reads_back(
        text in "((docker.io|localhost|a[.]b:[1-9]|H)/)?(library/|localhost/|x[.]y/)?[a-z0-9]{1,4}([._-]{1,2}[a-z]{1,2})?(:[A-Za-z0-9_.]{1,4})?(@sha256:[0-9a-f]{64})?"
    ) {
        if let Ok(reference) = ImageReference::parse(&text) {
            prop_assert_eq!(ImageReference::parse(&reference.to_string()).unwrap(), reference.clone());
            let pull = reference.engine_pull_params();
            prop_assert!(!pull.tag.is_empty());
            let pulled = ImageReference::parse(&pull.from_image).unwrap();
            prop_assert_eq!(pulled.path(), reference.path());
        }
    }
}

#[test]
fn a_repository_named_like_the_algorithm_of_ids_is_not_shortened_to_an_id() {
    let name = ImageName::parse("docker.io/library/sha256:a").unwrap();
    assert!(name.reference().is_some());
    assert_eq!(ImageName::parse(&name.to_string()), Ok(name));
}
