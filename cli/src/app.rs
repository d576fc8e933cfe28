//! What every command needs: the printer, the global flags, and the connection.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::time::Duration;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use wharf::client::Bearer;
use wharf::v1::build_service_client::BuildServiceClient;
use wharf::v1::container_service_client::ContainerServiceClient;
use wharf::v1::event_service_client::EventServiceClient;
use wharf::v1::exec_service_client::ExecServiceClient;
use wharf::v1::file_service_client::FileServiceClient;
use wharf::v1::host_service_client::HostServiceClient;
use wharf::v1::image_service_client::ImageServiceClient;
use wharf::v1::log_service_client::LogServiceClient;
use wharf::v1::network_service_client::NetworkServiceClient;
use wharf::v1::registry_service_client::RegistryServiceClient;
use wharf::v1::rollout_service_client::RolloutServiceClient;
use wharf::v1::stats_service_client::StatsServiceClient;
use wharf::v1::system_service_client::SystemServiceClient;
use wharf::v1::volume_service_client::VolumeServiceClient;

use crate::exit::Failure;
use crate::printer::Printer;
use crate::reach::{self, Peer};
use crate::server::{self, Environment, Server, ServerArgs, ServerTlsArgs};
use crate::targets::TargetArgs;

/// Longest response of a server: one message holds at most an Engine's JSON of 4 MiB, escaped
/// nowhere, and little else.
const MESSAGE_LIMIT: usize = 16 << 20;

/// Default deadline of a call that contacts no host: the server answers it from
/// its own store.
const UNARY_TIMEOUT: Duration = Duration::from_secs(30);

/// One run of the program.
pub struct App {
    /// Where all output goes.
    pub printer: Printer,
    /// The flags that choose the server.
    pub server: ServerArgs,
    /// The TLS flags for the connection to the server.
    pub server_tls: ServerTlsArgs,
    /// Hosts given before the verb.
    pub targets: TargetArgs,
    /// `--timeout`: the deadline of each call.
    pub timeout: Option<Duration>,
    /// What to print after Ctrl-C, which depends on how far the command has come.
    pub on_interrupt: RefCell<Option<String>>,
    /// Whether Ctrl-C is for a container, or for another program that has the terminal for a while,
    /// and so doesn't end this one.
    pub passes_signals: Cell<bool>,
}

impl App {
    /// Waits for a Ctrl-C that is to end this program.
    pub async fn interrupted(&self) {
        // Without a handler, Ctrl-C ends the program in any case.
        while tokio::signal::ctrl_c().await.is_ok() && self.passes_signals.get() {}
    }
}

/// A connected server.
#[derive(Clone)]
pub struct Connection {
    channel: InterceptedService<Channel, Bearer>,
    timeout: Option<Duration>,
}

/// The channel that all clients use.
pub type Wire = InterceptedService<Channel, Bearer>;

impl App {
    /// The server that flags, environment and contexts choose.
    pub fn server(&self) -> Result<Server, Failure> {
        let environment = Environment::of_process();
        let load = crate::contexts::Contexts::load;
        let context = server::choose(&self.server, &self.server_tls, &environment, load)?;
        server::open(&context, environment.token.as_deref())
    }

    /// The flags with which another run of this program uses the same server.
    pub fn server_flags(&self) -> Vec<OsString> {
        let (server, tls) = (&self.server, &self.server_tls);
        let texts = [
            ("--server", &server.server),
            ("--context", &server.context),
            ("--tls-server-name", &tls.tls_server_name),
        ];
        let files = [
            ("--token-file", &server.token_file),
            ("--tls-ca", &tls.tls_ca),
            ("--tls-cert", &tls.tls_cert),
            ("--tls-key", &tls.tls_key),
        ];
        let texts = texts.iter().filter_map(|(flag, text)| Some((*flag, text.as_ref()?.into())));
        let files = files.iter().filter_map(|(flag, file)| Some((*flag, file.as_ref()?.into())));
        texts.chain(files).flat_map(|(flag, value): (_, OsString)| [flag.into(), value]).collect()
    }

    /// Connects to the server.
    pub async fn connect(&self) -> Result<Connection, Failure> {
        let server = self.server()?;
        let channel = server.target.connect().await.map_err(|error| {
            Failure::Connection(reach::cannot_connect(&Peer::of(&server), &error))
        })?;
        let channel = InterceptedService::new(channel, server.bearer);
        Ok(Connection { channel, timeout: self.timeout })
    }

    /// The same failure, reported as a connection failure if the connection caused it.
    pub fn explain(&self, failure: Failure) -> Failure {
        let Failure::Refused(status) = &failure else { return failure };
        let line = self.server().ok().and_then(|s| reach::connection_broke(&Peer::of(&s), status));
        line.map_or(failure, Failure::Connection)
    }

    /// The hosts of a command: those after the verb, or else those before it.
    pub fn targets(&self, after: &TargetArgs) -> TargetArgs {
        after.or(&self.targets)
    }
}

macro_rules! clients {
    ($($name:ident: $client:ident),* $(,)?) => {
        $(
            #[doc = concat!("A `", stringify!($client), "`.")]
            pub fn $name(&self) -> $client<Wire> {
                $client::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
            }
        )*
    };
}

impl Connection {
    clients! {
        builds: BuildServiceClient,
        containers: ContainerServiceClient,
        events: EventServiceClient,
        exec: ExecServiceClient,
        files: FileServiceClient,
        logs: LogServiceClient,
        images: ImageServiceClient,
        hosts: HostServiceClient,
        networks: NetworkServiceClient,
        registries: RegistryServiceClient,
        rollouts: RolloutServiceClient,
        stats: StatsServiceClient,
        system: SystemServiceClient,
        volumes: VolumeServiceClient,
    }

    /// The channel, for calls that this program only passes on.
    pub fn wire(&self) -> Wire {
        self.channel.clone()
    }

    /// `--timeout`, if it was given.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// A request of a call that reaches hosts: with the deadline of `--timeout`, or none, because
    /// the server has a budget for each host.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        request
    }

    /// Sends a call with one response. `usual` is its deadline if `--timeout` is not set.
    pub async fn unary<T, M, F>(
        &self,
        message: T,
        call: impl FnOnce(Request<T>) -> F,
    ) -> Result<M, Failure>
    where
        F: Future<Output = Result<Response<M>, Status>>,
    {
        self.unary_within(UNARY_TIMEOUT, message, call).await
    }

    /// Like [`Self::unary`], with another deadline if `--timeout` is not set.
    pub async fn unary_within<T, M, F>(
        &self,
        usual: Duration,
        message: T,
        call: impl FnOnce(Request<T>) -> F,
    ) -> Result<M, Failure>
    where
        F: Future<Output = Result<Response<M>, Status>>,
    {
        let timeout = self.timeout.unwrap_or(usual);
        let mut request = Request::new(message);
        request.set_timeout(timeout);
        match tokio::time::timeout(timeout, call(request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) if !is_timeout(&status) => Err(status.into()),
            _ => Err(Failure::Connection(format!(
                "the server did not answer within {timeout:?}; to wait longer, use --timeout"
            ))),
        }
    }
}

/// Whether the client's own deadline expired: tonic reports it with these codes and this text.
pub fn is_timeout(status: &Status) -> bool {
    status.code() == Code::DeadlineExceeded
        || status.code() == Code::Cancelled && status.message() == "Timeout expired"
}
