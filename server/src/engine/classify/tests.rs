use super::super::operation::*;
use super::*;

fn json(message: &str) -> Vec<u8> {
    serde_json::json!({ "message": message }).to_string().into_bytes()
}

fn kind(operation: Operation, status: u16, body: &[u8]) -> ErrorKind {
    classify(&operation, status, &Complaint::read(status, body))
}

#[test]
fn an_engines_answers_have_their_kinds() {
    use ErrorKind::*;
    for (operation, status, message, expected) in [
        (INSPECT_CONTAINER, 404, "No such container: web", ContainerNotFound),
        (INSPECT_CONTAINER, 404, "page not found", EndpointNotFound),
        (LIST_CONTAINERS, 404, "page not found", EndpointNotFound),
        (INSPECT_CONTAINER, 400, "invalid filter 'x'", BadRequest),
        (
            LIST_CONTAINERS,
            400,
            "client version 1.42 is too new. Maximum supported API version is 1.41",
            NoCommonApiVersion,
        ),
        (
            LIST_CONTAINERS,
            400,
            "client version 1.35 is too old. Minimum supported API version is 1.44, please upgrade your client to a newer version",
            NoCommonApiVersion,
        ),
        (CREATE_CONTAINER, 404, "No such image: app:v9", ImageNotFound),
        (
            CREATE_CONTAINER,
            409,
            "Conflict. The container name \"/web\" is already in use by container \"4bc\". You have to remove (or rename) that container to be able to reuse that name.",
            NameInUse,
        ),
        (CREATE_CONTAINER, 500, "invalid volume specification: 'x:y:z:a'", BadRequest),
        (
            RENAME_CONTAINER,
            409,
            "Error when allocating new name: Conflict. The container name \"/db\" is already in use by container \"4bc\".",
            NameInUse,
        ),
        (START_CONTAINER, 404, "network front not found", NetworkNotFound),
        (START_CONTAINER, 404, "No such container: web", ContainerNotFound),
        (
            START_CONTAINER,
            400,
            "failed to create shim: OCI runtime create failed: exec: \"x\": executable file not found in $PATH",
            CommandNotFound,
        ),
        (
            START_CONTAINER,
            400,
            "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: \"/bin/x\": stat /bin/x: no such file or directory: unknown",
            CommandNotFound,
        ),
        (
            START_CONTAINER,
            500,
            "crun: executable file `x` not found in $PATH: No such file or directory: OCI runtime attempted to invoke a command that was not found",
            CommandNotFound,
        ),
        (
            START_CONTAINER,
            400,
            "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"/etc\": permission denied: unknown",
            CommandNotExecutable,
        ),
        (
            START_CONTAINER,
            500,
            "runc: runc create failed: unable to start container process: exec: \"/etc\": is a directory: OCI runtime error",
            CommandNotExecutable,
        ),
        (
            START_CONTAINER,
            400,
            "OCI runtime create failed: rootfs_linux.go:75: mounting \"/data\" to rootfs at \"/x\" caused: no such file or directory: unknown",
            BadRequest,
        ),
        (
            START_CONTAINER,
            500,
            "driver failed programming external connectivity on endpoint web: Bind for 0.0.0.0:80 failed: port is already allocated",
            Engine,
        ),
        (KILL_CONTAINER, 409, "Cannot kill container: web: Container 4bc is not running", Conflict),
        (
            REMOVE_CONTAINER,
            409,
            "removal of container web is already in progress",
            RemovalInProgress,
        ),
        (
            REMOVE_CONTAINER,
            409,
            "You cannot remove a running container 4bc. Stop the container before attempting removal or force remove",
            Conflict,
        ),
        (UNPAUSE_CONTAINER, 500, "Container web is not paused", Conflict),
        (RENAME_CONTAINER, 404, "sandbox b663e5e180a8072e5a63 not found", Conflict),
        (STOP_CONTAINER, 500, "strconv.Atoi: parsing \"abc\": invalid syntax", BadRequest),
        (REMOVE_IMAGE, 404, "No such image: app:v9", ImageNotFound),
        (
            REMOVE_IMAGE,
            409,
            "conflict: unable to remove repository reference \"app:v1\" (must force) - container 4bc is using its referenced image 8d2",
            Conflict,
        ),
        (TAG_IMAGE, 500, "invalid reference format: repository name must be lowercase", BadRequest),
        (CREATE_CONTAINER, 404, "get data: no such volume", VolumeNotFound),
        (INSPECT_NETWORK, 404, "network front not found", NetworkNotFound),
        (INSPECT_NETWORK, 400, "network front is ambiguous (2 matches found on name)", Conflict),
        (CREATE_NETWORK, 409, "network with name front already exists", NameInUse),
        (CREATE_NETWORK, 403, "Pool overlaps with other one on this address space", Conflict),
        (
            CREATE_NETWORK,
            404,
            "could not find plugin x in v1 plugin registry: plugin not found",
            Unsupported,
        ),
        (CREATE_NETWORK, 403, "authorization denied by plugin opa", Forbidden),
        (
            REMOVE_NETWORK,
            403,
            "error while removing network: network front id 4bc has active endpoints",
            Conflict,
        ),
        (REMOVE_NETWORK, 403, "host is a pre-defined network and cannot be removed", Conflict),
        (CONNECT_NETWORK, 403, "Address already in use", Conflict),
        (CONNECT_NETWORK, 404, "No such container: web", ContainerNotFound),
        (INSPECT_VOLUME, 404, "get data: no such volume", VolumeNotFound),
        (REMOVE_VOLUME, 409, "remove data: volume is in use - [4bc]", Conflict),
        (
            CREATE_VOLUME,
            400,
            "create data: error looking up volume plugin x: plugin \"x\" not found",
            Unsupported,
        ),
        (CREATE_VOLUME, 409, "create data: conflict: volume name must be unique", NameInUse),
        // Podman.
        (
            REMOVE_NETWORK,
            500,
            "\"front\" has associated containers with it. Use -f to forcibly delete containers and pods: network is being used",
            Conflict,
        ),
        (
            REMOVE_VOLUME,
            409,
            "volume data is being used by the following container(s): 4bc: volume is being used",
            Conflict,
        ),
        (
            CREATE_NETWORK,
            500,
            "subnet 10.1.0.0/16 is already used on the host or by another config",
            Conflict,
        ),
        (CREATE_NETWORK, 409, "network name front already used: network already exists", NameInUse),
        (INFO, 500, "something broke", Engine),
        (INFO, 501, "not implemented", Unsupported),
        (INFO, 503, "shutting down", Unavailable),
        (INFO, 401, "who are you", Forbidden),
        (INFO, 403, "authorization denied by plugin opa", Forbidden),
        (PULL_IMAGE, 403, "authorization denied by plugin opa", Forbidden),
        (START_CONTAINER, 504, "gateway timeout", ResultUnknown),
        (INSPECT_CONTAINER, 504, "gateway timeout", Unavailable),
        (INSPECT_CONTAINER, 301, "Moved Permanently", BadAnswer),
        (UPDATE_CONTAINER, 415, "unsupported media type", BadRequest),
    ] {
        let found = kind(operation, status, &json(message));
        assert_eq!(found, expected, "{} {status} {message}", operation.name);
    }
}

