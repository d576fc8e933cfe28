//! `wharf registry`.

use jiff::Timestamp;
use wharf::v1::ListLoginsRequest;

use crate::app::App;
use crate::commands::login;
use crate::exit::Failure;
use crate::json;
use crate::printer::{Format, width};
use crate::table;
use crate::view::system::{LOGIN_COLUMNS, login_row};

/// `wharf registry …`
#[derive(clap::Subcommand)]
pub enum Command {
    /// List registries with stored credentials
    #[command(alias = "list")]
    Ls,
    /// Store registry credentials in the server
    Login(login::LoginArgs),
    /// Remove registry credentials from the server
    Logout(login::LogoutArgs),
}

/// Runs a verb of the group.
pub async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Ls => list(app).await,
        Command::Login(args) => login::login(app, args).await,
        Command::Logout(args) => login::logout(app, args).await,
    }
}

async fn list(app: &App) -> Result<(), Failure> {
    let printer = &app.printer;
    let connection = app.connect().await?;
    let mut client = connection.registries();
    let response = connection
        .unary(ListLoginsRequest {}, async |request| client.list_logins(request).await)
        .await?;
    match printer.format {
        // Logins belong to the server, so their lines have no host.
        Format::Json => {
            for login in &response.logins {
                printer.data(&serde_json::Value::from(json::message(login)).to_string());
            }
        }
        Format::Name => response.logins.iter().for_each(|login| printer.data(&login.registry)),
        Format::Table | Format::Wide => {
            let now = Timestamp::now();
            let rows: Vec<Vec<String>> =
                response.logins.iter().map(|login| login_row(login, now)).collect();
            let lines = table::render(LOGIN_COLUMNS, &rows, false, width());
            lines.iter().for_each(|line| printer.data(line));
        }
    }
    Ok(())
}
