use super::*;
use crate::engine::list::parse_list;
use crate::engine::{ContainerSummary, ImageSummary, Port};

#[test]
fn a_container_with_nulls_everywhere_is_read() {
    let text = r#"[{"Id":"4bc","Names":null,"Image":null,"ImageID":null,"Command":null,
        "Created":null,"State":null,"Status":null,"Ports":null,"Labels":null,
        "NetworkSettings":{"Networks":null},"SizeRw":null,"Later":{"x":1}},{"Id":"4bc","NetworkSettings":null}]"#;
    let items: Vec<ContainerSummary> = parse_list(text, false).unwrap();
    assert_eq!(items[0], ContainerSummary { id: "4bc".into(), ..Default::default() });
    assert_eq!(items[1], items[0]);
    assert!(parse_list::<ContainerSummary>("null", true).unwrap().is_empty());
}

#[test]
fn what_is_no_id_is_not_taken_for_one() {
    for id in ["null", "\"\"", "\"..\"", "\"a/../b\"", "\"web\"", "\"4bc\\u200b\"", "\" 4bc\"", "4"]
    {
        let text = format!(r#"{{"Id":{id},"Name":"/web"}}"#);
        let list = format!("[{text}]");
        assert!(parse_list::<ContainerSummary>(&list, false).is_err(), "{id}");
        assert!(parse_list::<ContainerSummary>(&list, true).is_err(), "{id}");
        assert!(parse::<Creation>(&text).is_err(), "{id}");
        assert!(parse::<Identified>(&text).is_err(), "{id}");
    }
    assert!(parse_list::<ContainerSummary>("[{}]", false).is_err());
    let error = parse::<Creation>("{\"Id\":\"../x\\u202e\"}").err().unwrap().to_string();
    assert!(error.contains(r#""../x\u{202e}" is not an ID"#), "{error}");
}

#[test]
fn a_time_that_no_calendar_has_is_none() {
    for created in [0, -1, -62_135_596_800, i64::MIN, i64::MAX, 253_402_300_800] {
        let list = format!(r#"[{{"Id":"4bc","Created":{created}}}]"#);
        let containers = parse_list::<ContainerSummary>(&list, false).unwrap();
        let images = parse_list::<ImageSummary>(&list, false).unwrap();
        assert_eq!((containers[0].created, images[0].created), (None, None), "{created}");
    }
}

#[test]
fn a_container_is_read_whole() {
    let text = r#"{"Id":"4bc","Names":["/front/db","/web"],"Image":"app:v1","ImageID":"sha256:1",
        "Command":"pm2","Created":1700000000,"State":"running","Status":"Up 5 minutes",
        "Ports":[{"PrivatePort":80,"Type":"tcp"},{"IP":"0.0.0.0","PrivatePort":443,"PublicPort":8443,"Type":"tcp"}],
        "Labels":{"a":"b"},"NetworkSettings":{"Networks":{"z":{},"a":null}},"SizeRw":9007199254740993}"#;
    let list = format!("[{text}]");
    let items: Vec<ContainerSummary> = parse_list(&list, true).unwrap();
    let item = &items[0];
    assert_eq!(item.names, ["web", "front/db"]);
    assert_eq!(item.networks, ["a", "z"]);
    assert_eq!(item.size_rw, 9_007_199_254_740_993);
    assert_eq!(item.json.as_deref(), Some(text));
    assert_eq!(
        item.ports,
        [
            Port { private: 80, protocol: "tcp".into(), ..Default::default() },
            Port { private: 443, public: 8443, protocol: "tcp".into(), ip: "0.0.0.0".into() },
        ]
    );
}

#[test]
fn an_image_without_name_time_and_count_is_read() {
    let text = r#"[{"Id":"sha256:1","RepoTags":["<none>:<none>"],"RepoDigests":["<none>@<none>"],
        "Created":-62135596800,"Size":1,"VirtualSize":1,"Labels":null,"Containers":-1},
        {"Id":"sha256:2","RepoTags":null,"Size":2},
        {"Id":"sha256:3","RepoTags":["app:v1"],"Created":1700000000,"Size":3,"Containers":2}]"#;
    let items: Vec<ImageSummary> = parse_list(text, false).unwrap();
    for item in &items[..2] {
        assert_eq!((item.created, item.containers), (None, -1));
        assert!(item.repo_tags.is_empty() && item.repo_digests.is_empty());
    }
    assert_eq!(items[2].repo_tags, ["app:v1"]);
    assert_eq!((items[2].created, items[2].containers), (Some(1_700_000_000), 2));
}

#[test]
fn small_answers_are_read() {
    let removed: Option<Vec<RemovalItem>> =
        parse(r#"[{"Untagged":"app:v1"},{"Deleted":"sha256:1"},{}]"#).unwrap();
    let removed = removal(removed);
    assert_eq!(
        (removed.untagged, removed.deleted),
        (vec!["app:v1".into()], vec!["sha256:1".into()])
    );
    assert_eq!(removal(parse("null").unwrap()), ImageRemoval::default());

    let prune: PrunedImages =
        parse::<ImagePrune>(r#"{"ImagesDeleted":null,"SpaceReclaimed":5}"#).unwrap().into();
    assert_eq!(prune, PrunedImages { space_reclaimed: 5, ..Default::default() });
    let prune: PrunedContainers =
        parse::<ContainerPrune>(r#"{"ContainersDeleted":null}"#).unwrap().into();
    assert_eq!(prune, PrunedContainers::default());

    for (text, exit_code, error) in [
        (r#"{"StatusCode":3}"#, 3, None),
        (r#"{"Error":null,"StatusCode":0}"#, 0, None),
        (r#"{"Error":{"Message":""},"StatusCode":0}"#, 0, None),
        (r#"{"Error":{"Message":"gone"},"StatusCode":-1}"#, -1, Some("gone".to_owned())),
    ] {
        let exit: ContainerExit = parse::<Wait>(text).unwrap().into();
        assert_eq!(exit, ContainerExit { exit_code, error }, "{text}");
    }
    assert!(parse::<Creation>("{}").is_err(), "a creation without ID is none");
}

#[test]
fn only_objects_are_documents() {
    assert_eq!(check_object(" {\"a\":1}\n"), Ok(()));
    for text in ["", "[]", "null", "{", "{} {}", "<html>"] {
        assert!(check_object(text).is_err(), "{text}");
    }
    // Far deeper than a parser that recurses could follow.
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(check_object(&deep), Ok(()));
    assert!(parse_list::<ContainerSummary>(&"[".repeat(100_000), false).is_err());
}