#[test]
fn what_an_engine_says_can_be_seen() {
    let complaint = Complaint::read(500, &json("no\u{200b}such \u{202e}thing\u{1b}[2J\nhere"));
    assert_eq!(complaint.message, "no\u{fffd}such \u{fffd}thing [2J here");
}

#[test]
fn registries_are_told_from_engines() {
    use ErrorKind::*;
    for (operation, status, message, expected) in [
        (
            PULL_IMAGE,
            404,
            "manifest for 127.0.0.1:5000/app:v9 not found: manifest unknown: manifest unknown",
            ImageNotFound,
        ),
        (
            PULL_IMAGE,
            404,
            "pull access denied for app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
            RegistryAuthRequired,
        ),
        (
            PULL_IMAGE,
            500,
            "Head \"http://127.0.0.1:5051/v2/app/manifests/v1\": no basic auth credentials",
            RegistryAuthRequired,
        ),
        (PULL_IMAGE, 500, "unauthorized: authentication required", RegistryAuthRequired),
        (PULL_IMAGE, 401, "x", RegistryAuthRequired),
        (
            PULL_IMAGE,
            500,
            "Get \"https://r.example.com/v2/\": dial tcp: lookup r.example.com: no such host",
            RegistryUnavailable,
        ),
        (
            PULL_IMAGE,
            500,
            "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
            RegistryUnavailable,
        ),
        (
            PULL_IMAGE,
            500,
            "Get \"https://10.0.0.5:5000/v2/\": http: server gave HTTP response to HTTPS client",
            RegistryUnavailable,
        ),
        (
            PULL_IMAGE,
            500,
            "toomanyrequests: You have reached your pull rate limit.",
            RegistryRateLimited,
        ),
        (PULL_IMAGE, 429, "slow down", RegistryRateLimited),
        (LOGIN, 429, "slow down", RegistryRateLimited),
        // An Engine, or a proxy before it, that is asked too much.
        (START_CONTAINER, 429, "slow down", Unavailable),
        (LIST_CONTAINERS, 429, "toomanyrequests", Unavailable),
        (CREATE_CONTAINER, 429, "Too Many Requests", Unavailable),
        (PULL_IMAGE, 403, "'scratch' is a reserved name", BadRequest),
        (
            PULL_IMAGE,
            404,
            "no matching manifest for linux/arm64/v8 in the manifest list entries",
            ForeignPlatform,
        ),
        (
            PULL_IMAGE,
            500,
            "image operating system \"windows\" cannot be used on this platform: operating system is not supported",
            ForeignPlatform,
        ),
        (
            PULL_IMAGE,
            500,
            "choosing an image from manifest list docker://r.io/app:v1: no image found in manifest list for architecture \"s390x\", variant \"\", OS \"linux\"",
            ForeignPlatform,
        ),
        (
            CREATE_CONTAINER,
            404,
            "image with reference app:v1 was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64",
            ImageNotFound,
        ),
        (
            CREATE_CONTAINER,
            404,
            "image with reference app:v1 was found but does not provide the specified platform (linux/arm64)",
            ImageNotFound,
        ),
        (
            PULL_IMAGE,
            404,
            "repository 127.0.0.1:5000/nope not found: name unknown: repository name not known to registry",
            ImageNotFound,
        ),
        (PUSH_IMAGE, 400, "Bad parameters and missing X-Registry-Auth: EOF", BadRequest),
        (
            LOGIN,
            500,
            "login attempt to http://127.0.0.1:5051/v2/ failed with status: 401 Unauthorized",
            LoginRefused,
        ),
        (
            LOGIN,
            401,
            "Get \"https://registry-1.docker.io/v2/\": unauthorized: incorrect username or password",
            LoginRefused,
        ),
        (
            LOGIN,
            500,
            "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
            RegistryUnavailable,
        ),
        // The same word about the Engine's own affairs.
        (INSPECT_IMAGE, 401, "unauthorized", Forbidden),
    ] {
        let found = kind(operation, status, &json(message));
        assert_eq!(found, expected, "{} {status} {message}", operation.name);
    }
}

