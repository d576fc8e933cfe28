//! Fuzz targets: whatever a caller writes is read without a panic, and what was read says the
//! same when it is written again. See `engine/fuzz.rs`.

use bolero::check;
use wharf_fuzz::edited_text;

use super::*;

#[test]
fn fuzz_image_reference() {
    let digest = format!("r.io:5000/team/app:v1@sha256:{}", "0f".repeat(32));
    let seeds = ["app", "docker.io/library/app:v1.2", "[::1]:5000/a/b", &digest, "sha256:4bc1a0f5"];
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &seeds);
        if let Ok(reference) = ImageReference::parse(&text) {
            assert_eq!(ImageReference::parse(&reference.to_string()), Ok(reference.clone()));
            let parameters = reference.engine_pull_params();
            assert!(!parameters.from_image.is_empty() && !parameters.tag.is_empty());
            assert!(!reference.path().is_empty());
            assert!(!reference.repository().split('/').any(|part| matches!(part, "" | "." | "..")));
            let tagged = reference.clone().with_default_tag();
            assert!(tagged.tag().is_some() || tagged.digest().is_some());
            RegistryHost::parse(reference.registry().as_str()).unwrap();
        }
        if let Ok(name) = ImageName::parse(&text) {
            assert_eq!(ImageName::parse(&name.to_string()), Ok(name));
        }
        if let Ok(digest) = Digest::parse(&text) {
            assert_eq!(Digest::parse(digest.as_str()), Ok(digest));
        }
    });
}

#[test]
fn fuzz_label_selector() {
    let seeds = ["env=prod,tier in (web, api),!canary,zone!=a", "a notin (,b),c==d", "x.y/z"];
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &seeds);
        match LabelSelector::parse(&text) {
            Ok(selector) => {
                let written = selector.to_string();
                assert_eq!(LabelSelector::parse(&written), Ok(selector.clone()), "{written}");
                selector.matches(&Labels::default());
            }
            Err(error) => {
                assert!(error.position <= text.len() && text.is_char_boundary(error.position));
                one_line(&error);
            }
        }
    });
}

#[test]
fn fuzz_names() {
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &["web-1_a.b", "/web", "example.com/tier=web", "r.io:5000"]);
        match ContainerRef::parse(&text) {
            Ok(name) => {
                assert!(name.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'));
                assert_eq!(ContainerRef::parse(name.as_str()), Ok(name));
            }
            Err(error) => one_line(&error),
        }
        match ContainerName::parse(&text) {
            Ok(name) => assert_eq!(name.as_str(), text),
            Err(error) => one_line(&error),
        }
        match HostName::parse(&text) {
            Ok(name) => assert_eq!(name.as_str(), text),
            Err(error) => one_line(&error),
        }
        match LabelKey::parse(&text) {
            Ok(key) => assert_eq!(LabelKey::parse(key.as_str()), Ok(key)),
            Err(error) => one_line(&error),
        }
        match LabelValue::parse(&text) {
            Ok(value) => assert_eq!(LabelValue::parse(value.as_str()), Ok(value)),
            Err(error) => one_line(&error),
        }
        match RegistryHost::parse(&text) {
            Ok(registry) => {
                assert_eq!(RegistryHost::parse(registry.as_str()), Ok(registry));
            }
            Err(error) => one_line(&error),
        }
        if let Err(error) = Role::parse(&text) {
            one_line(&error);
        }
        assert!(!quoted(&text).chars().any(is_invisible));
    });
}

#[test]
fn fuzz_host_address() {
    let seeds = [
        "unix:///run/docker.sock",
        "tcp://[fe80::1]:2376",
        "https://node-1.example.com",
        "ssh://ann@web1:22/run/d.sock",
    ];
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &seeds);
        for transport in [Transport::Plain, Transport::Tls] {
            match HostAddress::parse(&text, transport) {
                Ok(address) => {
                    let again = HostAddress::parse(&address.to_string(), transport);
                    assert_eq!(again, Ok(address.clone()), "{text:?}");
                    let _ = (address.is_local(), address.may_be_plain(false));
                }
                Err(error) => one_line(&error),
            }
        }
    });
}

#[test]
fn fuzz_tls_material() {
    let pair = rcgen::generate_simple_self_signed(["node".to_owned()]).unwrap();
    let (certificate, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let seeds = [certificate.as_str(), &key, "-----BEGIN CERTIFICATE-----\n"];
    check!().for_each(|bytes: &[u8]| {
        let text = edited_text(bytes, &seeds);
        let none = || Secret::new("");
        for material in [
            TlsMaterial::new(text.clone(), "", none()),
            TlsMaterial::new(certificate.clone(), text.clone(), Secret::new(key.clone())),
            TlsMaterial::new(certificate.clone(), certificate.clone(), Secret::new(text.clone())),
        ] {
            match material {
                Ok(material) => drop(material.client_validity()),
                Err(error) => one_line(&error),
            }
        }
    });
}

/// What is said of wrong input is one line, whatever the input.
fn one_line(error: &dyn std::error::Error) {
    let text = error.to_string();
    assert!(!text.is_empty() && text.len() < 2000, "{} bytes", text.len());
    assert!(!text.chars().any(is_invisible), "{text:?}");
}
