//! Fuzz targets: whatever a caller sends is read without a panic, and what is wrong with it is
//! named. See `engine/fuzz.rs`.

use bolero::check;
use prost::{Message, Name};
use prost_reflect::DescriptorPool;
use tonic::metadata::MetadataMap;
use wharf::v1;
use wharf_fuzz::{edited, edited_text};

use crate::body::create::container_body;
use crate::body::update::update_body;
use crate::body::violation::{FieldViolation, Violations};

#[test]
fn fuzz_deadline() {
    let now = tokio::time::Instant::now();
    check!().for_each(|bytes: &[u8]| {
        let mut metadata = MetadataMap::new();
        if let Ok(value) = edited_text(bytes, &["500m", "99999999H"]).parse() {
            metadata.insert("grpc-timeout", value);
            super::deadline::work_deadline(&metadata, now);
        }
    });
}

#[test]
fn fuzz_rollout_spec() {
    check!().for_each(|bytes: &[u8]| {
        let Ok(spec) = v1::RolloutSpec::decode(bytes) else { return };
        let mut violations = Violations::default();
        let read = super::rollouts::spec::read(&mut violations, Some(&spec));
        match violations.or(()) {
            Ok(()) => drop(read.unwrap().policy.check("spec.policy", 40)),
            Err(found) => all_named(&found),
        }
    });
}

#[test]
fn fuzz_unknown_fields() {
    let pool = DescriptorPool::decode(wharf::DESCRIPTORS).unwrap();
    let name = v1::CreateRolloutRequest::full_name();
    let message = pool.get_message_by_name(&name).unwrap();
    check!().for_each(|bytes: &[u8]| {
        let found = super::unknown::find(&message, bytes);
        if let Ok(read) = v1::CreateRolloutRequest::decode(bytes)
            && found.is_none()
        {
            // All of it was understood, so what is written again has nothing unknown either.
            assert_eq!(super::unknown::find(&message, &read.encode_to_vec()), None);
        }
        assert!(found.is_none_or(|it| !it.field.is_empty() && !it.what.to_string().is_empty()));
    });
}

#[test]
fn fuzz_container_spec() {
    let bodies = [
        r#"{"Image":"app:v1","Env":["A=1"],"Labels":{"a":"b"},"ExposedPorts":{"80/tcp":{}},"HostConfig":{"Binds":["/a:/b:ro"],"PortBindings":{"80/tcp":[{"HostPort":"8080"}]},"RestartPolicy":{"Name":"always"},"AutoRemove":true,"NetworkMode":"host"},"NetworkingConfig":{"EndpointsConfig":{"front":{}}}}"#,
    ];
    check!().for_each(|bytes: &[u8]| {
        let (message, json) = bytes.split_at(bytes.len() / 2);
        let spec = v1::ContainerSpec::decode(message).unwrap_or_default();
        let engine = v1::EngineJson { json: edited_text(json, &bodies), ..Default::default() };
        for engine in [None, Some(&engine)] {
            match container_body(Some(&spec), engine) {
                Ok(body) => assert!(body.is_object()),
                Err(found) => all_named(&found),
            }
        }
        if let Ok(request) = v1::UpdateContainersRequest::decode(message)
            && let Err(found) = update_body(&request)
        {
            all_named(&found);
        }
    });
}

#[test]
fn fuzz_credentials() {
    let credentials = v1::RegistryCredentials {
        registry: "r.io:5000".to_owned(),
        username: "ann".to_owned(),
        password: "correct horse".to_owned(),
        ..Default::default()
    };
    let seed = String::from_utf8(credentials.encode_to_vec()).unwrap();
    check!().for_each(|bytes: &[u8]| {
        let Ok(credentials) = v1::RegistryCredentials::decode(&edited(bytes, &[&seed])[..]) else {
            return;
        };
        let mut violations = Violations::default();
        let login = super::convert::login(&mut violations, "credentials", &credentials, None);
        assert!(login.is_some() || violations.or(()).is_err());
        let secret = credentials.password.as_str();
        let shown = format!("{credentials:?} {login:?}");
        let told = format!("{:?} {:?}", credentials.registry, credentials.username);
        assert!(secret.len() < 8 || told.contains(secret) || !shown.contains(secret));
    });
}

fn all_named(violations: &[FieldViolation]) {
    assert!(!violations.is_empty());
    for violation in violations {
        assert!(!violation.field.is_empty() && !violation.description.is_empty());
    }
}
