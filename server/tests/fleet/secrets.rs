//! Credentials are sent only to their own registry.

use std::fmt::Debug;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use wharf::v1;
use wharf_simulator::{HttpFault, Operation, SimRegistry, When};

use crate::support::{Answer, Fleet, IMAGE, Log, all, name};

const PASSWORD: &str = "canary-pa55word-5d1f";
const TOKEN: &str = "canary-t0ken-93ab";

/// The secret, and what of it every encoding in base64 contains, wherever in the text it stands.
fn traces_of(secret: &str) -> Vec<String> {
    let mut traces = vec![secret.to_owned()];
    for shift in 0..3 {
        let encoded = URL_SAFE.encode(format!("{}{secret}", "x".repeat(shift)));
        traces.push(encoded[4..encoded.len() - 4].to_owned());
    }
    traces
}

#[track_caller]
fn has_no_secret(what: &str, text: &str) {
    for trace in [PASSWORD, TOKEN].into_iter().flat_map(traces_of) {
        if let Some(at) = text.find(&trace) {
            let begin = text[..at].rfind('\n').map_or(0, |line| line + 1);
            panic!("{what} has a secret: {}", &text[begin..(at + trace.len())]);
        }
    }
}

fn credentials(registry: &str, password: &str, identity_token: &str) -> v1::RegistryCredentials {
    v1::RegistryCredentials {
        registry: registry.to_owned(),
        username: if password.is_empty() { String::new() } else { "canary".to_owned() },
        password: password.to_owned(),
        identity_token: identity_token.to_owned(),
    }
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_gets_out() {
    let log = Log::take_down();
    let fleet = Fleet::new(3).await;
    fleet.registries.add("canary.test", SimRegistry::with_user("canary", PASSWORD));
    let mut said = String::new();
    let mut hear = |answer: &dyn Debug| said.push_str(&format!("{answer:?}\n"));

    for registry in ["canary.test", "private.test", "nowhere.test"] {
        for (password, token) in [(PASSWORD, ""), ("", TOKEN)] {
            let given = credentials(registry, password, token);
            // Engines that repeat what they were sent, as some registries and proxies do.
            let message = format!("denied: {password}{token} is not known here");
            for operation in [Operation::Pull, Operation::Push, Operation::Login] {
                let refuse = HttpFault::Refuse { status: 500, message: message.clone() };
                let say = HttpFault::StreamError { after_lines: 0, message: message.clone() };
                for (place, fault) in [(1, refuse), (2, say)] {
                    fleet.host(place).faults.add(When::on(operation).once(), fault);
                }
            }
            let pull = v1::PullImageRequest {
                targets: all(),
                reference: format!("{registry}/app:v2"),
                credentials: Some(given.clone()),
                request_id: uuid::Uuid::new_v4().to_string(),
                ..Default::default()
            };
            hear(&pull);
            hear(&Answer::of(fleet.images().pull_image(pull.clone())).await);
            hear(&Answer::of(fleet.images().pull_image(pull)).await);
            let tag = v1::TagImageRequest {
                targets: all(),
                source: IMAGE.to_owned(),
                target: format!("{registry}/mine:v1"),
                ..Default::default()
            };
            hear(&Answer::of(fleet.images().tag_image(tag)).await);
            let push = v1::PushImageRequest {
                targets: all(),
                reference: format!("{registry}/mine:v1"),
                credentials: Some(given.clone()),
                ..Default::default()
            };
            hear(&Answer::of(fleet.images().push_image(push)).await);
            let check = v1::CheckLoginRequest {
                targets: all(),
                credentials: Some(given.clone()),
                ..Default::default()
            };
            hear(&Answer::of(fleet.registry().check_login(check)).await);
            let login = v1::LoginRequest { credentials: Some(given), ..Default::default() };
            hear(&fleet.registry().login(login).await);
        }
    }
    let logins = fleet.registry().list_logins(v1::ListLoginsRequest {}).await.unwrap();
    hear(&logins);
    assert_eq!(logins.get_ref().logins.len(), 1, "the right one is kept");
    has_no_secret("an answer", &said);

    // Kept, it is used; and sealed, it is not to be read.
    let kept = v1::PullImageRequest {
        targets: all(),
        reference: "canary.test/missing:v1".to_owned(),
        ..Default::default()
    };
    let pulled = Answer::of(fleet.images().pull_image(kept)).await;
    assert_eq!(pulled.code_and_reason(&name(0)).1, "IMAGE_NOT_FOUND", "and not denied");
    let kept = files(&fleet.directory().join("data"));
    assert!(kept.iter().any(|path| path.ends_with("wharf.db")));
    for path in kept {
        has_no_secret("a file", &String::from_utf8_lossy(&std::fs::read(path).unwrap()));
    }
    let text = log.text();
    assert!(text.contains("/wharf.v1.RegistryService/Login"), "the log is taken down");
    has_no_secret("the log", &text);
}
