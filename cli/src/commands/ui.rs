//! `wharf ui`.

use tokio::net::TcpListener;

use crate::app::App;
use crate::exit::Failure;
use crate::page::{self, Forward, Gate, Page};

const EXAMPLES: &str = "\
Examples:
  wharf ui                                   on a free port; open the address that it prints
  wharf --context production ui --port 7070
  ssh -L 7070:127.0.0.1:7070 admin@build1 wharf ui --port 7070

The address works once, in one browser. Ctrl-C ends the page.";

/// Arguments of `wharf ui`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Port of 127.0.0.1 [default: a free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
}

/// Serves the page until Ctrl-C.
pub async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let connection = app.connect().await?;
    let listener = TcpListener::bind(("127.0.0.1", args.port)).await;
    let port = listener.as_ref().ok().and_then(|it| it.local_addr().ok()).map(|it| it.port());
    let (listener, port) = match (listener, port) {
        (Ok(listener), Some(port)) => (listener, port),
        (Err(error), _) => {
            let place = format!("127.0.0.1:{}", args.port);
            return Err(Failure::Usage(format!(
                "cannot listen on {place}: {error}; set another --port"
            )));
        }
        (Ok(_), None) => return Err(Failure::usage("the port of the page is unknown")),
    };
    let secret = page::secret();
    let page = Page::new(Gate::new(port, &secret), Forward::new(connection.wire()));
    app.printer.data(&format!("http://127.0.0.1:{port}/#open={secret}"));
    app.printer.note("open this address in a browser; it works once. Ctrl-C ends the page");
    let service = tower::service_fn(move |request| page.clone().answer(request));
    let served = axum::serve(listener, axum::Router::new().fallback_service(service)).await;
    served.map_err(|error| Failure::Connection(format!("the page ended: {error}")))
}
