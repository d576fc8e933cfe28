//! `wharf host label`.

use std::collections::BTreeMap;

use wharf::v1::UpdateHostLabelsRequest;

use crate::app::App;
use crate::commands::request_id;
use crate::exit::Failure;
use crate::json;
use crate::printer::{Format, width};
use crate::table::{self, Column};
use crate::targets::{Access, TargetArgs};
use crate::view;

const EXAMPLES: &str = "\
Examples:
  wharf host label web1 env=prod tier-     set env, remove tier
  wharf host label -l env=test canary=yes  on hosts chosen by label";

/// Arguments of `wharf host label`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Name of the host, unless -H, -l, or -A selects hosts; then KEY=VALUE to set, KEY- to remove
    #[arg(required = true, value_name = "[NAME] KEY=VALUE|KEY-", allow_hyphen_values = false)]
    words: Vec<String>,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Changes labels.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let mut targets = app.targets(&args.targets).clone();
    let mut words = args.words;
    if targets.is_empty() {
        targets.host = vec![words.remove(0)];
        if targets.host[0].contains('=') {
            return Err(Failure::usage(
                "specify a host: wharf host label NAME KEY=VALUE, or select hosts with -H, -l, or -A",
            ));
        }
    }
    let (set, remove) = changes(&words)?;
    let request = UpdateHostLabelsRequest {
        targets: Some(targets.select(Access::Write)?),
        set,
        remove,
        request_id: request_id(),
    };
    let connection = app.connect().await?;
    let mut client = connection.hosts();
    let response =
        connection.unary(request, async |request| client.update_host_labels(request).await).await?;
    let printer = &app.printer;
    match printer.format {
        Format::Json => {
            for host in &response.hosts {
                printer.data(&json::line(&host.name, json::message(host)));
            }
        }
        Format::Name => response.hosts.iter().for_each(|host| printer.data(&host.name)),
        Format::Table | Format::Wide => {
            let columns = [Column::new("HOST"), Column::new("LABELS")];
            let row = |host: &wharf::v1::Host| vec![host.name.clone(), view::labels(&host.labels)];
            let rows: Vec<Vec<String>> = response.hosts.iter().map(row).collect();
            let lines = table::render(&columns, &rows, false, width());
            lines.iter().for_each(|line| printer.data(line));
        }
    }
    Ok(())
}

fn changes(words: &[String]) -> Result<(BTreeMap<String, String>, Vec<String>), Failure> {
    let (remove, set): (Vec<&String>, Vec<&String>) =
        words.iter().partition(|word| !word.contains('=') && word.ends_with('-'));
    if words.is_empty() {
        return Err(Failure::usage("specify a label: KEY=VALUE sets one, KEY- removes one"));
    }
    if let Some(word) = set.iter().find(|word| !word.contains('=')) {
        return Err(Failure::Usage(format!(
            "\"{}\" is not a label; KEY=VALUE sets one, KEY- removes one",
            word.escape_debug()
        )));
    }
    let set = super::labels(&set.into_iter().cloned().collect::<Vec<_>>())?;
    let remove: Vec<String> = remove.iter().map(|word| word[..word.len() - 1].to_owned()).collect();
    if let Some(both) = remove.iter().find(|key| set.contains_key(*key)) {
        return Err(Failure::Usage(format!("label {both} is both set and removed")));
    }
    Ok((set, remove))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn labels_are_set_and_removed_as_with_kubectl() {
        let (set, remove) = changes(&strings(&["env=prod", "tier-", "a=b-", "empty="])).unwrap();
        assert_eq!(remove, ["tier"]);
        assert_eq!(
            (set["env"].as_str(), set["a"].as_str(), set["empty"].as_str()),
            ("prod", "b-", "")
        );
        for wrong in [vec![], vec!["env"], vec!["=x"], vec!["a=b", "a-"], vec!["a=b", "a=c"]] {
            assert!(changes(&strings(&wrong)).is_err(), "{wrong:?}");
        }
    }
}
