//! `wharf rollout start`, `plan` and `restart`.

use std::path::PathBuf;

use wharf::v1::{
    ContainerSpec, CreateRolloutRequest, CreateRolloutResponse, HostSelector,
    ListUsedImagesRequest, PlanRolloutRequest, RegistryCredentials, Rollout, RolloutPlan,
    RolloutPolicy, RolloutSpec, WholeContainer,
};

use super::policy::PolicyFlags;
use super::terms::TermFlags;
use super::{PLANNING, follow, merge, missing_rollout, newer};
use crate::app::{App, Connection};
use crate::commands::request_id;
use crate::credentials;
use crate::exit::Failure;
use crate::file;
use crate::json;
use crate::printer::{Format, width};
use crate::spec::body::{self, Body};
use crate::spec::flags::{ContainerFlags, HelpFlag};
use crate::table;
use crate::targets::{Access, TargetArgs};
use crate::view::plans;
use crate::view::rollouts::{conclusion, headline, is_over, short};

const NOTES: &str = "\
Flags override the file. Settings (-e, -p, -v, --memory …) change the current settings of the
container; --unset removes one; with --whole, they describe the whole container. Ctrl-C stops
following, not the rollout. For every parameter, see docs/rollout.md.

Examples:
  wharf rollout start web --image registry/app:v2 -l role=web
  wharf rollout start web --image app:v2 -A --max-parallel 25% --on-failure rollback \\
      --health http --probe-port 8080 --probe-path /healthz
  wharf rollout start web -l role=web -e LEVEL=debug --unset env.OLD
  wharf rollout start web --image app:v2 --image-from build1 -l role=web
  wharf rollout start -f web.yaml --image registry/app:v3 --annotation commit=4f2a1c

Exit status: 0 every host is on the new version; 1 failed, paused by its policy, rolled back, or
aborted; 2 refused or no connection; 130 Ctrl-C.";

const PLAN_NOTES: &str = "\
With --newer, the plan is of no single rollout: it lists what could be upgraded, on every host unless -H, -l, or
--exclude select some.

Examples:
  wharf rollout plan web --image registry/app:v2 -l role=web
  wharf rollout plan --newer
  wharf rollout plan --newer web -l role=web

Exit status: 0 the rollout can start, or the list is complete; 1 with --newer, some host or registry
failed; 2 refused or no connection.";

/// Arguments of `wharf rollout start`.
#[derive(clap::Args)]
#[command(after_help = NOTES, disable_help_flag = true)]
pub struct StartArgs {
    /// Return once the rollout has started
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    terms: TermFlags,
    #[command(flatten)]
    what: What,
}

/// Arguments of `wharf rollout plan`.
#[derive(clap::Args)]
#[command(after_help = PLAN_NOTES, disable_help_flag = true)]
pub struct PlanArgs {
    /// List the running containers whose tag names another image in the registry now, and what it is;
    /// CONTAINER and --label select containers
    #[arg(long)]
    newer: bool,
    #[command(flatten)]
    what: What,
}

/// Arguments of `wharf rollout restart`.
#[derive(clap::Args)]
pub struct RestartArgs {
    /// Name of the container
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Show what would happen, and change nothing
    #[arg(long)]
    plan: bool,
    /// Return once the rollout has started
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    terms: TermFlags,
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    policy: Box<PolicyFlags>,
}

