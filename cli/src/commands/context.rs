//! `wharf context`: servers by name.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::app::App;
use crate::contexts::{Context, Contexts};
use crate::exit::Failure;
use crate::printer::{Format, width};
use crate::server::{self, Environment};
use crate::table::{self, Column};

const COLUMNS: &[Column] = &[
    Column::new("NAME"),
    Column::new("CURRENT"),
    Column::new("SERVER"),
    Column::new("TLS CA").wide(),
    Column::new("TLS CERT").wide(),
    Column::new("TOKEN FILE").wide(),
];

/// `wharf context …`
#[derive(clap::Subcommand)]
pub enum Command {
    /// List contexts
    #[command(alias = "list")]
    Ls,
    /// Create or change a context
    #[command(
        after_help = "Examples:\n  wharf context set prod --server https://wharf.example.com:7443 --tls-ca ca.pem --token-file token"
    )]
    Set(SetArgs),
    /// Make a context the default
    Use {
        /// Name of the context
        name: String,
    },
    /// Show which server is in use, and why
    Show,
    /// Remove contexts
    Rm {
        /// Names of the contexts
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// Arguments of `wharf context set`. The address is `--server`, the token file `--token-file`.
#[derive(clap::Args)]
pub struct SetArgs {
    /// Name of the context
    name: String,
    /// CA certificates to verify the server's certificate (PEM)
    #[arg(id = "context_tls_ca", long = "tls-ca", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Client certificate (PEM)
    #[arg(id = "context_tls_cert", long = "tls-cert", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of the client certificate (PEM)
    #[arg(id = "context_tls_key", long = "tls-key", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Expected name in the server's certificate
    #[arg(id = "context_tls_server_name", long = "tls-server-name", value_name = "NAME")]
    tls_server_name: Option<String>,
    /// Make this context the default
    #[arg(long = "use")]
    use_it: bool,
}

/// Runs a verb of the group.
pub fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Ls => list(app),
        Command::Set(args) => set(app, &args),
        Command::Use { name } => Contexts::change(|contexts| {
            contexts.get(&name)?;
            contexts.current = Some(name.clone());
            Ok(())
        }),
        Command::Show => show(app),
        Command::Rm { names } => Contexts::change(|contexts| {
            for name in &names {
                contexts.get(name)?;
            }
            contexts.contexts.retain(|name, _| !names.contains(name));
            contexts.current.take_if(|current| names.contains(current));
            Ok(())
        }),
    }
}

fn set(app: &App, args: &SetArgs) -> Result<(), Failure> {
    if args.name.is_empty() || args.name.chars().any(char::is_control) {
        return Err(Failure::usage("a context needs a name without control characters"));
    }
    Contexts::change(|contexts| {
        let mut context = contexts.contexts.get(&args.name).cloned().unwrap_or_default();
        if let Some(server) = &app.server.server {
            context.server.clone_from(server);
        }
        if context.server.is_empty() {
            return Err(Failure::usage("a new context needs an address: --server ADDRESS"));
        }
        let before = &app.server_tls;
        let path = |after: &Option<PathBuf>, before: &Option<PathBuf>, old: Option<PathBuf>| {
            after.as_deref().or(before.as_deref()).map(absolute).transpose().map(|new| new.or(old))
        };
        context.tls_ca = path(&args.tls_ca, &before.tls_ca, context.tls_ca)?;
        context.tls_cert = path(&args.tls_cert, &before.tls_cert, context.tls_cert)?;
        context.tls_key = path(&args.tls_key, &before.tls_key, context.tls_key)?;
        context.token_file = path(&None, &app.server.token_file, context.token_file)?;
        let name = args.tls_server_name.clone().or_else(|| before.tls_server_name.clone());
        context.tls_server_name = name.or(context.tls_server_name);
        // Report every problem now rather than at the next command.
        server::open(&context, None)?;
        if args.use_it || contexts.contexts.is_empty() {
            contexts.current = Some(args.name.clone());
        }
        contexts.contexts.insert(args.name.clone(), context);
        Ok(())
    })
}

fn list(app: &App) -> Result<(), Failure> {
    let contexts = Contexts::load()?;
    let printer = &app.printer;
    let is_current = |name: &String| contexts.current.as_ref() == Some(name);
    match printer.format {
        Format::Json => {
            for (name, context) in &contexts.contexts {
                let line = json!({
                    "name": name, "current": is_current(name), "server": context.server,
                    "tlsCa": context.tls_ca, "tlsCert": context.tls_cert,
                    "tlsServerName": context.tls_server_name, "tokenFile": context.token_file,
                });
                printer.data(&line.to_string());
            }
        }
        Format::Name => contexts.contexts.keys().for_each(|name| printer.data(name)),
        Format::Table | Format::Wide => {
            let text = |path: &Option<PathBuf>| {
                path.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
            };
            let row = |(name, context): (&String, &Context)| {
                vec![
                    name.clone(),
                    if is_current(name) { "*" } else { "" }.to_owned(),
                    context.server.clone(),
                    text(&context.tls_ca),
                    text(&context.tls_cert),
                    text(&context.token_file),
                ]
            };
            let rows: Vec<Vec<String>> = contexts.contexts.iter().map(row).collect();
            let wide = printer.format == Format::Wide;
            table::render(COLUMNS, &rows, wide, width()).iter().for_each(|line| printer.data(line));
        }
    }
    Ok(())
}

fn show(app: &App) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let contexts = Contexts::load()?;
    let flags = &app.server;
    let why = match (
        &flags.server,
        &flags.context,
        &environment.server,
        &environment.context,
        &contexts.current,
    ) {
        (Some(_), ..) => "--server".to_owned(),
        (None, Some(name), ..) => format!("--context {name}"),
        (None, None, Some(_), ..) => "WHARF_SERVER".to_owned(),
        (None, None, None, Some(name), _) => format!("WHARF_CONTEXT, context {name}"),
        (None, None, None, None, Some(name)) => format!("current context {name}"),
        _ => "default".to_owned(),
    };
    let chosen = server::choose(flags, &app.server_tls, &environment, || Ok(contexts))?;
    if app.printer.is_json() {
        app.printer.data(&json!({"server": chosen.server, "from": why}).to_string());
    } else {
        app.printer.data(&chosen.server);
        app.printer.note(&format!("from: {why}"));
    }
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize()
        .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))
}
