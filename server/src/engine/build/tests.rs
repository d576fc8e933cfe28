use super::*;

/// Reads lines up to the first error.
fn read(lines: &[&str]) -> (BuildReader, Vec<BuildStep>, Option<EngineError>) {
    let mut reader = BuildReader::default();
    let mut steps = Vec::new();
    for line in lines {
        match reader.read(line.as_bytes()) {
            Ok(step) => steps.push(step),
            Err(error) => return (reader, steps, Some(error)),
        }
    }
    (reader, steps, None)
}

fn output(text: &str) -> BuildStep {
    BuildStep::Output(text.to_owned())
}

#[test]
fn the_output_and_the_id_of_a_build_are_read() {
    let (reader, steps, error) = read(&[
        r#"{"stream":"Step 1/2 : FROM app:v1\n"}"#,
        r#"{"stream":" ---\u003e 0123456789ab\n"}"#,
        r#"{"status":"Pulling from app","id":"v1"}"#,
        r#"{"aux":{"ID":"sha256:01"}}"#,
        r#"{"stream":"Successfully built 0123456789ab\n"}"#,
    ]);
    assert_eq!(error, None);
    assert_eq!(reader.id(), Some("sha256:01"));
    assert_eq!(steps[0], output("Step 1/2 : FROM app:v1\n"));
    assert!(matches!(&steps[2], BuildStep::Pulling(transfer) if transfer.status.contains("app")));
    assert_eq!(steps[3], BuildStep::Quiet);
    let (reader, _, _) = read(&[r#"{"stream":"Successfully built 0123456789ab\n"}"#]);
    assert_eq!(reader.id(), Some("0123456789ab"));
}

#[test]
fn a_failed_command_has_its_exit_code_and_last_output() {
    let docker = [
        r#"{"stream":"Step 2/2 : RUN make unauthorized"}"#,
        r#"{"stream":"\n"}"#,
        r#"{"stream":" ---\u003e Running in 0123456789ab\n"}"#,
        r#"{"stream":"\u001b[91mno rule\nto make\n\u001b[0m"}"#,
        r#"{"stream":"Removing intermediate container 0123456789ab\n"}"#,
        r#"{"errorDetail":{"code":7,"message":"The command '/bin/sh -c make unauthorized' returned a non-zero code: 7"},"error":"x"}"#,
    ];
    let error = read(&docker).2.unwrap();
    assert_eq!((error.kind, error.exit_code), (ErrorKind::BuildFailed, Some(7)));
    assert_eq!(
        error.message,
        "The command '/bin/sh -c make unauthorized' returned a non-zero code: 7, in \"Step 2/2 : RUN \
         make unauthorized\", after it wrote: no rule to make"
    );
    let podman = [
        r#"{"stream":"[2/2] STEP 2/2: RUN exit 9\n"}"#,
        r#"{"stream":"almost\n"}"#,
        r#"{"error":"building at STEP \"RUN exit 9\": while running runtime: exit status 9"}"#,
    ];
    let error = read(&podman).2.unwrap();
    assert_eq!((error.kind, error.exit_code), (ErrorKind::BuildFailed, Some(9)));
    let end = "exit status 9, in \"[2/2] STEP 2/2: RUN exit 9\", after it wrote: almost";
    assert!(error.message.ends_with(end), "{error}");
}

#[test]
fn other_failures_are_those_of_pulls_and_of_the_dockerfile() {
    let kind = |message: &str| {
        let line = serde_json::json!({"error": message, "errorDetail": {"message": message}});
        let error = read(&[&line.to_string()]).2.unwrap();
        assert_eq!(error.exit_code, None, "{message}");
        (error.kind, error.message)
    };
    let denied =
        "pull access denied for nosuch, repository does not exist or may require 'docker login'";
    assert_eq!(kind(denied).0, ErrorKind::RegistryAuthRequired);
    assert_eq!(kind("COPY failed: file not found in build context").0, ErrorKind::BuildFailed);
    assert_eq!(kind("exit status 0").0, ErrorKind::BuildFailed);
    let (needs, message) =
        kind("the --mount option requires BuildKit. Refer to https://x/ to learn");
    assert_eq!(needs, ErrorKind::BuildFailed);
    assert!(message.contains("docker buildx"), "{message}");
    let (_, _, error) = read(&["{\"errorDetail\":{}}"]);
    assert_eq!(error.unwrap().message, "no reason given");
    let (_, _, error) = read(&["<html>"]);
    assert_eq!(error.unwrap().kind, ErrorKind::BadAnswer);
}

#[test]
fn an_error_repeats_little_of_endless_output() {
    let mut reader = BuildReader::default();
    let chunk = serde_json::json!({ "stream": "y".repeat(100_000) }).to_string();
    for _ in 0..20 {
        reader.read(chunk.as_bytes()).unwrap();
    }
    assert!(reader.last.chars().count() <= LAST_OUTPUT);
    assert_eq!(without_escapes("a\u{1b}[91mb\u{1b}[0mc\u{1b}["), "abc");
}
