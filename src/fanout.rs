//! The envelope of every call that reaches several hosts, once for all responses.
//!
//! `proto/wharf/v1/common.proto` describes it. The server builds responses from
//! [`Envelope`]s, a client takes them apart again; neither needs to know which call it is.

use crate::v1::{FanoutStarted, FanoutSummary, Heartbeat, HostOutcome};

/// One event of a fan-out stream; `P` is the event type of the response, of which only the
/// payload variants occur in [`Envelope::Payload`].
#[derive(Debug, Clone, PartialEq)]
pub enum Envelope<P> {
    /// First message: the hosts of the call.
    Started(FanoutStarted),
    /// The last message of one host.
    Outcome(HostOutcome),
    /// The last message of the stream.
    Summary(FanoutSummary),
    /// The stream is alive.
    Heartbeat,
    /// What the call is about.
    Payload(P),
}

/// A response message that has the envelope.
pub trait FanoutResponse: prost::Message + Default + Sized + 'static {
    /// The generated `oneof event` of the message.
    type Event: Send + 'static;

    /// Builds the message for `host`, which is empty for events of the whole call.
    fn from_envelope(host: String, envelope: Envelope<Self::Event>) -> Self;

    /// Takes the message apart. `None` for an event that this version does not know.
    fn into_envelope(self) -> (String, Option<Envelope<Self::Event>>);
}

macro_rules! fanout_responses {
    ($($message:ident $module:ident),* $(,)?) => {$(
        impl FanoutResponse for crate::v1::$message {
            type Event = crate::v1::$module::Event;

            fn from_envelope(host: String, envelope: Envelope<Self::Event>) -> Self {
                use crate::v1::$module::Event;
                let event = match envelope {
                    Envelope::Started(started) => Event::Started(started),
                    Envelope::Outcome(outcome) => Event::Outcome(outcome),
                    Envelope::Summary(summary) => Event::Summary(summary),
                    Envelope::Heartbeat => Event::Heartbeat(Heartbeat {}),
                    Envelope::Payload(event) => event,
                };
                Self { host, event: Some(event) }
            }

            // TagImage and others without a payload have no variant left for the last arm.
            #[allow(unreachable_patterns)]
            fn into_envelope(self) -> (String, Option<Envelope<Self::Event>>) {
                use crate::v1::$module::Event;
                let envelope = self.event.map(|event| match event {
                    Event::Started(started) => Envelope::Started(started),
                    Event::Outcome(outcome) => Envelope::Outcome(outcome),
                    Event::Summary(summary) => Envelope::Summary(summary),
                    Event::Heartbeat(_) => Envelope::Heartbeat,
                    payload => Envelope::Payload(payload),
                });
                (self.host, envelope)
            }
        }
    )*};
}

fanout_responses! {
    CheckHostsResponse check_hosts_response,
    CheckLoginResponse check_login_response,
    CreateContainerResponse create_container_response,
    GetContainerChangesResponse get_container_changes_response,
    GetDiskUsageResponse get_disk_usage_response,
    GetEngineInfoResponse get_engine_info_response,
    GetEngineVersionResponse get_engine_version_response,
    GetImageHistoryResponse get_image_history_response,
    InspectContainersResponse inspect_containers_response,
    InspectImagesResponse inspect_images_response,
    KillContainersResponse kill_containers_response,
    ListContainersResponse list_containers_response,
    ListImagesResponse list_images_response,
    ListProcessesResponse list_processes_response,
    PauseContainersResponse pause_containers_response,
    PruneContainersResponse prune_containers_response,
    PruneImagesResponse prune_images_response,
    PullImageResponse pull_image_response,
    PushImageResponse push_image_response,
    RemoveContainersResponse remove_containers_response,
    RemoveImagesResponse remove_images_response,
    RenameContainerResponse rename_container_response,
    RestartContainersResponse restart_containers_response,
    StartContainersResponse start_containers_response,
    StopContainersResponse stop_containers_response,
    TagImageResponse tag_image_response,
    UnpauseContainersResponse unpause_containers_response,
    UpdateContainersResponse update_containers_response,
    WaitContainersResponse wait_containers_response,
}
