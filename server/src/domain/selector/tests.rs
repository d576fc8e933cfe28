use proptest::prelude::*;

use super::*;

fn labels(text: &str) -> Labels {
    Labels::from_pairs(text.split_terminator(',').map(|pair| pair.split_once('=').unwrap()))
        .unwrap()
}

#[test]
fn matches_as_kubernetes_does() {
    for (selector, host, expected) in [
        ("env=prod", "env=prod,tier=web", true),
        ("env==prod", "env=prod", true),
        ("env=prod", "env=test", false),
        ("env=prod", "", false),
        ("env!=prod", "env=prod", false),
        ("env!=prod", "env=test", true),
        ("env!=prod", "", true),
        ("tier in (web, api)", "tier=api", true),
        ("tier in (web,api)", "tier=db", false),
        ("tier in (web,api)", "", false),
        ("tier notin (web,api)", "tier=db", true),
        ("tier notin (web,api)", "tier=web", false),
        ("tier notin (web,api)", "", true),
        ("canary", "canary=", true),
        ("canary", "", false),
        ("!canary", "", true),
        ("! canary", "canary=1", false),
        ("env=", "env=", true),
        ("env=", "env=prod", false),
        ("env in (,prod)", "env=", true),
        (" env = prod , tier in ( web ) , !canary ", "env=prod,tier=web", true),
        ("env=prod,tier in (web,api),!canary", "env=prod,tier=web,canary=1", false),
        ("in in (in)", "in=in", true),
        ("example.com/role=db", "example.com/role=db", true),
        ("a!=b,a", "a=c", true),
        ("a!=b,a", "", false),
    ] {
        let parsed = LabelSelector::parse(selector).unwrap();
        assert_eq!(parsed.matches(&labels(host)), expected, "{selector} on {host}");
    }
}

#[test]
fn errors_say_where_what_and_what_else() {
    for (selector, position, found, expected) in [
        ("", 0, "the end", "a label key"),
        ("   ", 3, "the end", "a label key"),
        (",", 0, "\",\"", "a label key"),
        ("env=prod,", 9, "the end", "a label key"),
        ("env=prod,,a", 9, "\",\"", "a label key"),
        ("=prod", 0, "\"=\"", "a label key"),
        ("env prod", 4, "\"prod\"", "=, ==, !="),
        ("env=prod tier=web", 9, "\"tier\"", "\",\""),
        ("env=a=b", 5, "\"=\"", "\",\""),
        ("env===b", 5, "\"=\"", "\",\""),
        ("env in", 6, "the end", "\"(\""),
        ("env in web", 7, "\"web\"", "\"(\""),
        ("env in ()", 8, "\")\"", "at least one value"),
        ("env in (a", 9, "the end", "\")\""),
        ("env in (a b)", 10, "\"b\"", "\")\""),
        ("env in (a)b", 10, "\"b\"", "\",\""),
        ("env not in (a)", 4, "\"not\"", "notin"),
        ("!env=a", 4, "\"=\"", "\",\""),
        ("!", 1, "the end", "a label key"),
        ("!!a", 1, "\"!\"", "a label key"),
        ("env>1", 0, "\"env>1\"", "a label key: "),
        ("env=-x", 4, "\"-x\"", "a label value: "),
        ("é=1", 0, "\"é\"", "a label key: "),
        ("a,é", 2, "\"é\"", "a label key: "),
    ] {
        let error = LabelSelector::parse(selector).unwrap_err();
        assert_eq!((error.position, error.found.as_str()), (position, found), "{selector}");
        assert!(error.expected.contains(expected), "{selector}: {error}");
        assert!(error.to_string().contains(&format!("at byte {position}")), "{error}");
    }
}

#[test]
fn display_is_canonical() {
    for (text, expected) in [
        ("env == prod", "env=prod"),
        ("a in (b)", "a=b"),
        ("a notin (c,b,b)", "a notin (b,c)"),
        ("! a, b", "!a,b"),
    ] {
        assert_eq!(LabelSelector::parse(text).unwrap().to_string(), expected);
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "\\PC*|[a-c=!,() in]{0,30}") {
        match LabelSelector::parse(&text) {
            Ok(selector) => {
                let shown = selector.to_string();
                prop_assert_eq!(LabelSelector::parse(&shown).unwrap(), selector);
            }
            Err(error) => {
                prop_assert!(error.position <= text.len());
                prop_assert!(text.is_char_boundary(error.position));
            }
        }
    }

    #[test]
    fn an_opposite_never_matches_with_its_positive(
        value in "[a-c]{0,2}", other in "[a-c]{0,2}", present in any::<bool>()
    ) {
        let host = if present { labels(&format!("k={value}")) } else { Labels::default() };
        let equal = LabelSelector::parse(&format!("k={other}")).unwrap().matches(&host);
        let unequal = LabelSelector::parse(&format!("k!={other}")).unwrap().matches(&host);
        prop_assert_ne!(equal, unequal);
    }
}

#[test]
fn a_selector_that_is_too_long_or_has_too_many_terms_is_refused() {
    let fitting = vec!["a"; MOST_TERMS].join(",");
    assert!(LabelSelector::parse(&fitting).is_ok());
    let error = LabelSelector::parse(&format!("{fitting},b")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "label selector: at byte 127: found another term, expected the end: a selector has at most 64 terms"
    );
    let long = format!("a in ({})", "b,".repeat(1_400_000));
    let error = LabelSelector::parse(&long).unwrap_err();
    assert!(error.expected.ends_with("at most 4096 bytes"), "{error}");
}
