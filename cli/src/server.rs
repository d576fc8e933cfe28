//! Chooses the server and its credentials: flags override the environment, which overrides the
//! current context, which overrides the default socket. Called by `app.rs`.

use std::path::{Path, PathBuf};
use std::{env, fs};

use wharf::client::{Bearer, Target, Tls};

use crate::contexts::{Context, Contexts};
use crate::exit::Failure;

/// The socket of a `wharfd` that runs as root.
const SYSTEM_SOCKET: &str = "/run/wharf/wharfd.sock";

/// Flags that choose the server.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// Address of the server: unix:///PATH, tcp://HOST:PORT, or https://HOST:PORT [env: WHARF_SERVER]
    #[arg(long, global = true, value_name = "ADDRESS", conflicts_with = "context")]
    pub server: Option<String>,
    /// Use the server of this context [env: WHARF_CONTEXT]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// File with the token for the server [default: the variable WHARF_TOKEN]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub token_file: Option<PathBuf>,
}

/// TLS flags for an `https://` server. Only before the verb: `host add` has flags of the same
/// names for the Engine.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub struct ServerTlsArgs {
    /// CA certificates to verify the server's certificate (PEM); only before the verb
    #[arg(long = "tls-ca", value_name = "FILE", hide_short_help = true)]
    pub tls_ca: Option<PathBuf>,
    /// Client certificate (PEM); only before the verb
    #[arg(long = "tls-cert", value_name = "FILE", hide_short_help = true, requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the client certificate (PEM); only before the verb
    #[arg(long = "tls-key", value_name = "FILE", hide_short_help = true, requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Expected name in the server's certificate; only before the verb
    #[arg(long = "tls-server-name", value_name = "NAME", hide_short_help = true)]
    pub tls_server_name: Option<String>,
}

/// The server of this run.
#[derive(Clone)]
pub struct Server {
    /// The address as given, for messages.
    pub address: String,
    /// What to connect to.
    pub target: Target,
    /// What to present.
    pub bearer: Bearer,
    /// The client certificate in PEM, if any.
    pub certificate: Option<String>,
}

/// The parts of the environment that choose the server.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `WHARF_SERVER`.
    pub server: Option<String>,
    /// `WHARF_CONTEXT`.
    pub context: Option<String>,
    /// `WHARF_TOKEN`.
    pub token: Option<String>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// Whether the user is root.
    pub root: bool,
}

impl Environment {
    /// The environment of this process. Empty variables count as unset.
    pub fn of_process() -> Self {
        let text = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            server: text("WHARF_SERVER"),
            context: text("WHARF_CONTEXT"),
            token: text("WHARF_TOKEN"),
            runtime_dir: text("XDG_RUNTIME_DIR").map(PathBuf::from),
            root: rustix::process::geteuid().is_root(),
        }
    }
}

/// Chooses the server.
pub fn choose(
    flags: &ServerArgs,
    tls: &ServerTlsArgs,
    environment: &Environment,
    contexts: impl FnOnce() -> Result<Contexts, Failure>,
) -> Result<Context, Failure> {
    let direct = |address: &str| Context { server: address.to_owned(), ..Context::default() };
    let mut chosen = if let Some(address) = &flags.server {
        direct(address)
    } else if let Some(name) = &flags.context {
        contexts()?.get(name)?.clone()
    } else if let Some(address) = &environment.server {
        direct(address)
    } else if let Some(name) = &environment.context {
        contexts()?.get(name)?.clone()
    } else {
        let contexts = contexts()?;
        match &contexts.current {
            Some(name) => contexts.get(name)?.clone(),
            None => {
                direct(&format!("unix://{}", default_socket(environment, Path::exists).display()))
            }
        }
    };
    overlay(&mut chosen.tls_ca, tls.tls_ca.as_ref());
    overlay(&mut chosen.tls_cert, tls.tls_cert.as_ref());
    overlay(&mut chosen.tls_key, tls.tls_key.as_ref());
    overlay(&mut chosen.tls_server_name, tls.tls_server_name.as_ref());
    overlay(&mut chosen.token_file, flags.token_file.as_ref());
    Ok(chosen)
}

/// Reads the files of a context.
pub fn open(context: &Context, token: Option<&str>) -> Result<Server, Failure> {
    let target =
        Target::parse(&context.server).map_err(|error| Failure::Usage(error.to_string()))?;
    let with_tls = context.tls_ca.is_some()
        || context.tls_cert.is_some()
        || context.tls_key.is_some()
        || context.tls_server_name.is_some();
    if with_tls && !context.server.starts_with("https://") {
        return Err(Failure::Usage(format!(
            "TLS options are for https:// servers; the server is {}",
            context.server
        )));
    }
    let tls = Tls {
        ca_pem: context
            .tls_ca
            .as_deref()
            .map(|path| read_pem(path, PemKind::Certificate))
            .transpose()?,
        identity_pem: match (&context.tls_cert, &context.tls_key) {
            (Some(certificate), Some(key)) => Some((
                read_pem(certificate, PemKind::Certificate)?,
                read_pem(key, PemKind::PrivateKey)?,
            )),
            (None, None) => None,
            _ => return Err(Failure::usage("--tls-cert and --tls-key require each other")),
        },
        server_name: context.tls_server_name.clone(),
    };
    let certificate = tls.identity_pem.as_ref().map(|(certificate, _)| certificate.clone());
    let token = match &context.token_file {
        Some(path) => Some(read_text(path)?.trim().to_owned()),
        None => token.map(|token| token.trim().to_owned()),
    };
    let bearer = Bearer::new(token.as_deref().unwrap_or_default()).ok_or_else(|| {
        Failure::usage("the token contains characters that are not allowed in a header")
    })?;
    let address = context.server.clone();
    Ok(Server { address, target: target.with_tls(tls), bearer, certificate })
}