#[derive(clap::Args)]
// Of two that are called so, that of the rollout keeps the name.
#[command(mut_arg("stop_timeout", |flag| flag.long("container-stop-timeout")))]
#[command(mut_arg("annotation", |flag| flag.long("container-annotation")))]
struct What {
    /// Name of the container, the same on every host
    #[arg(value_name = "CONTAINER")]
    container: Option<String>,
    /// New image
    #[arg(long, value_name = "REF")]
    image: Option<String>,
    /// Host that has the image and gives it to the others, without a registry
    #[arg(long, value_name = "HOST")]
    image_from: Option<String>,
    /// YAML file that describes the rollout; - reads stdin
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Setting to remove, such as env.DEBUG, labels.tier, ports.80/tcp, volumes./data, command
    #[arg(long, value_name = "SETTING")]
    unset: Vec<String>,
    /// Engine JSON to merge over the current settings (RFC 7396)
    #[arg(long, value_name = "FILE")]
    merge_patch: Option<PathBuf>,
    /// Treat the settings as the whole container, and create it on hosts that do not have it
    #[arg(long, conflicts_with_all = ["unset", "merge_patch"])]
    whole: bool,
    /// With --whole: JSON body of the Engine's POST /containers/create
    #[arg(long, value_name = "FILE", requires = "whole")]
    engine: Option<PathBuf>,
    /// Command of the container, after --
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    _help: HelpFlag,
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    policy: Box<PolicyFlags>,
    #[command(flatten)]
    settings: Box<ContainerFlags>,
}

/// The hosts. Here, `--max-parallel` belongs to the policy.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Hosts")]
struct Hosts {
    /// Hosts by name, separated by commas; can be repeated
    #[arg(short = 'H', long, value_name = "NAME,…", value_delimiter = ',')]
    host: Vec<String>,
    /// Hosts by label, such as role=web,tier in (a,b)
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Every host that the server knows
    #[arg(short = 'A', long)]
    all_hosts: bool,
    /// Hosts to exclude
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    exclude: Vec<String>,
}

/// Starts a rollout and follows it.
pub async fn start(app: &App, args: StartArgs) -> Result<(), Failure> {
    let policy = args.what.policy.clone();
    let spec = spec(app, args.what)?;
    let (connection, answer) = create(app, spec, &policy, &args.terms).await?;
    begun(app, connection, answer.rollout, args.detach).await
}

/// Shows the plan.
pub async fn plan(app: &App, args: PlanArgs) -> Result<(), Failure> {
    if args.newer {
        return newer::list(app, filter(app, args.what)?).await;
    }
    let policy = args.what.policy.clone();
    let spec = spec(app, args.what)?;
    only_plan(app, spec, &policy).await
}

/// The containers of `--newer`; every flag that describes a rollout is refused.
fn filter(app: &App, mut what: What) -> Result<ListUsedImagesRequest, Failure> {
    let labels = std::mem::take(&mut what.settings.label);
    let mut policy = RolloutPolicy::default();
    what.policy.over(&mut policy);
    let settings = what.settings.spec_here(String::new(), what.command)?;
    let describes_rollout = settings != ContainerSpec::default()
        || policy != RolloutPolicy::default()
        || what.image.is_some()
        || what.file.is_some()
        || what.whole
        || what.merge_patch.is_some()
        || !what.unset.is_empty();
    if describes_rollout {
        return Err(Failure::usage(
            "--newer lists what could be upgraded; use only CONTAINER, --label, and hosts with it",
        ));
    }
    let hosts = what.hosts.args(app);
    Ok(ListUsedImagesRequest {
        targets: Some(hosts.select(Access::Read)?),
        fanout: Some(hosts.options()),
        containers: what.container.into_iter().collect(),
        labels,
        check_registry: true,
        ..ListUsedImagesRequest::default()
    })
}

/// Recreates a container with its current settings.
pub async fn restart(app: &App, args: RestartArgs) -> Result<(), Failure> {
    let mut spec = RolloutSpec { container: args.container, ..RolloutSpec::default() };
    spec.targets = Some(targets(app, &args.hosts, None)?);
    args.policy.over(spec.policy.get_or_insert_default());
    if args.plan {
        return only_plan(app, spec, &args.policy).await;
    }
    let (connection, answer) = create(app, spec, &args.policy, &args.terms).await?;
    begun(app, connection, answer.rollout, args.detach).await
}

