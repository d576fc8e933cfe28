//! Connections with TLS, and the messages when they fail.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection};
use rustls::{StreamOwned, SupportedProtocolVersion};
use wharf_server::domain::{HostAddress, Secret, TlsMaterial, Transport};
use wharf_server::engine::http::HttpConnector;
use wharf_server::engine::{EngineError, ErrorKind, Ping};

use crate::server::{Server, Step, whole};

/// Fewer would fit in what rustls remembers by default: the sessions of 32 servers.
const FLEET: u8 = 80;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: rustls::pki_types::CertificateDer<'static>,
}

struct Leaf {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        Self::named("authority")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    fn leaf(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> Leaf {
        self.leaf_of(name, usage, (1975, 4096))
    }

    /// A certificate that is valid from the first day of one year to that of another.
    fn leaf_of(&self, name: &str, usage: ExtendedKeyUsagePurpose, years: (i32, i32)) -> Leaf {
        self.leaf_for(vec![name.to_owned()], usage, years)
    }

    fn leaf_for(
        &self,
        names: Vec<String>,
        usage: ExtendedKeyUsagePurpose,
        years: (i32, i32),
    ) -> Leaf {
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        Leaf { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    fn server(&self, name: &str) -> Leaf {
        self.leaf(name, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// What a client presents that trusts this authority.
    fn material(&self, client: Option<&Authority>) -> TlsMaterial {
        let (certificate, key) = client.map_or_else(Default::default, |authority| {
            let leaf = authority.leaf("wharfd", ExtendedKeyUsagePurpose::ClientAuth);
            (leaf.certificate.pem(), leaf.key.serialize_pem())
        });
        TlsMaterial::new(&self.pem, certificate, Secret::new(key)).unwrap()
    }
}

struct TlsServer {
    address: HostAddress,
    accepted: Arc<AtomicUsize>,
    /// How many handshakes resumed a session.
    resumed: Arc<AtomicUsize>,
}

/// An Engine behind TLS that answers every request like a ping; with `clients` it wants a
/// certificate signed by that authority. It ends with the process.
fn serve(leaf: &Leaf, clients: Option<&Authority>) -> TlsServer {
    let config = config(leaf, clients, rustls::ALL_VERSIONS);
    listen(config, Ipv4Addr::LOCALHOST, "")
}

fn config(
    leaf: &Leaf,
    clients: Option<&Authority>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::try_from(leaf.key.serialize_der()).unwrap();
    let mut config = builder.with_single_cert(vec![leaf.certificate.der().clone()], key).unwrap();
    // As Engines from 29.2 on offer it.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(4096);
    Arc::new(config)
}

/// Serves answers with the given headers. With `Connection: close`, each is the last of its
/// connection.
fn listen(config: Arc<ServerConfig>, at: Ipv4Addr, headers: &'static str) -> TlsServer {
    let listener = TcpListener::bind((at, 0)).unwrap();
    let text = format!("tcp://{}", listener.local_addr().unwrap());
    let (accepted, resumed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&accepted), Arc::clone(&resumed));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counts.0.fetch_add(1, Ordering::SeqCst);
            let (config, resumed) = (Arc::clone(&config), Arc::clone(&counts.1));
            std::thread::spawn(move || {
                let connection = ServerConnection::new(config).unwrap();
                let mut stream = StreamOwned::new(connection, stream.unwrap());
                let mut bytes = [0; 4096];
                let mut is_first = true;
                while stream.read(&mut bytes).is_ok_and(|read| read > 0) {
                    if is_first && stream.conn.handshake_kind() == Some(HandshakeKind::Resumed) {
                        resumed.fetch_add(1, Ordering::SeqCst);
                    }
                    is_first = false;
                    let headers = format!("Api-Version: 1.41\r\n{headers}");
                    stream.write_all(&whole(200, &headers, b"")).unwrap();
                    if headers.contains("close") {
                        return;
                    }
                }
            });
        }
    });
    let address = HostAddress::parse(&text, Transport::Tls).unwrap();
    TlsServer { address, accepted, resumed }
}

async fn ping(address: &HostAddress, tls: Option<&TlsMaterial>) -> Result<Ping, EngineError> {
    HttpConnector::default().engine(address, tls).unwrap().ping().await
}

async fn tls_error(address: &HostAddress, tls: Option<&TlsMaterial>) -> String {
    let error = ping(address, tls).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Tls, "{error}");
    assert!(!error.message.contains('\n'));
    error.message
}

#[tokio::test]
async fn the_right_certificates_get_through() {
    let authority = Authority::new();
    let leaf = authority.server("127.0.0.1");
    let server = serve(&leaf, None);
    assert!(ping(&server.address, Some(&authority.material(None))).await.is_ok());
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
    let server = serve(&leaf, Some(&authority));
    assert!(ping(&server.address, Some(&authority.material(Some(&authority)))).await.is_ok());
}

#[tokio::test]
async fn the_wrong_certificate_of_an_engine_is_named() {
    let authority = Authority::new();
    let server = serve(&authority.server("127.0.0.1"), None);
    // Another authority, and one that was recreated under the same name.
    for other in [Authority::named("other"), Authority::new()] {
        let message = tls_error(&server.address, Some(&other.material(None))).await;
        assert!(message.contains("not signed by the CA of this host"), "{message}");
    }
    let server = serve(&authority.server("docker.example.com"), None);
    let message = tls_error(&server.address, Some(&authority.material(None))).await;
    assert!(message.contains("subject alternative name"), "{message}");
}