/// What a PEM file must contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PemKind {
    /// At least one certificate.
    Certificate,
    /// A private key that is not encrypted.
    PrivateKey,
}

/// Reads a PEM file and checks its content, so that a wrong file is reported here rather than by
/// a failed handshake.
pub fn read_pem(path: &Path, kind: PemKind) -> Result<String, Failure> {
    let text = read_text(path)?;
    check_pem(&text, kind)
        .map_err(|problem| Failure::Usage(format!("{}: {problem}", path.display())))?;
    Ok(text)
}

fn check_pem(text: &str, kind: PemKind) -> Result<(), &'static str> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    if !text.contains("-----BEGIN ") {
        return Err("not a PEM file; a PEM file has a line such as -----BEGIN CERTIFICATE-----");
    }
    match kind {
        PemKind::Certificate => {
            let mut found = false;
            for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
                certificate.map_err(|_| "a certificate in this PEM file is damaged")?;
                found = true;
            }
            if found { Ok(()) } else { Err("this PEM file contains no certificate") }
        }
        PemKind::PrivateKey if text.contains("ENCRYPTED") => {
            Err("the private key is encrypted; decrypt it with: openssl pkey -in FILE -out FILE")
        }
        PemKind::PrivateKey => PrivateKeyDer::from_pem_slice(text.as_bytes())
            .map(drop)
            .map_err(|_| "this PEM file contains no private key"),
    }
}

fn read_text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))
}

fn overlay<T: Clone>(value: &mut Option<T>, flag: Option<&T>) {
    if let Some(flag) = flag {
        *value = Some(flag.clone());
    }
}

/// A user without their own `wharfd` uses the machine's.
fn default_socket(environment: &Environment, exists: impl Fn(&Path) -> bool) -> PathBuf {
    let system = PathBuf::from(SYSTEM_SOCKET);
    match &environment.runtime_dir {
        Some(directory) if !environment.root => {
            let own = directory.join("wharf/wharfd.sock");
            if !exists(&own) && exists(&system) { system } else { own }
        }
        _ => system,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts() -> Contexts {
        let mut contexts = Contexts { current: Some("b".into()), ..Contexts::default() };
        for name in ["a", "b"] {
            let context = Context { server: format!("tcp://{name}:1"), ..Context::default() };
            contexts.contexts.insert(name.into(), context);
        }
        contexts
    }

    fn chosen(flags: &ServerArgs, environment: &Environment) -> String {
        choose(flags, &ServerTlsArgs::default(), environment, || Ok(contexts())).unwrap().server
    }

    #[test]
    fn flags_come_before_environment_before_the_current_context() {
        let server = ServerArgs { server: Some("tcp://x:1".into()), ..ServerArgs::default() };
        let context = ServerArgs { context: Some("a".into()), ..ServerArgs::default() };
        let environment =
            Environment { server: Some("tcp://e:1".into()), ..Environment::default() };
        let named = Environment { context: Some("a".into()), ..Environment::default() };
        assert_eq!(chosen(&server, &environment), "tcp://x:1");
        assert_eq!(chosen(&context, &environment), "tcp://a:1");
        assert_eq!(chosen(&ServerArgs::default(), &environment), "tcp://e:1");
        assert_eq!(chosen(&ServerArgs::default(), &named), "tcp://a:1");
        assert_eq!(chosen(&ServerArgs::default(), &Environment::default()), "tcp://b:1");
    }

    #[test]
    fn the_default_socket_is_the_users_or_the_machines() {
        let user =
            Environment { runtime_dir: Some("/run/user/7".into()), ..Environment::default() };
        let own = Path::new("/run/user/7/wharf/wharfd.sock");
        assert_eq!(default_socket(&user, |_| false), own);
        assert_eq!(default_socket(&user, |_| true), own);
        assert_eq!(default_socket(&user, |path| path != own), Path::new(SYSTEM_SOCKET));
        let root = Environment { root: true, ..user };
        assert_eq!(default_socket(&root, |_| true), Path::new(SYSTEM_SOCKET));
    }

    #[test]
    fn tls_needs_an_https_address() {
        let context = Context {
            server: "tcp://a:1".into(),
            tls_server_name: Some("b".into()),
            ..Context::default()
        };
        assert!(matches!(open(&context, None), Err(Failure::Usage(_))));
    }

    #[test]
    fn mistaken_pem_files_are_named() {
        let kind = PemKind::Certificate;
        assert!(check_pem("hello", kind).unwrap_err().contains("not a PEM file"));
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(check_pem(key, kind), Err("this PEM file contains no certificate"));
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(check_pem(certificate, kind), Ok(()));
        assert!(check_pem(certificate, PemKind::PrivateKey).is_err());
    }
}
