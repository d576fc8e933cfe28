//! `wharf completion`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::app::App;
use crate::args::Arguments;
use crate::exit::Failure;

const EXAMPLES: &str = "\
Examples:
  wharf completion bash > ~/.local/share/bash-completion/completions/wharf
  wharf completion zsh > \"${fpath[1]}/_wharf\"
  wharf completion fish > ~/.config/fish/completions/wharf.fish";

/// Arguments of `wharf completion`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Shell to print the script for
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints a completion script.
pub fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "wharf", &mut script);
    app.printer.text(String::from_utf8_lossy(&script).trim_end());
    Ok(())
}
