//! `wharf image tags`.

use std::time::Duration;

use wharf::v1::ListTagsRequest;

use crate::app::App;
use crate::exit::Failure;
use crate::json;
use crate::printer::Format;

/// The server gives up before.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Arguments of `wharf image tags`.
#[derive(clap::Args)]
#[command(
    after_help = "Versions come first, the newest at the top. wharfd asks the registry, with the credentials from\n\
    `wharf login` if it wants some.\n\n\
    Examples:\n  wharf image tags registry.example.com/team/app\n  wharf image tags nginx --limit 10"
)]
pub struct Args {
    /// Repository, without a tag
    #[arg(value_name = "REPOSITORY")]
    repository: String,
    /// Print at most this many tags, up to 10000
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    limit: i32,
}

/// Lists the tags of a repository in its registry.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let printer = &app.printer;
    let connection = app.connect().await?;
    let mut client = connection.registries();
    let request = ListTagsRequest { repository: args.repository.clone(), limit: args.limit };
    let response = connection
        .unary_within(TIMEOUT, request, async |request| client.list_tags(request).await)
        .await?;
    match printer.format {
        // Tags belong to no host.
        Format::Json => {
            printer.data(&serde_json::Value::from(json::message(&response)).to_string());
        }
        Format::Name => {
            response
                .tags
                .iter()
                .for_each(|tag| printer.data(&format!("{}:{tag}", args.repository)));
        }
        Format::Table | Format::Wide => response.tags.iter().for_each(|tag| printer.data(tag)),
    }
    let left = usize::try_from(response.total).unwrap_or(0).saturating_sub(response.tags.len());
    if response.truncated {
        printer
            .note(&format!("the registry has more than {} tags; some are missing", response.total));
    } else if left > 0 {
        printer.note(&format!("{left} more tags; to see them, set --limit"));
    }
    Ok(())
}
