use proptest::prelude::*;

use super::*;

fn plain(text: &str) -> Result<String, AddressError> {
    HostAddress::parse(text, Transport::Plain).map(|address| address.to_string())
}

#[test]
fn good_addresses_are_canonical() {
    for (text, expected) in [
        ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
        ("UNIX:///a b.sock", "unix:///a b.sock"),
        ("tcp://10.0.0.5:2376", "tcp://10.0.0.5:2376"),
        ("tcp://Web1.Example.COM", "tcp://web1.example.com:2375"),
        ("tcp://web_1:1/", "tcp://web_1:1"),
        ("tcp://[FD00::5]:65535", "tcp://[fd00::5]:65535"),
        ("tcp://[::1]", "tcp://[::1]:2375"),
        ("tcp://localhost", "tcp://localhost:2375"),
        ("tcp://0xcafe.example", "tcp://0xcafe.example:2375"),
    ] {
        assert_eq!(plain(text).unwrap(), expected, "{text}");
    }
    let secured = HostAddress::parse("tcp://db", Transport::Tls).unwrap();
    assert_eq!(secured.to_string(), "tcp://db:2376");
}

#[test]
fn each_mistake_has_its_own_answer() {
    let long = format!("unix:///{}", "a".repeat(107));
    for (text, expected) in [
        ("", "is empty"),
        ("10.0.0.5:2375", "no scheme"),
        ("/run/docker.sock", "write unix:///run/docker.sock"),
        ("http://10.0.0.5:2375", "write tcp://HOST:PORT"),
        ("https://web1", "begins with https://"),
        ("npipe:////./pipe/docker_engine", "unsupported scheme"),
        ("tcp://root:secret@web1", "user or password"),
        ("tcp://web1:2375/v1.41", "only tcp://"),
        ("tcp://web1?x=1", "only tcp://"),
        ("tcp://web1#x", "only tcp://"),
        ("tcp://", "neither a host name"),
        ("tcp://2852039166:2375", "neither a host name"),
        ("tcp://0x7f.1", "neither a host name"),
        ("tcp://127.1", "neither a host name"),
        ("tcp://a.0x7f", "neither a host name"),
        ("tcp://127.0.0.01", "neither a host name"),
        ("tcp://10.0.0.256", "neither a host name"),
        ("tcp://::1:2375", "in brackets"),
        ("tcp://[::1", "in brackets"),
        ("tcp://[fe80::1%eth0]", "in brackets"),
        ("tcp://web1..example", "neither a host name"),
        ("tcp://-web", "neither a host name"),
        ("tcp://web 1", "neither a host name"),
        ("tcp://wéb", "neither a host name"),
        ("tcp://web%2e1", "neither a host name"),
        ("tcp://web1:", "not a port"),
        ("tcp://web1:0", "not a port"),
        ("tcp://web1:+80", "not a port"),
        ("tcp://web1:70000", "not a port"),
        ("unix://var/run/docker.sock", "must be absolute"),
        ("unix:///run/", "directory"),
        ("unix:///run/a\nb", "control characters"),
        (&long, "107 bytes"),
    ] {
        let message = plain(text).unwrap_err().to_string();
        assert!(message.contains(expected), "{text:?}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn connections_without_tls_stay_on_this_machine_or_go_over_ssh() {
    for (text, local) in [
        ("unix:///run/docker.sock", true),
        ("tcp://localhost:1", true),
        ("tcp://127.8.8.8:1", true),
        ("tcp://[::1]:1", true),
        ("tcp://[::ffff:127.0.0.1]:1", true),
        ("tcp://10.0.0.1:1", false),
        ("tcp://0.0.0.0:1", false),
        ("tcp://localhost.example.com:1", false),
        ("tcp://[fd00::1]:1", false),
        ("ssh://web1", true),
    ] {
        let address = HostAddress::parse(text, Transport::Plain).unwrap();
        assert_eq!(address.may_be_plain(false), local, "{text}");
        assert!(address.may_be_plain(true), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "\\PC*") {
        let _ = HostAddress::parse(&text, Transport::Plain);
        let _ = HostAddress::parse(&format!("tcp://{text}"), Transport::Tls);
    }

    #[test]
    fn display_reads_back(
        text in "(unix:///[a-z/ .é]{1,20}|tcp://([a-zA-Z0-9._-]{1,20}|\\[[0-9a-f:]{2,12}\\]|[0-9.]{1,15})(:[0-9]{1,5})?)"
    ) {
        if let Ok(address) = HostAddress::parse(&text, Transport::Plain) {
            let shown = address.to_string();
            prop_assert_eq!(HostAddress::parse(&shown, Transport::Tls).unwrap(), address);
        }
    }

    #[test]
    fn a_tcp_address_is_the_authority_it_says(text in "tcp://[a-z0-9.:@/?#%\\[\\]_-]{1,24}") {
        if let Ok(HostAddress::Tcp(tcp)) = HostAddress::parse(&text, Transport::Plain) {
            let url = url::Url::parse(&format!("http://{tcp}/_ping")).unwrap();
            prop_assert_eq!(url.path(), "/_ping");
            prop_assert_eq!(url.port_or_known_default(), Some(tcp.port()));
            prop_assert_eq!(url.host_str().unwrap().to_owned(), tcp.host().to_string());
        }
    }
}
