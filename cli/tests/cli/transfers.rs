//! Pull, push, create, and run: progress, results, credentials, requests.

use tonic::Code;
use wharf::v1::create_container_response::Event as CreateEvent;
use wharf::v1::pull_image_response::Event as PullEvent;
use wharf::v1::{
    CreateContainerRequest, CreateContainerResponse, CreatedContainer, PortMapping,
    PullImageRequest, PullImageResponse, PullPolicy, PulledImage, TransferProgress,
};

use crate::script::{Reply, Server, Stream};
use crate::{run, run_with};

fn pulled() -> Stream<PullImageResponse> {
    let progress =
        TransferProgress { status: "Downloading".into(), layers_total: 2, ..Default::default() };
    let image = PulledImage {
        reference: "r.example:5000/app:v1".into(),
        id: "sha256:0123456789abcdef".into(),
        digest: "sha256:77".into(),
        ..PulledImage::default()
    };
    Reply::started(&["web1", "web2"])
        .payload("web1", PullEvent::Progress(progress))
        .payload("web1", PullEvent::Image(image.clone()))
        .ok("web1", true)
        .payload("web2", PullEvent::Image(image))
        .ok("web2", false)
}

#[test]
fn a_pull_in_a_pipe_tells_on_stderr_and_ends_with_a_table() {
    let server = Server::start([("PullImage", pulled().done())]);
    let table = run(&server, &["pull", "-A", "r.example:5000/app:v1"]);
    assert_eq!(table.code, Some(0), "{}", table.stderr);
    assert_eq!(
        table.stderr,
        "web1: Downloading 0/2 layers\n\
         web1: pulled r.example:5000/app:v1 sha256:77\n\
         web2: up to date: r.example:5000/app:v1 sha256:77\n"
    );
    assert_eq!(
        table.lines(),
        [
            "HOST   IMAGE                   RESULT       DIGEST",
            "web1   r.example:5000/app:v1   pulled       sha256:77",
            "web2   r.example:5000/app:v1   up to date   sha256:77",
        ]
    );
    let json = run(&server, &["pull", "-q", "-A", "r.example:5000/app:v1", "-o", "json"]);
    assert_eq!(json.stderr, "");
    let lines = json.json();
    assert_eq!((&lines[0]["host"], &lines[0]["changed"]), (&"web1".into(), &true.into()));
    assert_eq!((&lines[1]["digest"], &lines[1]["changed"]), (&"sha256:77".into(), &false.into()));
}

#[test]
fn credentials_of_docker_are_sent_and_never_printed() {
    let failed = Reply::started::<PullImageResponse>(&["web1"])
        .failed(
            "web1",
            Code::PermissionDenied,
            "REGISTRY_AUTH_REQUIRED",
            "wrong password; log in again",
        )
        .aborted();
    let server = Server::start([("PullImage", failed)]);
    let directory = tempfile::tempdir().unwrap();
    // u:hunter2
    let config = r#"{"auths":{"r.example:5000":{"auth":"dTpodW50ZXIy"}}}"#;
    std::fs::write(directory.path().join("config.json"), config).unwrap();
    let run = run_with(&server, &["pull", "-A", "r.example:5000/app"], |command| {
        command.env("DOCKER_CONFIG", directory.path());
    });
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("wrong password; log in again (REGISTRY_AUTH_REQUIRED)"),
        "{}",
        run.stderr
    );
    let credentials = server.request::<PullImageRequest>("PullImage").credentials.unwrap();
    assert_eq!(
        (
            credentials.registry.as_str(),
            credentials.username.as_str(),
            credentials.password.as_str()
        ),
        ("r.example:5000", "u", "hunter2")
    );
    assert!(!run.stderr.contains("hunter2") && !run.stdout.contains("hunter2"));
}

#[test]
fn a_broken_docker_configuration_is_a_warning() {
    let server = Server::start([("PullImage", pulled().done())]);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("config.json"), "{ nonsense").unwrap();
    let run = run_with(&server, &["pull", "-q", "-A", "app"], |command| {
        command.env("DOCKER_CONFIG", directory.path());
    });
    assert_eq!(run.code, Some(0));
    assert!(
        run.stderr.starts_with("warning: cannot read credentials for docker.io"),
        "{}",
        run.stderr
    );
    assert_eq!(server.request::<PullImageRequest>("PullImage").credentials, None);
}

