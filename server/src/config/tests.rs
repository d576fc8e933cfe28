use std::fs;
use std::os::unix::fs::PermissionsExt;

use clap::{CommandFactory, Parser};

use super::*;
use crate::domain::{HostName, Role};

/// A directory with files in it; the configuration file is `wharfd.toml`.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
            set_mode(&directory.path().join(name), 0o600);
        }
        Self(directory)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn hosts(&self) -> Result<FileHosts, ConfigError> {
        load_hosts(&self.0.path().join("wharfd.toml"))
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn load(flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let arguments = std::iter::once("wharfd").chain(flags.iter().copied());
    let home = [("HOME", "/home/ann"), ("XDG_RUNTIME_DIR", "/run/user/7")];
    let variables = home.iter().chain(variables).copied();
    Config::load(Arguments::parse_from(arguments), &Environment::new(variables, false))
}

fn refusal(result: Result<impl Sized, ConfigError>) -> String {
    let Err(error) = result else { panic!("it was accepted") };
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

fn certificate_and_key() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn host_name(text: &str) -> HostName {
    HostName::parse(text).unwrap()
}

#[test]
fn the_flags_are_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn defaults_follow_the_user() {
    let config = load(&[], &[]).unwrap();
    assert_eq!(config.store.data_dir, Path::new("/home/ann/.local/share/wharf"));
    assert_eq!(config.listen[0].to_string(), "unix:///run/user/7/wharf/wharfd.sock");
    assert_eq!(config.access, Access::UnixOnly);
    assert_eq!((config.local, config.max_parallel), (true, 256));
    assert_eq!(config.rollout_history, 1000);
    assert_eq!((config.log_level, config.log_format), (LevelFilter::INFO, LogFormat::Text));
    assert_eq!(config.file, ConfigFile::Optional("/home/ann/.config/wharf/wharfd.toml".into()));
    assert_eq!(config.hosts, FileHosts::default());

    let xdg = load(&[], &[("XDG_DATA_HOME", "/data"), ("XDG_CONFIG_HOME", "relative")]).unwrap();
    assert_eq!(xdg.store.data_dir, Path::new("/data/wharf"));
    assert_eq!(xdg.file, config.file, "the specification ignores relative directories");

    let root = Environment::new([("HOME", "/root"), ("XDG_DATA_HOME", "/x")], true);
    let root = Config::load(Arguments::default(), &root);
    // The machine of the test may have a file in /etc/wharf; what it says is not of interest.
    if let Ok(root) = root.map(|root| root.store.data_dir) {
        assert_eq!(root, Path::new("/var/lib/wharf"));
    }
}

#[test]
fn without_a_home_the_way_out_is_named() {
    let nothing = Environment::new([("", ""); 0], false);
    let text = refusal(Config::load(Arguments::default(), &nothing));
    assert!(text.contains("--listen unix:///PATH"), "{text}");
    let arguments = Arguments::parse_from(["wharfd", "--listen", "unix:///run/w.sock"]);
    let text = refusal(Config::load(arguments, &nothing));
    assert!(text.contains("--data-dir DIR"), "{text}");
}

#[test]
fn a_flag_wins_over_a_variable_and_that_over_the_file() {
    let files = Files::new(&[(
        "wharfd.toml",
        "data_dir = 'data'\nmax_parallel = 3\nrollout_history = 30\nlog_level = 'debug'\nno_local = true\nlisten = ['unix:///run/file.sock']",
    )]);
    let path = files.path("wharfd.toml");
    let config = load(
        &["--config", &path, "--max-parallel", "1"],
        &[("WHARFD_MAX_PARALLEL", "2"), ("WHARFD_LOG_LEVEL", "warn"), ("WHARFD_DATA_DIR", "")],
    )
    .unwrap();
    assert_eq!((config.max_parallel, config.rollout_history), (1, 30));
    assert_eq!(config.log_level, LevelFilter::WARN);
    assert_eq!(config.store.data_dir, files.0.path().join("data"));
    assert_eq!(config.listen[0].to_string(), "unix:///run/file.sock");
    assert!(!config.local);

    let config = load(
        &[],
        &[
            ("WHARFD_CONFIG", &*path),
            ("WHARFD_LISTEN", "unix:///a, unix:///b"),
            ("WHARFD_NO_LOCAL", "false"),
        ],
    )
    .unwrap();
    assert_eq!(config.listen.len(), 2);
    assert!(config.local, "a variable may take back what the file says");
}

#[test]
fn wrong_values_name_where_they_came_from() {
    let files = Files::new(&[("wharfd.toml", "max_parallel = 0")]);
    let path = files.path("wharfd.toml");
    for (flags, variables, expected) in [
        (&["--max-parallel", "many"][..], &[][..], "--max-parallel: \"many\" is not a number"),
        (&["--max-parallel", "10001"], &[], "from 1 to 10000"),
        (&[], &[("WHARFD_MAX_PARALLEL", "-1")], "WHARFD_MAX_PARALLEL: \"-1\""),
        (&["--config", &path], &[], "wharfd.toml: max_parallel: \"0\""),
        (&["--rollout-history", "9"], &[], "--rollout-history: \"9\" is not a number from 10"),
        (&[], &[("WHARFD_ROLLOUT_HISTORY", "1000001")], "from 10 to 1000000"),
        (&["--log-level", "loud"], &[], "--log-level: \"loud\" is not a level"),
        (&["--log-format", "xml"], &[], "--log-format: \"xml\" is not a format"),
        (&[], &[("WHARFD_NO_LOCAL", "perhaps")], "WHARFD_NO_LOCAL: write true or false"),
        (&["--listen", "/run/x.sock"], &[], "write unix:///PATH or tcp://HOST:PORT"),
        (&["--listen", "unix://x.sock"], &[], "must be absolute"),
        (&["--listen", "tcp://:70"], &[], "write tcp://HOST:PORT"),
        (&["--listen", "tcp://a:99999"], &[], "write tcp://HOST:PORT"),
        (&["--listen", "http://a:80"], &[], "write unix:///PATH or tcp://HOST:PORT"),
        (&["--listen", "unix:///a", "--listen", "unix:///a"], &[], "occurs twice"),
        (&["--config", "/nowhere/wharfd.toml"], &[], "--config: cannot read /nowhere/wharfd.toml"),
        (&[], &[("WHARFD_CONFIG", "/nowhere")], "WHARFD_CONFIG: cannot read /nowhere"),
    ] {
        let text = refusal(load(flags, variables));
        assert!(text.contains(expected), "{flags:?} {variables:?}: {text}");
    }
}

#[test]
fn tcp_needs_tls_and_a_credential_or_a_plain_word() {
    let (certificate, key) = certificate_and_key();
    let files = Files::new(&[
        ("cert.pem", &certificate),
        ("key.pem", &key),
        ("tokens", "ci:operator:correct-horse-battery"),
        ("notes", "hello"),
    ]);
    let tcp = "tcp://127.0.0.1:0";
    let (cert, key, tokens, notes) =
        (files.path("cert.pem"), files.path("key.pem"), files.path("tokens"), files.path("notes"));
    let tls = ["--listen", tcp, "--tls-cert", &cert, "--tls-key", &key];
    let with = |more: &[&'static str], file: &str| {
        let mut flags: Vec<&str> = tls.to_vec();
        flags.extend(more);
        flags.push(file);
        load(&flags, &[])
    };

    let Access::Secured { identity, tokens: read } =
        with(&["--token-file"], &tokens).unwrap().access
    else {
        panic!("not secured");
    };
    assert_eq!((&*read[0].name, read[0].role), ("ci", Role::Operator));
    assert_eq!(identity.client_ca_pem(), None);
    assert!(matches!(
        with(&["--tls-client-ca"], &cert).unwrap().access,
        Access::Secured { tokens, .. } if tokens.is_empty()
    ));
    let open = "--insecure-tcp-without-authentication";
    assert_eq!(
        load(&["--listen", tcp, open], &[]).unwrap().access,
        Access::InsecureWithoutAuthentication
    );

    for (flags, expected) in [
        (
            &["--listen", tcp][..],
            "set --tls-cert and --tls-key, and --tls-client-ca or --token-file",
        ),
        (&["--listen", tcp, "--token-file", &tokens], "requires TLS and a credential"),
        (&tls, "set --tls-client-ca or --token-file"),
        (&["--tls-cert", &cert], "--tls-cert: also requires the private key"),
        (&["--tls-key", &key], "--tls-key: also requires the certificate"),
        (
            &["--tls-client-ca", &cert],
            "--tls-client-ca: also requires the certificate of this server",
        ),
        (&["--tls-cert", &notes, "--tls-key", &key], "--tls-cert: "),
        (&["--tls-cert", &cert, "--tls-key", &notes], "but it is not PEM"),
        (&["--tls-cert", &cert, "--tls-key", "/nowhere"], "--tls-key: cannot read /nowhere"),
        (&["--token-file", &notes], "notes: line 1: write name:role:token"),
        (&["--listen", tcp, open, "--token-file", &tokens], "conflicts with"),
    ] {
        let text = refusal(load(flags, &[]));
        assert!(text.contains(expected), "{flags:?}: {text}");
    }
}

#[test]
fn tokens_that_every_user_of_the_machine_can_read_are_refused() {
    let (certificate, key) = certificate_and_key();
    let digest = format!("# hashed\nci:operator:{}", "0a".repeat(32));
    let plain = format!("{digest}\nann:admin:correct-horse-battery");
    let files = Files::new(&[
        ("cert.pem", &certificate),
        ("key.pem", &key),
        ("plain", &plain),
        ("hashed", &digest),
    ]);
    let (cert, key) = (files.path("cert.pem"), files.path("key.pem"));
    let read = |name: &str, mode: u32| {
        let path = files.path(name);
        set_mode(Path::new(&path), mode);
        load(&["--tls-cert", &cert, "--tls-key", &key, "--token-file", &path], &[])
    };
    for (name, mode) in [("plain", 0o600), ("plain", 0o640), ("hashed", 0o644)] {
        read(name, mode).unwrap_or_else(|error| panic!("{name} {mode:o}: {error}"));
    }
    for mode in [0o644, 0o604] {
        let text = refusal(read("plain", mode));
        assert!(text.contains("plain: line 3: the token of ann is not hashed"), "{text}");
        assert!(text.contains("chmod o-r") && !text.contains("horse"), "{text}");
    }
}

#[test]
fn hosts_and_groups_are_read() {
    let (certificate, key) = certificate_and_key();
    let files = Files::new(&[
        ("ca.pem", &certificate),
        ("cert.pem", &certificate),
        ("key.pem", &key),
        (
            "wharfd.toml",
            r#"
            [tls.prod]
            ca = "ca.pem"
            cert = "cert.pem"
            key = "key.pem"

            [[host]]
            name = "web1"
            address = "tcp://10.0.0.5"
            tls = "prod"
            labels = { role = "web", "example.com/rack" = "a1" }

            [[host]]
            name = "web2"
            address = "tcp://10.0.0.6:1234"
            tls_ca = "ca.pem"

            [[host]]
            name = "web3"
            address = "tcp://10.0.0.7:2375"
            insecure = true
            "#,
        ),
    ]);
    let read = files.hosts().unwrap();
    let web1 = &read.hosts[&host_name("web1")];
    assert_eq!(web1.address.to_string(), "tcp://10.0.0.5:2376", "with TLS the port is 2376");
    assert_eq!(web1.labels.get("example.com/rack").unwrap().as_str(), "a1");
    let tls = web1.tls.as_ref().unwrap();
    assert_eq!(tls.group.as_deref(), Some("prod"));
    assert_eq!(tls.material.private_key_pem().unwrap().expose(), key);
    assert_eq!(read.tls_groups["prod"], tls.material);
    let web2 = read.hosts[&host_name("web2")].tls.as_ref().unwrap();
    assert_eq!((&web2.group, web2.material.certificate_pem()), (&None, None));
    assert!(read.hosts[&host_name("web3")].insecure);
}

#[test]
fn mistakes_in_the_file_have_line_and_column() {
    let (certificate, key) = certificate_and_key();
    let (_, other_key) = certificate_and_key();
    let host = "[[host]]\nname = 'a'\naddress = 'tcp://127.0.0.1'\n";
    let with = |more: &str| format!("{host}{more}");
    for (text, place, expected) in [
        ("colour = 'red'", ":1:1:", "unknown field `colour`"),
        ("\n max_parallel = 'x'", ":2:17:", "expected i64"),
        ("a = [", ":1:", "array"),
        ("max_parallel = 1\nmax_parallel = 2", ":2:1:", "duplicate key"),
        (&with("colour = 'é'\n"), ":4:1:", "unknown field `colour`"),
        (&with("labels = { a = 1 }"), ":4:16:", "expected a string"),
        ("[[host]]\naddress = 'unix:///a'", ":1:1:", "missing field `name`"),
        ("[[host]]\nname = 'a b'\naddress = 'unix:///a'", ":1:1:", "\"a b\" is not a host name"),
        ("\n[[host]]\nname = 'a'\naddress = '10.0.0.5:2375'", ":2:1:", "host a: address: "),
        (
            "[[host]]\nname = 'a'\naddress = 'tcp://10.0.0.5'",
            ":1:1:",
            "allow it with `insecure` (on the command line: --insecure)",
        ),
        (&with("labels = { '-x' = 'y' }"), ":1:1:", "host a: labels: \"-x\" is not a label key"),
        (&with(host), ":4:1:", "duplicate name"),
        (&with("tls = 'prod'"), ":1:1:", "\"prod\" is not a certificate group of this file"),
        (&with("tls = 'prod'\ntls_ca = 'ca.pem'"), ":1:1:", "both a certificate group"),
        (&with("tls_cert = 'cert.pem'"), ":1:1:", "also set tls_ca"),
        (&with("tls_ca = 'notes'"), ":1:1:", "notes: the CA certificate must be PEM"),
        (&with("tls_ca = 'ca.pem'\ntls_cert = 'ca.pem'"), ":1:1:", "the private key is missing"),
        ("[tls.'a b']\nca = 'ca.pem'", ":1:1:", "not a valid name for a certificate group"),
        ("[tls.p]\ncert = 'ca.pem'", ":1:1:", "missing field `ca`"),
        (
            "\n[tls.p]\nca = 'ca.pem'\ncert = 'ca.pem'\nkey = 'other.pem'",
            ":2:1:",
            "other.pem: the private key does not match",
        ),
    ] {
        let files = Files::new(&[
            ("wharfd.toml", text),
            ("ca.pem", &certificate),
            ("key.pem", &key),
            ("other.pem", &other_key),
            ("notes", "hello"),
        ]);
        let problem = refusal(files.hosts());
        assert!(problem.contains(&format!("wharfd.toml{place}")), "{text:?}: {problem}");
        assert!(problem.contains(expected), "{text:?}: {problem}");
        // The server itself reads the same file with the same answer.
        assert_eq!(refusal(load(&["--config", &files.path("wharfd.toml")], &[])), problem);
    }
    let files = Files::new(&[("wharfd.toml", "[tls.p]\nca = 'gone.pem'")]);
    let problem = refusal(files.hosts());
    assert!(problem.contains("[tls.p]: cannot read") && problem.contains("gone.pem"), "{problem}");
}

#[test]
fn a_file_that_was_there_must_be_there_again() {
    let files = Files::new(&[("wharfd.toml", "[[host]]\nname = 'a'\naddress = 'unix:///a'")]);
    let config = load(&["--config", &files.path("wharfd.toml")], &[]).unwrap();
    assert_eq!(config.file.load_hosts().unwrap(), config.hosts);
    fs::remove_file(files.path("wharfd.toml")).unwrap();
    assert!(refusal(config.file.load_hosts()).contains("cannot read"));

    let optional = ConfigFile::Optional(files.0.path().join("wharfd.toml"));
    assert_eq!(optional.load_hosts().unwrap(), FileHosts::default());
    assert_eq!(ConfigFile::None.load_hosts().unwrap(), FileHosts::default());
}

#[test]
fn metrics_are_off_and_stay_on_this_machine_unless_the_operator_says_so() {
    let metrics = |flags: &[&str], variables: &[(&str, &str)]| {
        load(flags, variables).map(|config| config.metrics.map(|listen| listen.to_string()))
    };
    assert_eq!(metrics(&[], &[]).unwrap(), None);
    for local in ["tcp://127.0.0.1:9464", "tcp://localhost:9464", "tcp://[::1]:0", "unix:///m.sock"]
    {
        let served = metrics(&["--metrics-listen", local], &[]).unwrap();
        assert_eq!(served.as_deref(), Some(local));
    }
    let everywhere = ("WHARFD_METRICS_LISTEN", "tcp://0.0.0.0:9464");
    let refused = refusal(metrics(&[], &[everywhere]));
    assert!(refused.starts_with("WHARFD_METRICS_LISTEN: tcp://0.0.0.0:9464 is not"), "{refused}");
    assert!(refused.contains("--metrics-without-authentication"), "{refused}");
    // The switch for the API is another one.
    let open = "--insecure-tcp-without-authentication";
    refusal(metrics(&[open], &[everywhere]));
    for (flag, variable) in [
        (&["--metrics-without-authentication"][..], None),
        (&[], Some(("WHARFD_METRICS_WITHOUT_AUTHENTICATION", "true"))),
    ] {
        let variables: Vec<_> = [everywhere].into_iter().chain(variable).collect();
        assert_eq!(metrics(flag, &variables).unwrap().as_deref(), Some("tcp://0.0.0.0:9464"));
    }
    let refused = refusal(metrics(&["--metrics-listen", "9464"], &[]));
    assert!(refused.starts_with("--metrics-listen: \"9464\" is not a listen address"), "{refused}");
    let twice = ["--listen", "unix:///a", "--metrics-listen", "unix:///a"];
    assert!(refusal(metrics(&twice, &[])).contains("also an address of the API"));
    let files = Files::new(&[("wharfd.toml", "metrics_listen = \"tcp://10.0.0.1:9464\"")]);
    let refused = refusal(metrics(&["--config", &files.path("wharfd.toml")], &[]));
    assert!(refused.contains("wharfd.toml: metrics_listen: tcp://10.0.0.1:9464"), "{refused}");
}

#[test]
fn traces_are_off_and_go_where_a_flag_a_variable_or_the_file_says() {
    let traces = |flags: &[&str], variables: &[(&str, &str)]| {
        load(flags, variables).map(|config| config.collector.map(|it| it.to_string()))
    };
    assert_eq!(traces(&[], &[]).unwrap(), None);
    let files = Files::new(&[("wharfd.toml", "otlp_endpoint = \"http://file:4317\"")]);
    let file = ["--config", &files.path("wharfd.toml")];
    let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4317/");
    let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces");
    let own = ("WHARFD_OTLP_ENDPOINT", "http://[::1]:4317");
    let flag = [file[0], file[1], "--otlp-endpoint", "http://flag:4317"];
    for (flags, variables, expected) in [
        (&file[..], &[][..], "http://file:4317"),
        (&file, &[general], "http://general:4317"),
        (&file, &[general, of_traces], "https://traces"),
        (&file, &[general, of_traces, own], "http://[::1]:4317"),
        (&flag, &[general, of_traces, own], "http://flag:4317"),
        (&[], &[general, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "http://general:4317"),
        // Only about endpoints of OpenTelemetry's variables.
        (&[], &[own, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")], "http://[::1]:4317"),
    ] {
        assert_eq!(traces(flags, variables).unwrap().as_deref(), Some(expected));
    }
    assert_eq!(traces(&[], &[general, ("OTEL_SDK_DISABLED", "true")]).unwrap(), None);
    let protocol = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let refused = refusal(traces(&[], &[general, protocol]));
    assert!(refused.starts_with("OTEL_EXPORTER_OTLP_PROTOCOL: \"http/protobuf\" is"), "{refused}");
    for (text, expected) in [
        ("127.0.0.1:4317", "write http://HOST:PORT"),
        ("collector:4317", "write http://HOST:PORT"),
        ("http://", "write http://HOST:PORT"),
        ("http://a:4318/v1/traces", "has a path"),
        ("https://ann:secret@a:4317", "OTEL_EXPORTER_OTLP_HEADERS"),
    ] {
        let refused = refusal(traces(&["--otlp-endpoint", text], &[]));
        assert!(refused.starts_with("--otlp-endpoint: "), "{refused}");
        assert!(refused.contains(expected) && !refused.contains("secret"), "{refused}");
    }
}

#[test]
fn the_example_loads_and_has_every_key() {
    let example = include_str!("../../../examples/wharfd.toml");
    let files = Files::new(&[("wharfd.toml", example), ("tokens", "ci:operator:0123456789abcdef")]);
    fs::create_dir(files.path("tls")).unwrap();
    for (certificate, key) in [
        ("server.pem", "server-key.pem"),
        ("client-ca.pem", "client-ca-key.pem"),
        ("docker-ca.pem", "docker-ca-key.pem"),
        ("wharfd.pem", "wharfd-key.pem"),
        ("db1-ca.pem", "db1-ca-key.pem"),
        ("db1-client.pem", "db1-client-key.pem"),
    ] {
        let (certificate_pem, key_pem) = certificate_and_key();
        fs::write(files.path("tls") + "/" + certificate, certificate_pem).unwrap();
        fs::write(files.path("tls") + "/" + key, key_pem).unwrap();
    }
    let config = load(&["--config", &files.path("wharfd.toml")], &[]).unwrap();
    assert_eq!(config.hosts.hosts.len(), 5);
    assert!(matches!(config.access, Access::Secured { .. }), "{:?}", config.access);

    let keys: toml::Table = example.parse().unwrap();
    for argument in Arguments::command().get_arguments() {
        let id = argument.get_id().as_str();
        if !["config", "help", "version"].contains(&id) {
            assert!(keys.contains_key(id), "{id} is missing in examples/wharfd.toml");
        }
    }
}