/// Follows the started rollout, or prints how to follow it.
pub async fn begun(
    app: &App,
    connection: Connection,
    rollout: Option<Rollout>,
    detach: bool,
) -> Result<(), Failure> {
    let rollout = rollout.ok_or_else(missing_rollout)?;
    if !detach {
        return follow::follow(app, connection, rollout.id).await;
    }
    match app.printer.format {
        Format::Json => {
            let line = serde_json::Value::Object(json::message(&rollout));
            app.printer.result(&line.to_string());
        }
        Format::Name => app.printer.result(&rollout.id),
        Format::Table | Format::Wide if is_over(rollout.state()) => {
            app.printer.result(&format!("{}: {}", short(&rollout.id), conclusion(&rollout)));
        }
        Format::Table | Format::Wide => {
            let id = short(&rollout.id);
            app.printer.result(&format!("{id}: {}", headline(&rollout)));
            app.printer.note(&format!("to follow it, run: wharf rollout watch {id}"));
        }
    }
    Ok(())
}

/// Prints a plan.
pub fn print_plan(app: &App, plan: Option<&RolloutPlan>) {
    let (printer, empty) = (&app.printer, RolloutPlan::default());
    let plan = plan.unwrap_or(&empty);
    match printer.format {
        Format::Json => {
            let line = serde_json::Value::Object(json::message(plan));
            printer.data(&line.to_string());
        }
        Format::Name => plan.hosts.iter().for_each(|host| printer.data(&host.host)),
        format => {
            let rows: Vec<_> = plan.hosts.iter().map(plans::row).collect();
            let table = table::render(plans::COLUMNS, &rows, format == Format::Wide, width());
            let lines = plans::head(plan).into_iter().chain([String::new()]).chain(table);
            lines.chain(plans::details(plan)).for_each(|line| printer.data(&line));
        }
    }
}

/// Requests and prints a plan, which the role reader permits.
async fn only_plan(app: &App, spec: RolloutSpec, policy: &PolicyFlags) -> Result<(), Failure> {
    let credentials = credentials_for(app, &spec, policy).await;
    let connection = app.connect().await?;
    let request = PlanRolloutRequest { spec: Some(spec), credentials };
    let (_, answer) =
        follow::until_answered(app, connection, request, async |connection, request| {
            let mut rollouts = connection.rollouts();
            let call = async |request| rollouts.plan_rollout(request).await;
            follow::explained(app, connection.unary_within(PLANNING, request, call)).await
        })
        .await?;
    print_plan(app, answer.plan.as_ref());
    Ok(())
}

/// Credentials from docker's configuration for the registry of the new image, if it may be pulled from
/// there.
async fn credentials_for(
    app: &App,
    spec: &RolloutSpec,
    policy: &PolicyFlags,
) -> Option<RegistryCredentials> {
    let image = match (&spec.image, &spec.whole) {
        (image, Some(whole)) if image.is_empty() => {
            whole.spec.as_ref().map(|spec| spec.image.clone()).unwrap_or_default()
        }
        (image, _) => image.clone(),
    };
    match image.as_str() {
        "" => None,
        _ if policy.never_pulls() || !spec.image_from.is_empty() => None,
        image => credentials::for_image(&app.printer, image).await,
    }
}

async fn create(
    app: &App,
    spec: RolloutSpec,
    policy: &PolicyFlags,
    terms: &TermFlags,
) -> Result<(Connection, CreateRolloutResponse), Failure> {
    let annotations = terms.annotations()?;
    let credentials = credentials_for(app, &spec, policy).await;
    let connection = app.connect().await?;
    *app.on_interrupt.borrow_mut() = Some(
        "interrupted; the rollout may have started; to check, run: wharf rollout ls --open"
            .to_owned(),
    );
    let request = CreateRolloutRequest {
        spec: Some(spec),
        request_id: request_id(),
        validate_only: false,
        credentials,
        expected_plan: terms.expect_plan.clone(),
        annotations,
    };
    follow::until_answered(app, connection, request, async |connection, request| {
        let mut rollouts = connection.rollouts();
        let call = async |request| rollouts.create_rollout(request).await;
        follow::explained(app, connection.unary_within(PLANNING, request, call)).await
    })
    .await
}

