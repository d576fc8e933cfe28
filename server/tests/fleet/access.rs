//! Authorization of all methods, over TLS with tokens. Read from the descriptors: a new method
//! without a role, or a method that admits a lower role, fails here.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use prost_reflect::{DescriptorPool, Value};
use rcgen::{CertificateParams, KeyPair};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tonic::Code;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service, ServiceExt};
use wharf::client::{Target, Tls};
use wharf_server::app::Server;
use wharf_server::config::{Access, Config, Listen, Token};
use wharf_server::domain::{Role, Secret, ServerIdentity, TcpHost};

use crate::support::Fleet;

pub const TOKENS: [(&str, Role); 3] = [
    ("reader-token-0123456789", Role::Reader),
    ("operator-token-0123456789", Role::Operator),
    ("admin-token-0123456789", Role::Admin),
];

/// A server that wants a token.
pub struct Secured {
    pub channel: Channel,
    pub server: Server,
    _directory: TempDir,
}

pub async fn secured() -> Secured {
    secured_with(&Fleet::new(0).await).await
}

/// The same with the hosts of a fleet, whose own server is not asked anything.
pub async fn secured_with(fleet: &Fleet) -> Secured {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap().pem();
    let identity =
        ServerIdentity::new(certificate.clone(), Secret::new(key.serialize_pem()), None).unwrap();
    let tokens = TOKENS.map(|(token, role)| Token {
        name: role.to_string(),
        role,
        sha256: Sha256::digest(token).into(),
    });
    let directory = TempDir::new().unwrap();
    let mut config: Config = fleet.config().clone();
    config.store.data_dir = directory.path().join("data");
    config.listen = vec![Listen::Tcp { host: TcpHost::parse("127.0.0.1").unwrap(), port: 0 }];
    config.access = Access::Secured { identity, tokens: tokens.to_vec() };
    let server = Server::start(config).await.unwrap();
    let place = server.listening()[0].replace("tcp://", "https://");
    let tls = Tls {
        ca_pem: Some(certificate),
        server_name: Some("localhost".to_owned()),
        ..Tls::default()
    };
    let channel = Target::parse(&place).unwrap().with_tls(tls).connect().await.unwrap();
    Secured { channel, server, _directory: directory }
}

/// Calls a method with an empty message, and gives the code of the answer.
pub async fn call(channel: &Channel, path: &str, token: Option<&str>) -> Code {
    // gRPC's frame around no bytes.
    let message = Full::new(Bytes::from_static(&[0; 5]));
    let mut request = Request::post(format!("https://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::new(message)).unwrap();
    let mut channel = channel.clone();
    let response: Response<Body> = channel.ready().await.unwrap().call(request).await.unwrap();
    let (head, body) = response.into_parts();
    let headers = match head.headers.get("grpc-status") {
        Some(_) => head.headers,
        // It continues until somebody hangs up: let through.
        None if path.ends_with("/WatchRollouts") || path.ends_with("/WatchHosts") => {
            return Code::Ok;
        }
        None => body.collect().await.unwrap().trailers().cloned().unwrap_or_default(),
    };
    Code::from_bytes(headers["grpc-status"].as_bytes())
}

/// Every method of the contract with its role, from the descriptors alone.
fn methods() -> Vec<(String, Role)> {
    let pool = DescriptorPool::decode(wharf::DESCRIPTORS).unwrap();
    let role_option = pool.get_extension_by_name("wharf.v1.required_role").unwrap();
    let mut methods = Vec::new();
    for service in pool.services().filter(|service| service.package_name() == "wharf.v1") {
        for method in service.methods() {
            let Value::EnumNumber(role) = *method.options().get_extension(&role_option) else {
                panic!("the option is an enum")
            };
            let role = match role {
                1 => Role::Reader,
                2 => Role::Operator,
                3 => Role::Admin,
                _ => panic!("{} has no role", method.full_name()),
            };
            methods.push((format!("/{}/{}", service.full_name(), method.name()), role));
        }
    }
    methods
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_refuses_whoever_is_below_its_role() {
    let secured = secured().await;
    let methods = methods();
    assert!(methods.len() > 35, "{}", methods.len());
    // At once, since the answers to wrong tokens wait.
    for some in methods.chunks(25) {
        let stranger = Some("some-other-token-0123456789");
        let calls = some.iter().map(|(path, _)| call(&secured.channel, path, stranger));
        for (code, (path, _)) in futures_util::future::join_all(calls).await.iter().zip(some) {
            assert_eq!(*code, Code::Unauthenticated, "{path}");
        }
    }
    for (path, needed) in methods {
        assert_eq!(call(&secured.channel, &path, None).await, Code::Unauthenticated, "{path}");
        for (token, role) in TOKENS {
            let code = call(&secured.channel, &path, Some(token)).await;
            if role < needed {
                assert_eq!(code, Code::PermissionDenied, "{path} as {role}");
            } else {
                // With an empty message most are refused for that, and none for its caller.
                let let_through = [Code::Ok, Code::InvalidArgument, Code::NotFound];
                assert!(let_through.contains(&code), "{path} as {role}: {code:?}");
            }
        }
    }
    secured.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_browser_sends_for_any_page_is_refused() {
    let secured = secured().await;
    // Types that a page may send anywhere without asking first, along with a certificate.
    for kind in [Some("text/plain"), Some("application/grpcfoo"), None] {
        let mut request = Request::post("https://localhost/wharf.v1.HostService/ListHosts")
            .header("authorization", format!("Bearer {}", TOKENS[2].0));
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let request = request.body(Body::new(Full::new(Bytes::from_static(&[0; 5])))).unwrap();
        let mut channel = secured.channel.clone();
        let response: Response<Body> = channel.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), http::StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind:?}");
    }
    secured.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_in_the_contract() {
    let secured = secured().await;
    let admin = Some(TOKENS[2].0);
    for path in ["/wharf.v1.HostService/Nonsense", "/other.v1.Service/Method", "/"] {
        assert_eq!(call(&secured.channel, path, admin).await, Code::Unimplemented, "{path}");
        assert_eq!(call(&secured.channel, path, None).await, Code::Unauthenticated, "{path}");
    }
    assert_eq!(call(&secured.channel, "/grpc.health.v1.Health/Check", None).await, Code::Ok);
    for version in ["v1", "v1alpha"] {
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let code = call(&secured.channel, &path, None).await;
        assert_eq!(code, Code::Unauthenticated, "{path}");
        let reader = Some(TOKENS[0].0);
        let code = call(&secured.channel, &path, reader).await;
        assert!(![Code::Unauthenticated, Code::PermissionDenied].contains(&code), "{code:?}");
    }
    secured.server.stop().await;
}