#[tokio::test]
async fn a_client_certificate_that_is_refused_or_missing_is_named() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = serve(&authority.server("127.0.0.1"), Some(&authority));
    for material in [authority.material(None), authority.material(Some(&other))] {
        let message = tls_error(&server.address, Some(&material)).await;
        assert!(message.contains("client certificate"), "{message}");
        assert!(message.contains("check the certificate and key of this host"), "{message}");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_called_expired_with_its_date() {
    let authority = Authority::new();
    for (years, expected) in [
        ((2001, 2003), "the Engine's certificate expired on 2003-01-01T00:00:00Z"),
        ((2090, 2091), "the Engine's certificate is not valid before 2090-01-01T00:00:00Z"),
    ] {
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        let server = serve(&authority.leaf_of("127.0.0.1", usage, years), None);
        let message = tls_error(&server.address, Some(&authority.material(None))).await;
        assert!(message.contains(expected), "{message}");
    }
    let server = serve(&authority.server("127.0.0.1"), Some(&authority));
    for (years, expected) in [
        ((2001, 2003), "the client certificate of this host expired on 2003-01-01T00:00:00Z"),
        ((2090, 2091), "client certificate of this host is not valid before 2090-01-01T00:00:00Z"),
    ] {
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        let leaf = authority.leaf_of("wharfd", usage, years);
        let key = Secret::new(leaf.key.serialize_pem());
        let material = TlsMaterial::new(&authority.pem, leaf.certificate.pem(), key).unwrap();
        let message = tls_error(&server.address, Some(&material)).await;
        assert!(message.contains(expected) && message.contains("renew it"), "{message}");
    }
}

#[tokio::test]
async fn plain_and_tls_that_meet_are_told_apart() {
    let authority = Authority::new();
    let material = authority.material(None);
    // TLS to a plain port.
    let server = Server::engine(|_| Vec::new()).await;
    let plain = Server::start(|_| vec![Step::Close]).await;
    let answering = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!("tcp://{}", answering.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in answering.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400");
        }
    });
    let address = HostAddress::parse(&text, Transport::Tls).unwrap();
    let message = tls_error(&address, Some(&material)).await;
    assert!(message.contains("the port does not use TLS"), "{message}");
    drop((server, plain));
    // Plain to a TLS port, as Engines answer it.
    let server = Server::start(|_| {
        let body = b"Client sent an HTTP request to an HTTPS server.\n";
        vec![Step::Send(whole(400, "", body)), Step::Close]
    })
    .await;
    let message = tls_error(&server.address, None).await;
    assert!(message.contains("uses TLS, but this host has no certificates"), "{message}");
}

#[tokio::test]
async fn hosts_with_the_same_certificates_share_a_client_but_no_connection() {
    let authority = Authority::new();
    let leaf = authority.server("127.0.0.1");
    let (one, two) = (serve(&leaf, Some(&authority)), serve(&leaf, Some(&authority)));
    let material = authority.material(Some(&authority));
    let connector = HttpConnector::default();
    for _ in 0..3 {
        for server in [&one, &two] {
            connector.engine(&server.address, Some(&material)).unwrap().ping().await.unwrap();
        }
    }
    assert_eq!(one.accepted.load(Ordering::SeqCst), 1);
    assert_eq!(two.accepted.load(Ordering::SeqCst), 1);
    let socket = HostAddress::parse("unix:///run/docker.sock", Transport::Plain).unwrap();
    let error = connector.engine(&socket, Some(&material)).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Tls);
    assert!(!format!("{connector:?}").contains("PRIVATE"));
}

#[tokio::test]
async fn connections_to_engines_that_are_opened_again_resume_their_sessions() {
    let authority = Authority::new();
    let names = (1..=FLEET).map(|number| format!("127.2.0.{number}")).collect();
    let leaf = authority.leaf_for(names, ExtendedKeyUsagePurpose::ServerAuth, (1975, 4096));
    let material = authority.material(Some(&authority));
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = config(&leaf, Some(&authority), &[version]);
        let fleet: Vec<TlsServer> = (1..=FLEET)
            .map(|number| {
                let address = Ipv4Addr::new(127, 2, 0, number);
                listen(Arc::clone(&config), address, "Connection: close\r\n")
            })
            .collect();
        let connector = HttpConnector::default();
        let engine = |server: &TlsServer| connector.engine(&server.address, Some(&material));
        for _ in 0..3 {
            for server in &fleet {
                engine(server).unwrap().ping().await.unwrap();
            }
        }
        let full = || -> usize {
            let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
            fleet.iter().map(|server| count(&server.accepted) - count(&server.resumed)).sum()
        };
        // The first of each.
        assert_eq!(full(), usize::from(FLEET), "{version:?}");
        // Other certificates are another identity, which does not go on with the sessions of this one.
        let other = authority.material(Some(&authority));
        connector.engine(&fleet[0].address, Some(&other)).unwrap().ping().await.unwrap();
        assert_eq!(full(), usize::from(FLEET) + 1, "{version:?}");
        // Of a host that was removed, nothing is remembered.
        connector.retain(|address, _| *address != fleet[0].address);
        engine(&fleet[1]).unwrap().ping().await.unwrap();
        assert_eq!(full(), usize::from(FLEET) + 1, "{version:?}");
        engine(&fleet[0]).unwrap().ping().await.unwrap();
        assert_eq!(full(), usize::from(FLEET) + 2, "{version:?}");
    }
}