#[test]
fn podman_has_its_own_statuses_and_texts() {
    use ErrorKind::*;
    let body = |cause: &str, message: &str| {
        serde_json::json!({ "cause": cause, "message": message, "response": 500 })
            .to_string()
            .into_bytes()
    };
    for (operation, status, body, expected) in [
        (
            CREATE_CONTAINER,
            500,
            body(
                "that name is already in use",
                "container create: creating container storage: the container name \"web\" is already in use by 4bc. You have to remove that container to be able to reuse that name: that name is already in use",
            ),
            NameInUse,
        ),
        (
            KILL_CONTAINER,
            500,
            body(
                "container state improper",
                "can only kill running containers. 4bc is in state exited: container state improper",
            ),
            Conflict,
        ),
        (
            INSPECT_CONTAINER,
            404,
            body(
                "no such container",
                "no container with name or ID \"web\" found: no such container",
            ),
            ContainerNotFound,
        ),
        (
            INSPECT_IMAGE,
            404,
            body("image not known", "failed to find image web: web: image not known"),
            ImageNotFound,
        ),
        (
            START_CONTAINER,
            500,
            body("x", "no container with name or ID \"web\" found: no such container"),
            ContainerNotFound,
        ),
    ] {
        assert_eq!(kind(operation, status, &body), expected, "{}", operation.name);
    }
    assert_eq!(kind(INFO, 404, b"Not Found\n"), EndpointNotFound);
    assert_eq!(kind(INSPECT_CONTAINER, 404, b"404 page not found\n"), EndpointNotFound);
}

