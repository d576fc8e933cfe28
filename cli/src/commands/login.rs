//! `wharf login` and `wharf logout`.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use wharf::v1::check_login_response::Event;
use wharf::v1::{CheckLoginRequest, HostOutcome, LoginRequest, LogoutRequest, RegistryCredentials};

use crate::app::App;
use crate::commands::{call, request_id};
use crate::exit::Failure;
use crate::fanout::{self, Observer};
use crate::json;
use crate::printer::Printer;
use crate::report::{self, host_failed, outcome_error};
use crate::targets::{Access, TargetArgs};

/// How long an Engine waits for a registry that doesn't answer.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(90);

/// The longest password that is read from stdin.
const LONGEST_PASSWORD: u64 = 64 << 10;

const EXAMPLES: &str = "\
A host checks the credentials, and the server stores them for pulls and pushes without credentials
of their own. With -H, -l, or -A, each of these hosts checks them first, and all must succeed.

Examples:
  wharf login registry.example.com -u ci --password-stdin < token
  wharf login -A registry.example.com -u ci";

/// Arguments of `wharf login`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct LoginArgs {
    /// Registry host with optional port; docker.io is Docker Hub
    #[arg(value_name = "REGISTRY")]
    registry: String,
    /// User name
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,
    /// Read the password or token from stdin
    #[arg(long)]
    password_stdin: bool,
    /// Refused: other users can see the command line
    #[arg(short, long, value_name = "PASSWORD", hide = true)]
    password: Option<String>,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Arguments of `wharf logout`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf logout registry.example.com")]
pub struct LogoutArgs {
    /// Registry host with optional port
    #[arg(value_name = "REGISTRY")]
    registry: String,
}

/// Has the server check and store credentials.
pub async fn login(app: &App, args: LoginArgs) -> Result<(), Failure> {
    if args.password.is_some() {
        return Err(Failure::usage(
            "other users can see a password on the command line; use --password-stdin, or leave \
             it out to be asked for it",
        ));
    }
    let targets = app.targets(&args.targets);
    let check = if targets.is_empty() { None } else { Some(targets.select(Access::Write)?) };
    let (username, password) = secret(args.username, args.password_stdin).await?;
    let credentials = RegistryCredentials {
        registry: args.registry,
        username,
        password,
        identity_token: String::new(),
    };
    let connection = app.connect().await?;
    let mut host = String::new();
    if let Some(selector) = check {
        let request = CheckLoginRequest {
            targets: Some(selector),
            fanout: Some(targets.options()),
            credentials: Some(credentials.clone()),
        };
        let calls = vec![call!(connection, registries.check_login, request)];
        let mut checks = Checks { printer: &app.printer, first: None };
        let report = fanout::read(calls, connection.timeout(), &mut checks).await;
        host = checks.first.take().unwrap_or_default();
        report::finish(&app.printer, &report)?;
    }
    let request = LoginRequest { credentials: Some(credentials), host, request_id: request_id() };
    let mut client = connection.registries();
    let response = connection
        .unary_within(LOGIN_TIMEOUT, request, async |request| client.login(request).await)
        .await?;
    let login = response.login.unwrap_or_default();
    if app.printer.is_json() {
        app.printer.data(&json::line(&response.host, json::message(&login)));
    } else {
        app.printer.data(&format!("Login Succeeded: {} as {}", login.registry, login.username));
        app.printer.note(&format!("checked by host {}, stored in the server", response.host));
    }
    Ok(())
}

/// Has the server remove stored credentials.
pub async fn logout(app: &App, args: LogoutArgs) -> Result<(), Failure> {
    let connection = app.connect().await?;
    let request = LogoutRequest { registry: args.registry.clone(), request_id: request_id() };
    let mut client = connection.registries();
    connection.unary(request, async |request| client.logout(request).await).await?;
    if app.printer.is_json() {
        app.printer.data(&serde_json::json!({ "registry": args.registry }).to_string());
    } else {
        app.printer.data(&format!("Removed login of {}", args.registry));
    }
    Ok(())
}

struct Checks<'a> {
    printer: &'a Printer,
    first: Option<String>,
}

impl Observer<Event> for Checks<'_> {
    fn payload(&mut self, host: &str, event: Event) {
        if let Event::Check(check) = event {
            let first = self.first.get_or_insert_with(|| host.to_owned());
            if host < first.as_str() {
                host.clone_into(first);
            }
            self.printer.note(&format!("{host}: {}", check.status));
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        if let Some(error) = outcome_error(outcome) {
            host_failed(self.printer, host, &error);
        }
    }
}

/// Restores the terminal: Ctrl-C may end the program while the prompt hides the input.
struct Echo(Option<Termios>);

impl Echo {
    fn keep() -> Self {
        Self(tcgetattr(std::io::stdin()).ok())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // A closed terminal needs no restoring.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

async fn secret(username: Option<String>, from_stdin: bool) -> Result<(String, String), Failure> {
    if from_stdin {
        let username = username
            .ok_or_else(|| Failure::usage("--password-stdin needs the user name: -u USER"))?;
        let mut password = String::new();
        std::io::stdin().take(LONGEST_PASSWORD).read_to_string(&mut password).map_err(|error| {
            Failure::Usage(format!("cannot read the password from stdin: {error}"))
        })?;
        // Strip one line end, which a file or `echo` adds; further ones belong to the password.
        let password = password.strip_suffix('\n').unwrap_or(&password);
        let password = password.strip_suffix('\r').unwrap_or(password);
        return match password {
            "" => Err(Failure::usage("stdin contains no password")),
            password => Ok((username, password.to_owned())),
        };
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "cannot prompt for the password without a terminal; use --password-stdin",
        ));
    }
    let _echo = Echo::keep();
    // Blocks a separate thread, so that Ctrl-C works.
    let asked = tokio::task::spawn_blocking(move || {
        let username = match username {
            Some(username) => username,
            None => {
                use std::io::Write;
                let mut stderr = std::io::stderr();
                stderr.write_all(b"Username: ").and_then(|()| stderr.flush())?;
                let mut line = String::new();
                std::io::stdin().read_line(&mut line)?;
                line.trim().to_owned()
            }
        };
        let password = rpassword::prompt_password("Password: ")?;
        Ok::<_, std::io::Error>((username, password))
    });
    match asked.await {
        Ok(Ok((username, password))) if !username.is_empty() && !password.is_empty() => {
            Ok((username, password))
        }
        Ok(Ok(_)) => Err(Failure::usage("both a user name and a password are required")),
        Ok(Err(error)) => Err(Failure::Usage(format!("cannot read from the terminal: {error}"))),
        Err(_) => Err(Failure::usage("cannot read from the terminal")),
    }
}
