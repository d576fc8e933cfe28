use super::*;

fn read(lines: &[&str]) -> Progress {
    let mut progress = Progress::default();
    for line in lines {
        assert_eq!(progress.read(line.as_bytes()).unwrap(), Step::Moved, "{line}");
    }
    progress
}

#[test]
fn a_pull_of_docker_is_followed() {
    let mut lines = vec![
        r#"{"status":"Pulling from app","id":"v1"}"#,
        r#"{"status":"Pulling fs layer","progressDetail":{},"id":"aaa"}"#,
        r#"{"status":"Already exists","progressDetail":{},"id":"bbb"}"#,
        r#"{"status":"Downloading","progressDetail":{"current":30,"total":100},"progress":"[> ]","id":"aaa"}"#,
    ];
    let transfer = read(&lines).transfer();
    assert_eq!(
        transfer,
        Transfer {
            status: "aaa: Downloading".into(),
            layers_done: 1,
            layers_total: 2,
            bytes_done: 30,
            bytes_total: 100,
        }
    );
    lines.extend([
        r#"{"status":"Verifying Checksum","progressDetail":{},"id":"aaa"}"#,
        r#"{"status":"Extracting","progressDetail":{"current":10,"total":100},"id":"aaa"}"#,
        r#"{"status":"Pull complete","progressDetail":{},"id":"aaa"}"#,
        r#"{"status":"Digest: sha256:1f"}"#,
        r#"{"status":"Status: Downloaded newer image for 127.0.0.1:5000/app:v1"}"#,
    ]);
    let progress = read(&lines);
    let transfer = progress.transfer();
    assert_eq!((transfer.layers_done, transfer.bytes_done, transfer.bytes_total), (2, 100, 100));
    assert_eq!((progress.digest().as_deref(), progress.newer()), (Some("sha256:1f"), Some(true)));
    let same = read(&[r#"{"status":"Status: Image is up to date for app:v1"}"#]);
    assert_eq!(same.newer(), Some(false));
}

#[test]
fn a_push_is_followed() {
    let progress = read(&[
        r#"{"status":"The push refers to repository [127.0.0.1:5000/app]"}"#,
        r#"{"status":"Preparing","progressDetail":{},"id":"aaa"}"#,
        r#"{"status":"Pushing","progressDetail":{"current":130,"total":100},"id":"aaa"}"#,
        r#"{"status":"Pushed","progressDetail":{},"id":"aaa"}"#,
        r#"{"status":"Mounted from base","progressDetail":{},"id":"bbb"}"#,
        r#"{"status":"v1: digest: sha256:1f size: 528"}"#,
        r#"{"progressDetail":{},"aux":{"Tag":"v1","Digest":"sha256:1f","Size":528}}"#,
    ]);
    let transfer = progress.transfer();
    assert_eq!((transfer.layers_done, transfer.layers_total), (2, 2));
    assert_eq!((transfer.bytes_done, transfer.bytes_total), (100, 100));
    assert_eq!(
        (progress.digest().as_deref(), progress.pushed_size()),
        (Some("sha256:1f"), Some(528))
    );
}

#[test]
fn podman_says_neither_digest_nor_status() {
    let progress = read(&[
        r#"{"status":"Pulling fs layer","progressDetail":{},"id":"aaa"}"#,
        r#"{"status":"Download complete","progressDetail":{},"id":"aaa"}"#,
        r#"{"status":"Pull complete","progressDetail":null,"id":"aaa"}"#,
        r#"{"stream":"x","images":["app"],"id":"8d2"}"#,
    ]);
    assert_eq!((progress.digest(), progress.newer()), (None, None));
    assert_eq!(progress.transfer().layers_done, 1);
}

#[test]
fn an_error_line_fails_the_transfer() {
    for (line, message) in [
        (
            r#"{"errorDetail":{"message":"unexpected EOF"},"error":"unexpected EOF"}"#,
            "unexpected EOF",
        ),
        (r#"{"errorDetail":{"code":1,"message":"a\nb"}}"#, "a b"),
        (r#"{"error":"old style"}"#, "old style"),
        (r#"{"errorDetail":{}}"#, "no reason given"),
        (r#"{"errorDetail":{"message":"new"},"error":"old"}"#, "new"),
    ] {
        let step = Progress::default().read(line.as_bytes()).unwrap();
        assert_eq!(step, Step::Failed(message.to_owned()), "{line}");
    }
    for line in ["<html>", "{", "[]", "{\"status\":1}", "\u{0}"] {
        assert!(Progress::default().read(line.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn an_engine_that_invents_layers_forever_is_bounded() {
    let mut progress = Progress::default();
    for number in 0..MOST_LAYERS + 10 {
        let line = format!(r#"{{"status":"Waiting","id":"{number}"}}"#);
        progress.read(line.as_bytes()).unwrap();
    }
    assert_eq!(progress.transfer().layers_total as usize, MOST_LAYERS);
    let line = format!(r#"{{"status":"{}"}}"#, "x".repeat(10_000));
    progress.read(line.as_bytes()).unwrap();
    assert_eq!(progress.transfer().status.len(), LONGEST_STATUS);
}