#[test]
fn error_lines_have_their_kinds() {
    use ErrorKind::*;
    for (operation, message, expected) in [
        (PULL_IMAGE, "unexpected EOF", PullFailed),
        (PUSH_IMAGE, "unexpected EOF", PushFailed),
        (PUSH_IMAGE, "no basic auth credentials", RegistryAuthRequired),
        (
            PUSH_IMAGE,
            "An image does not exist locally with the tag: 127.0.0.1:5000/app",
            ImageNotFound,
        ),
        (PUSH_IMAGE, "tag does not exist: 127.0.0.1:5000/app:v9", ImageNotFound),
        (PUSH_IMAGE, "denied: requested access to the resource is denied", RegistryAuthRequired),
        (
            PULL_IMAGE,
            "received unexpected HTTP status: 503 Service Unavailable",
            RegistryUnavailable,
        ),
        (
            PULL_IMAGE,
            "write /var/lib/docker/tmp/GetImageBlob1: no space left on device",
            PullFailed,
        ),
    ] {
        assert_eq!(classify_line(&operation, message), expected, "{message}");
    }
}

#[test]
fn a_message_is_one_line_of_what_the_body_says() {
    for (body, message, from_engine) in [
        (&b"{\"message\":\"a\\nb\\t c \"}"[..], "a b c", true),
        (b"{\"cause\":\"why\"}", "why", true),
        (b"client version 1.11 is too old\n", "client version 1.11 is too old", false),
        (
            b"<html><head><title>502 Bad Gateway</title></head>\r\n<body>\n<h1>nginx</h1></body>",
            "502 Bad Gateway nginx",
            false,
        ),
        (b"<!DOCTYPE html><p>Sorry", "Sorry", false),
        (b"", "the answer was status 500 without a message", false),
        (b"{}", "{}", false),
        (b"{\"message\":\"\"}", "{\"message\":\"\"}", false),
        (b"\xff\xfe", "\u{fffd}\u{fffd}", false),
    ] {
        let complaint = Complaint::read(500, body);
        assert_eq!(complaint, Complaint { message: message.to_owned(), from_engine });
    }
    let long = Complaint::read(500, "é".repeat(100_000).as_bytes());
    assert_eq!(long.message.chars().count(), LONGEST_FOREIGN_MESSAGE + 1);
}

#[test]
fn what_is_so_already_or_will_go_away_is_told_by_its_text() {
    let error = |text: &str| EngineError::new(ErrorKind::Engine, "test", text);
    for text in [
        "driver failed programming external connectivity on endpoint web: Bind for 0.0.0.0:80 failed: port is already allocated",
        "rootlessport listen tcp 0.0.0.0:80: bind: address already in use",
    ] {
        assert!(error(text).is_port_in_use() && !error(text).is_connected_already(), "{text}");
    }
    let connected = error("endpoint with name web already exists in network front");
    assert!(connected.is_connected_already() && !connected.is_port_in_use());
}

#[test]
fn what_engines_say_of_files_in_containers_has_its_kind() {
    use ErrorKind::*;
    for (operation, status, message, expected) in [
        (DOWNLOAD_ARCHIVE, 404, "Could not find the file /x in container web", PathNotFound),
        (DOWNLOAD_ARCHIVE, 404, "No such container: web", ContainerNotFound),
        (
            DOWNLOAD_ARCHIVE,
            500,
            "lstat /var/lib/merged/etc/passwd/x: not a directory",
            PathNotFound,
        ),
        (DOWNLOAD_ARCHIVE, 404, "no such file or directory", PathNotFound),
        (UPLOAD_ARCHIVE, 404, "Could not find the file /x in container web", PathNotFound),
        (
            UPLOAD_ARCHIVE,
            404,
            "the container doesn't exists: no container with name or ID \"web\" found: no such container",
            ContainerNotFound,
        ),
        (UPLOAD_ARCHIVE, 500, "container rootfs is marked read-only", Conflict),
        (UPLOAD_ARCHIVE, 403, "mounted volume is marked read-only", Conflict),
        (UPLOAD_ARCHIVE, 500, "extraction point is not a directory", BadRequest),
        (UPLOAD_ARCHIVE, 400, "extraction point is not a directory", BadRequest),
        (
            UPLOAD_ARCHIVE,
            500,
            "copier: put: /d/a (/d/a): exists but is not a directory",
            BadRequest,
        ),
        (
            UPLOAD_ARCHIVE,
            500,
            "Error processing tar file(exit status 1): archive/tar: invalid tar header",
            BadRequest,
        ),
        // The same words about something else.
        (INSPECT_CONTAINER, 500, "open config.v2.json: no such file or directory", Engine),
    ] {
        assert_eq!(kind(operation, status, &json(message)), expected, "{status} {message}");
    }
}
