use proptest::prelude::*;

use super::*;

fn certificate_and_key() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["web1".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn refusal(ca: &str, certificate: &str, key: &str) -> String {
    TlsMaterial::new(ca, certificate, Secret::new(key)).unwrap_err().to_string()
}

#[test]
fn good_material_is_kept_as_it_is() {
    let (certificate, key) = certificate_and_key();
    let two = format!("{certificate}{certificate}");
    let material = TlsMaterial::new(&*two, &*certificate, Secret::new(&*key)).unwrap();
    assert_eq!(material.ca_pem(), two);
    assert_eq!(material.certificate_pem(), Some(&*certificate));
    assert_eq!(material.private_key_pem().unwrap().expose(), key);
    assert!(!format!("{material:?}").contains("PRIVATE KEY"), "the key must not be shown");

    let without = TlsMaterial::new(certificate, "", Secret::new("")).unwrap();
    assert_eq!(without.certificate_pem(), None);
}

#[test]
fn each_mistake_names_the_part_and_what_was_found() {
    let (certificate, key) = certificate_and_key();
    let (_, other_key) = certificate_and_key();
    let damaged = certificate.replace("-----END CERTIFICATE-----", "");
    let not_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (ca, cert, private, part, expected) in [
        ("", "", "", "CA certificate", "is missing"),
        ("hello", "", "", "CA certificate", "not PEM"),
        (&*key, "", "", "CA certificate", "it has PRIVATE KEY"),
        (&*damaged, "", "", "CA certificate", "damaged"),
        (not_x509, "", "", "CA certificate", "not a readable certificate"),
        (&*certificate, &*certificate, "", "private key", "is missing"),
        (&*certificate, "", &*key, "certificate", "is missing"),
        (&*certificate, "hello", &*key, "certificate", "not PEM"),
        (&*certificate, not_x509, &*key, "certificate", "not a readable certificate"),
        (&*certificate, &*certificate, "hello", "private key", "not PEM"),
        (&*certificate, &*certificate, &*certificate, "private key", "it has CERTIFICATE"),
        (&*certificate, &*certificate, encrypted, "private key", "is encrypted"),
        (&*certificate, &*certificate, legacy, "private key", "is encrypted"),
        (&*certificate, &*certificate, no_key, "private key", "unsupported type"),
        (&*certificate, &*certificate, &*other_key, "private key", "does not match"),
    ] {
        let message = refusal(ca, cert, private);
        assert!(message.starts_with(&format!("the {part}")), "{message}");
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

proptest! {
    #[test]
    fn any_text_is_answered_without_showing_the_key(text in "[a-zA-Z0-9+/=\\n -]{20,60}") {
        let (certificate, _) = certificate_and_key();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        if let Err(error) = TlsMaterial::new(&*certificate, &*certificate, Secret::new(pem)) {
            let text = text.trim();
            prop_assert!(text.len() < 20 || !error.to_string().contains(text));
        }
    }
}
