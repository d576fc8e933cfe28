use super::super::compare::{Kind, Named};
use super::super::fleet::tests::{APP, Host, digest, fleet, pulled};
use super::*;

/// Each image as `DIGEST: HOST/CONTAINER …`; digests in short.
fn images(fleet: &FleetImages) -> Vec<String> {
    let events = events(fleet, None).into_iter();
    let images = events.filter_map(|event| match event {
        Event::Image(image) => Some(image),
        _ => None,
    });
    let text = |image: v1::UsedImage| {
        let users = image.users.iter().map(|it| format!(" {}/{}", it.host, it.container));
        format!("{}:{}", short(&image.digest), users.collect::<String>())
    };
    images.map(text).collect()
}

/// Each difference as `SUBJECT: IMAGE HOSTS, …`, the majority with a star.
fn differences(fleet: &FleetImages) -> Vec<String> {
    let text = |it: v1::ImageDifference| {
        let subject = match it.subject.unwrap() {
            Subject::Container(text) | Subject::Reference(text) => text,
        };
        let variants = it.variants.iter().map(|variant| {
            let star = if variant.image == it.majority { "*" } else { "" };
            format!("{}{star} {}", short(&variant.image), variant.hosts.join("+"))
        });
        format!("{subject}: {}", variants.collect::<Vec<_>>().join(", "))
    };
    super::differences(fleet).into_iter().map(text).collect()
}

/// The name whose [`digest`] it is.
fn short(text: &str) -> String {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    let byte = digits.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    byte.map(|byte| char::from(byte).to_string()).unwrap_or_default()
}

#[test]
fn one_digest_is_one_image_also_where_ids_and_digests_differ() {
    // b runs on another platform; c got the manifest of its platform, and not the index.
    let hosts = [
        pulled("a", "x", "r.test/app@1"),
        pulled("b", "y", "r.test/app@1"),
        pulled("c", "x", "r.test/app@2"),
    ];
    let fleet = fleet(&hosts);
    assert_eq!(images(&fleet), ["1: a/web b/web c/web"]);
    assert_eq!(differences(&fleet), Vec::<String>::new());
    let Some(Event::Image(image)) = events(&fleet, None).into_iter().next() else {
        panic!("{fleet:?}")
    };
    assert_eq!(image.image_ids, [digest("x"), digest("y")]);
    assert_eq!(image.repo_digests.len(), 2);
    assert_eq!(image.users.iter().map(|it| it.cordoned).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn what_two_indexes_share_does_not_make_them_one() {
    // One platform is the same in both, the other is not.
    let hosts = [
        Host::new("a").image("x", &["r.test/app@1"], &[APP]).runs("web", APP, "x"),
        Host::new("b").image("x", &["r.test/app@2"], &[APP]).runs("web", APP, "x"),
        pulled("d", "y", "r.test/app@1"),
        pulled("e", "z", "r.test/app@2"),
    ];
    assert_eq!(images(&fleet(&hosts)), ["1: a/web b/web d/web", "2: e/web"]);
}

#[test]
fn hosts_that_differ_are_named_with_the_majority_first() {
    let hosts = [
        pulled("a", "x", "r.test/app@1"),
        pulled("b", "y", "r.test/app@2").runs("db", "db:1", "q"),
        pulled("d", "y", "r.test/app@2").runs("db", "db:1", "q"),
    ];
    let fleet = fleet(&hosts);
    assert_eq!(differences(&fleet), ["web: 2* b+d, 1 a"]);
    assert_eq!(images(&fleet), ["2: b/web d/web", ": b/db d/db", "1: a/web"]);
}

#[test]
fn without_a_majority_nobody_is_the_one_that_differs() {
    let hosts = [pulled("a", "x", "r.test/app@1"), pulled("b", "y", "r.test/app@2")];
    assert_eq!(differences(&fleet(&hosts)), ["web: 1 a, 2 b"]);
}

#[test]
fn a_reference_differs_on_its_own_only_between_containers_of_several_names() {
    let hosts = [
        pulled("a", "x", "r.test/app@1"),
        Host::new("b").image("y", &["r.test/app@2"], &[APP]).runs("api", APP, "y"),
    ];
    assert_eq!(differences(&fleet(&hosts)), ["r.test/app:v1: 1 a, 2 b"]);
}

#[test]
fn what_was_pulled_and_does_not_run_is_told_apart_from_what_runs() {
    let host = Host::new("a").image("x", &["r.test/app@1"], &[]);
    let host = host.image("y", &["r.test/app@2"], &[APP]).runs("web", APP, "x");
    let events = events(&fleet(&[host, pulled("b", "x", "r.test/app@1")]), None);
    let Some(Event::Image(image)) = events.into_iter().next() else { panic!("no image") };
    assert_eq!(image.digest, digest("1"));
    let told: Vec<_> =
        image.users.iter().map(|it| (&*it.pulled_image_id, &*it.pulled_digest)).collect();
    assert_eq!(told, [(&*digest("y"), &*digest("2")), ("", "")]);
}

#[test]
fn an_answer_counts_the_containers_that_have_something_else() {
    let fleet = fleet(&[pulled("a", "x", "r.test/app@1"), pulled("b", "y", "r.test/app@2")]);
    let manifest = Kind::Manifest;
    let named =
        Named { digest: digest("2"), is_index: false, others: [(digest("1"), manifest)].into() };
    let answer = Answer { asked: HostName::parse("a").ok(), named: Ok(named) };
    let events = events(&fleet, Some(&[(APP.to_owned(), answer)].into()));
    let Some(Event::Reference(check)) = events.last() else { panic!("{events:?}") };
    assert_eq!((&*check.digest, &*check.asked_host), (&*digest("2"), "a"));
    assert_eq!((check.containers, check.newer), (2, 1));
}

#[test]
fn an_image_of_very_many_containers_comes_in_parts() {
    let mut host = Host::new("a").image("x", &["r.test/app@1"], &[APP]);
    for number in 0..12_000 {
        host = host.runs(&format!("web{number}"), APP, "x");
    }
    let events = events(&fleet(&[host]), None);
    let images: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Image(image) => image,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(images.len() > 1);
    assert_eq!(images.iter().map(|it| it.users.len()).sum::<usize>(), 12_000);
    let (last, before) = images.split_last().unwrap();
    assert!(!last.continues && before.iter().all(|it| it.continues));
    assert!(images.iter().all(|it| it.digest == digest("1") && it.encoded_len() <= size::LARGEST));
}
