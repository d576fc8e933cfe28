//! Certificates for an Engine that listens with TLS: the files that `DOCKER_CERT_PATH` names.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

/// PEM files of an authority, and of a server and a client that it has signed.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Certificate of the authority.
    pub ca: PathBuf,
    /// Certificate of the client, and its key as PKCS#8.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Certificate of the server for 127.0.0.1 and `localhost`, and its key.
    pub server_cert: PathBuf,
    pub server_key: PathBuf,
}

impl TlsFiles {
    /// A new authority, so that nothing signed for another directory is accepted.
    pub fn create(directory: &Path) -> anyhow::Result<TlsFiles> {
        fs::create_dir_all(directory)?;
        let write = |name: &str, text: String| -> anyhow::Result<PathBuf> {
            let path = directory.join(name);
            fs::write(&path, text)?;
            Ok(path)
        };

        let mut authority = named("Wharf testbed");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let mut server = named("engine");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.subject_alt_names = vec![
            SanType::IpAddress([127, 0, 0, 1].into()),
            SanType::DnsName("localhost".try_into()?),
        ];
        let server_key = KeyPair::generate()?;
        let server = server.signed_by(&server_key, &authority)?;

        let mut client = named("client");
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client_key = KeyPair::generate()?;
        let client = client.signed_by(&client_key, &authority)?;

        Ok(TlsFiles {
            ca: write("ca.pem", authority.pem())?,
            cert: write("cert.pem", client.pem())?,
            key: write("key.pem", client_key.serialize_pem())?,
            server_cert: write("server-cert.pem", server.pem())?,
            server_key: write("server-key.pem", server_key.serialize_pem())?,
        })
    }
}

fn named(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}