/// Whether anything changes.
fn changes(spec: &RolloutSpec) -> bool {
    !spec.image.is_empty()
        || spec.whole.is_some()
        || spec.merge_patch.is_some()
        || !spec.unset.is_empty()
        || spec.set.as_ref().is_some_and(|set| *set != ContainerSpec::default())
}

fn spec(app: &App, what: What) -> Result<RolloutSpec, Failure> {
    let mut spec = match &what.file {
        Some(path) => file::rollout(path)?,
        None => RolloutSpec::default(),
    };
    if let Some(container) = what.container {
        spec.container = container;
    }
    if spec.container.is_empty() {
        return Err(Failure::usage("specify a container, or a file with the key `container`"));
    }
    if let Some((host, container)) = spec.container.split_once('/') {
        let (host, container) = (host.escape_debug(), container.escape_debug());
        return Err(Failure::Usage(format!(
            "a rollout uses one container name on all hosts; specify the hosts separately: {container} -H {host}"
        )));
    }
    spec.targets = Some(targets(app, &what.hosts, spec.targets.take())?);
    let settings = what.settings.spec_here(String::new(), what.command)?;
    let has_settings = settings != ContainerSpec::default();
    if what.whole && spec.whole.is_none() {
        spec.whole = Some(WholeContainer { spec: spec.set.take(), engine: None });
    }
    match &mut spec.whole {
        Some(whole) => {
            let base = whole.spec.take().unwrap_or_default();
            whole.spec = Some(merge::settings(&base, &settings));
            if let Some(path) = &what.engine {
                whole.engine = Some(body::read(path).map(Body::into_engine_json)?);
            }
        }
        None if has_settings => {
            let base = spec.set.take().unwrap_or_default();
            spec.set = Some(merge::settings(&base, &settings));
        }
        None => {}
    }
    if let Some(image) = what.image {
        if let Some(whole) = spec.whole.as_mut().and_then(|whole| whole.spec.as_mut()) {
            whole.image.clear();
        }
        spec.image = image;
    }
    if let Some(host) = what.image_from {
        spec.image_from = host;
    }
    spec.unset.extend(what.unset);
    if let Some(path) = &what.merge_patch {
        spec.merge_patch = Some(body::read(path).map(Body::into_engine_json)?);
    }
    if !changes(&spec) {
        let container = &spec.container;
        return Err(Failure::Usage(format!(
            "specify at least one change: --image REF, a setting such as -e KEY=VALUE, or a file; to recreate {container} with its current settings, run: wharf rollout restart {container}"
        )));
    }
    let policy = spec.policy.get_or_insert_default();
    if let Some(parallel) = app.targets.max_parallel {
        policy.max_parallel = parallel.to_string();
    }
    what.policy.over(policy);
    Ok(spec)
}

impl Hosts {
    /// These hosts, or those before the verb.
    fn args(&self, app: &App) -> TargetArgs {
        app.targets(&TargetArgs {
            host: self.host.clone(),
            selector: self.selector.clone(),
            all_hosts: self.all_hosts,
            exclude: self.exclude.clone(),
            ..TargetArgs::default()
        })
    }
}

/// The hosts of the flags, or else those of the file; hosts to exclude are combined.
fn targets(app: &App, flags: &Hosts, file: Option<HostSelector>) -> Result<HostSelector, Failure> {
    let flags = flags.args(app);
    let chosen = !flags.host.is_empty() || flags.selector.is_some() || flags.all_hosts;
    match file {
        Some(mut file) if !chosen => {
            file.exclude.extend(flags.exclude);
            Ok(file)
        }
        _ => flags.select(Access::Write),
    }
}