#[cfg(unix)]
#[test]
fn credential_helpers_are_asked() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start([("PullImage", pulled().done())]);
    let directory = tempfile::tempdir().unwrap();
    let helper = directory.path().join("docker-credential-test");
    let script = "#!/bin/sh\nread host; echo \"{\\\"ServerURL\\\":\\\"$host\\\",\\\"Username\\\":\\\"<token>\\\",\\\"Secret\\\":\\\"for-$host\\\"}\"\n";
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(directory.path().join("config.json"), r#"{"credsStore":"test"}"#).unwrap();
    let run = run_with(&server, &["pull", "-q", "-A", "r.example/app"], |command| {
        let path = format!("{}:/usr/bin:/bin", directory.path().display());
        command.env("DOCKER_CONFIG", directory.path()).env("PATH", path);
    });
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let credentials = server.request::<PullImageRequest>("PullImage").credentials.unwrap();
    assert_eq!(credentials.identity_token, "for-r.example");
}

fn created() -> Stream<CreateContainerResponse> {
    let container = CreatedContainer {
        id: "0123456789abcdef".into(),
        name: "web".into(),
        created: true,
        started: true,
        warnings: vec!["no swap limit".into()],
    };
    Reply::started(&["web1"]).payload("web1", CreateEvent::Container(container)).ok("web1", true)
}

#[test]
fn run_sends_dockers_flags_and_prints_where_the_container_is() {
    let server = Server::start([("CreateContainer", created().done())]);
    let line = "run -d -H web1 --name web -p 127.0.0.1:8080:80/udp -p 8000-8001:80-81 -e A=1 -e B \
                -v data:/data --mount type=bind,source=/etc,target=/etc,readonly -m 512m --cpus 1.5 \
                --restart on-failure:3 --ulimit nofile=1024:2048 --health-cmd true --init \
                --read-only=false --label a=b --entrypoint sh --stop-timeout 30 -h hostx app:v1 -c ls -h";
    let arguments: Vec<&str> = line.split_whitespace().collect();
    let run = run_with(&server, &arguments, |command| {
        command.env("B", "from here");
    });
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "web1/web\n"));
    assert_eq!(run.stderr, "web1: created and started\nwarning: web1: no swap limit\n");
    let request: CreateContainerRequest = server.request("CreateContainer");
    assert_eq!(
        (request.name.as_str(), request.start, request.pull()),
        ("web", true, PullPolicy::Missing)
    );
    let spec = request.spec.unwrap();
    assert_eq!((spec.image.as_str(), spec.command.join(" ").as_str()), ("app:v1", "-c ls -h"));
    assert_eq!(spec.hostname, "hostx");
    assert_eq!(spec.env, ["A=1", "B=from here"]);
    assert_eq!(spec.ports.len(), 3);
    assert_eq!(
        spec.ports[0],
        PortMapping {
            container_port: 80,
            protocol: "udp".into(),
            host_ip: "127.0.0.1".into(),
            host_port: 8080,
            ..Default::default()
        }
    );
    assert_eq!((spec.memory_bytes, spec.nano_cpus), (Some(512 << 20), Some(1_500_000_000)));
    assert_eq!((spec.init, spec.read_only, spec.privileged), (Some(true), Some(false), None));
    assert_eq!(spec.health_check.unwrap().test, ["CMD-SHELL", "true"]);
    assert_eq!((spec.entrypoint, spec.labels["a"].as_str()), (vec!["sh".to_owned()], "b"));
    assert_eq!(spec.stop_timeout.unwrap().seconds, 30);
    assert!(spec.mounts[0].read_only);
}

#[test]
fn a_body_goes_as_it_is_and_may_name_the_image() {
    let server = Server::start([("CreateContainer", created().done())]);
    let file = server.home().join("body.json");
    std::fs::write(
        &file,
        "# from the wiki\n{\"Image\":\"app\",\"Tag\":\"v1\",\n\"Unknown\":1.50}\n",
    )
    .unwrap();
    let run =
        run(&server, &["create", "-H", "web1", "--pull", "never", "-f", file.to_str().unwrap()]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let request: CreateContainerRequest = server.request("CreateContainer");
    assert_eq!(
        request.engine.as_ref().unwrap().json,
        "\n{\"Image\":\"app\",\"Tag\":\"v1\",\n\"Unknown\":1.50}\n"
    );
    assert_eq!((request.start, request.pull()), (false, PullPolicy::Never));
    assert_eq!(request.spec.unwrap(), wharf::v1::ContainerSpec::default());
}

#[test]
fn a_container_that_could_not_start_is_named_all_the_same() {
    let container = CreatedContainer {
        id: "0123".into(),
        name: "web".into(),
        created: true,
        ..Default::default()
    };
    let reply = Reply::started::<CreateContainerResponse>(&["web1"])
        .payload("web1", CreateEvent::Container(container))
        .failed("web1", Code::InvalidArgument, "ENGINE_BAD_REQUEST", "exec: no such file")
        .aborted();
    let server = Server::start([("CreateContainer", reply)]);
    let run = run(&server, &["run", "-d", "-H", "web1", "app"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), "web1/web\n"));
    assert!(run.stderr.starts_with("web1: error: exec: no such file"), "{}", run.stderr);
}
