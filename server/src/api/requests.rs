//! The fields that every request of a fan-out has, once for all requests.

use wharf::v1;

/// A request that chooses hosts and is answered by a fan-out.
pub trait FanoutRequest: prost::Message {
    /// The hosts.
    fn targets(&self) -> Option<&v1::HostSelector>;
    /// How the call is carried out.
    fn fanout(&self) -> Option<&v1::FanoutOptions>;
    /// Makes a retry of a write safe; empty: none.
    fn request_id(&self) -> &str;
}

macro_rules! reads {
    ($($request:ident),* $(,)?) => {$(
        impl FanoutRequest for v1::$request {
            fn targets(&self) -> Option<&v1::HostSelector> {
                self.targets.as_ref()
            }
            fn fanout(&self) -> Option<&v1::FanoutOptions> {
                self.fanout.as_ref()
            }
            fn request_id(&self) -> &str {
                ""
            }
        }
    )*};
}

macro_rules! writes {
    ($($request:ident),* $(,)?) => {$(
        impl FanoutRequest for v1::$request {
            fn targets(&self) -> Option<&v1::HostSelector> {
                self.targets.as_ref()
            }
            fn fanout(&self) -> Option<&v1::FanoutOptions> {
                self.fanout.as_ref()
            }
            fn request_id(&self) -> &str {
                &self.request_id
            }
        }
    )*};
}

reads! {
    CheckHostsRequest,
    CheckLoginRequest,
    GetContainerChangesRequest,
    GetDiskUsageRequest,
    GetEngineInfoRequest,
    GetEngineVersionRequest,
    GetImageHistoryRequest,
    InspectContainersRequest,
    InspectImagesRequest,
    ListContainersRequest,
    ListImagesRequest,
    ListProcessesRequest,
    WaitContainersRequest,
}

writes! {
    CreateContainerRequest,
    KillContainersRequest,
    PauseContainersRequest,
    PruneContainersRequest,
    PruneImagesRequest,
    PullImageRequest,
    PushImageRequest,
    RemoveContainersRequest,
    RemoveImagesRequest,
    RenameContainerRequest,
    RestartContainersRequest,
    StartContainersRequest,
    StopContainersRequest,
    TagImageRequest,
    UnpauseContainersRequest,
    UpdateContainersRequest,
}
