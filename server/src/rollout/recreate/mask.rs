//! Masks settings of a container that may be secret.

use serde_json::Value;

/// Replaces a secret.
pub(super) const HIDDEN: &str = "(hidden)";

/// Parts of names whose values are secrets.
const WORDS: [&str; 17] = [
    "accesskey",
    "apikey",
    "auth",
    "bearer",
    "connectionstring",
    "credential",
    "dsn",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "pwd",
    "secret",
    "sessionkey",
    "signingkey",
    "sshkey",
    "token",
];

/// Whether a name is that of a secret, regardless of case and separators.
pub(super) fn is_secret_name(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    WORDS.iter().any(|word| plain.contains(word))
}

/// The value as JSON on one line, with likely secrets masked.
pub(super) fn shown(value: &Value) -> String {
    hide(value).to_string()
}

fn hide(value: &Value) -> Value {
    match value {
        Value::String(text) if is_secret_text(text) => HIDDEN.into(),
        Value::Array(list) => {
            let mut after_flag = false;
            let hidden = list.iter().map(|item| {
                let hide_it = std::mem::take(&mut after_flag);
                let text = item.as_str().unwrap_or_default();
                // `--password s3cret`: the flag is harmless, but the next argument is not.
                let is_flag = text.starts_with('-') && !text.contains(['=', ' ']);
                if hide_it {
                    return HIDDEN.into();
                }
                if is_flag {
                    after_flag = is_secret_name(text);
                    return item.clone();
                }
                hide(item)
            });
            hidden.collect()
        }
        Value::Object(object) => object
            .iter()
            .map(|(key, item)| {
                let item = if is_secret_name(key) { HIDDEN.into() } else { hide(item) };
                (key.clone(), item)
            })
            .collect(),
        other => other.clone(),
    }
}

/// Whether a text contains a secret: the name of one followed by something, or a URL with a
/// password.
fn is_secret_text(text: &str) -> bool {
    let has_login = text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'))
    });
    has_login || (text.contains(['=', ':', ' ']) && is_secret_name(text))
}
