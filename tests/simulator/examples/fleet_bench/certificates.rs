//! Certificates for hosts with TLS: one authority, a certificate for the address of each host, and one
//! for the clients, in the files that `DOCKER_CERT_PATH` names.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

/// An authority whose files are in a directory.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    verifier: Arc<dyn rustls::server::danger::ClientCertVerifier>,
    /// All hosts have one key: making thousands would take longer than the measurement.
    host_key: KeyPair,
}

impl Authority {
    /// Makes one with a client, or takes the one that another process has made there.
    pub fn in_directory(directory: &Path) -> anyhow::Result<Self> {
        let mut parameters = named("bench authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key_file = directory.join("ca-key.pem");
        let found = key_file.exists();
        let key = if found {
            KeyPair::from_pem(&fs::read_to_string(&key_file)?)?
        } else {
            KeyPair::generate()?
        };
        let issuer = CertifiedIssuer::self_signed(parameters, key)?;
        if !found {
            fs::create_dir_all(directory)?;
            let mut client = named("bench client");
            client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            let client_key = KeyPair::generate()?;
            let client = client.signed_by(&client_key, &issuer)?;
            fs::write(directory.join("ca.pem"), issuer.pem())?;
            fs::write(directory.join("cert.pem"), client.pem())?;
            fs::write(directory.join("key.pem"), client_key.serialize_pem())?;
            fs::write(key_file, issuer.key().serialize_pem())?;
        }
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone())?;
        let verifier = WebPkiClientVerifier::builder(roots.into()).build()?;
        Ok(Self { issuer, verifier, host_key: KeyPair::generate()? })
    }

    /// What a host at an address listens with. It wants a certificate of its clients, and resumes no
    /// session.
    pub fn host(&self, address: IpAddr) -> anyhow::Result<Arc<ServerConfig>> {
        let mut parameters = named("host");
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.subject_alt_names = vec![SanType::IpAddress(address)];
        let certificate = parameters.signed_by(&self.host_key, &self.issuer)?;
        let chain = vec![CertificateDer::from(certificate)];
        let key = PrivateKeyDer::try_from(self.host_key.serialize_der());
        let key = key.map_err(anyhow::Error::msg).context("the key of the hosts")?;
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(Arc::clone(&self.verifier))
            .with_single_cert(chain, key)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

fn named(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}
