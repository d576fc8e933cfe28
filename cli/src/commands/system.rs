//! `wharf info`, `wharf version` and `wharf df`.

use wharf::v1::get_disk_usage_response::Event as DiskUsageEvent;
use wharf::v1::get_engine_info_response::Event as InfoEvent;
use wharf::v1::get_engine_version_response::Event as VersionEvent;
use wharf::v1::{
    GetDiskUsageRequest, GetEngineInfoRequest, GetEngineVersionRequest, GetServerInfoRequest,
};

use crate::app::App;
use crate::commands::{call, list};
use crate::exit::Failure;
use crate::json;
use crate::printer::Format;
use crate::targets::{Access, TargetArgs};
use crate::view::units;

/// Version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Arguments of `wharf info`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  wharf info\n  wharf info -H web1 -o json | jq '.engine.json | fromjson'"
)]
pub struct InfoArgs {
    #[command(flatten)]
    targets: TargetArgs,
}

/// Arguments of `wharf version`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf version\n  wharf version -A")]
pub struct VersionArgs {
    /// Show only the version of this program; do not contact a server
    #[arg(long)]
    client: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Arguments of `wharf df`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf df -l env=prod")]
pub struct DfArgs {
    #[command(flatten)]
    targets: TargetArgs,
}

/// Shows information about hosts.
pub async fn info(app: &App, args: InfoArgs) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let request = GetEngineInfoRequest {
        targets: Some(targets.select(Access::Read)?),
        fanout: Some(targets.options()),
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, system.get_engine_info, request)];
    list(app, &connection, calls, |_, event| match event {
        InfoEvent::Info(info) => Some(info),
        _ => None,
    })
    .await
}

/// Shows versions.
pub async fn version(app: &App, args: VersionArgs) -> Result<(), Failure> {
    let printer = &app.printer;
    let targets = app.targets(&args.targets);
    let selector = if targets.is_empty() { None } else { Some(targets.select(Access::Read)?) };
    if printer.is_json() && args.client {
        printer.data(&serde_json::json!({ "client": { "version": VERSION } }).to_string());
    } else if !printer.is_json() {
        printer.data(&format!("Client   {VERSION}"));
    }
    if args.client {
        return Ok(());
    }
    let connection = app.connect().await?;
    let mut client = connection.system();
    let server = connection
        .unary(GetServerInfoRequest {}, async |request| client.get_server_info(request).await)
        .await?;
    if printer.is_json() {
        let line = serde_json::json!({
            "client": { "version": VERSION }, "server": json::message(&server),
        });
        printer.data(&line.to_string());
    } else {
        printer.data(&format!("Server   {}", server.version));
        if printer.format == Format::Wide {
            printer.data(&format!("Started  {}", units::rfc3339(server.started_at.as_ref())));
            printer.data(&format!("Hosts    {}", server.hosts));
            printer.data(&format!(
                "Engine API  {} to {}",
                server.min_engine_api_version, server.max_engine_api_version
            ));
            let role = server.caller_role().as_str_name().trim_start_matches("ROLE_");
            printer.data(&format!("You      {}, {}", server.caller, role.to_ascii_lowercase()));
        }
    }
    let Some(selector) = selector else { return Ok(()) };
    let request =
        GetEngineVersionRequest { targets: Some(selector), fanout: Some(targets.options()) };
    let calls = vec![call!(connection, system.get_engine_version, request)];
    if !printer.is_json() {
        printer.data("");
    }
    list(app, &connection, calls, |_, event| match event {
        VersionEvent::Version(version) => Some(version),
        _ => None,
    })
    .await
}

/// Shows disk usage.
pub async fn df(app: &App, args: DfArgs) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let request = GetDiskUsageRequest {
        targets: Some(targets.select(Access::Read)?),
        fanout: Some(targets.options()),
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, system.get_disk_usage, request)];
    list(app, &connection, calls, |_, event| match event {
        DiskUsageEvent::Usage(usage) => Some(usage),
        _ => None,
    })
    .await
}
