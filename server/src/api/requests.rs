//! The fields that all requests of a kind have, once for all requests.

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

/// A request of a write that is not answered by a fan-out.
pub trait WriteRequest: prost::Message {
    /// Makes a retry safe; empty: none.
    fn request_id(&self) -> &str;
}

macro_rules! unary_writes {
    ($($request:ident),* $(,)?) => {$(
        impl WriteRequest for v1::$request {
            fn request_id(&self) -> &str {
                &self.request_id
            }
        }
    )*};
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

unary_writes! {
    AbortRolloutRequest,
    AddHostRequest,
    LoginRequest,
    LogoutRequest,
    PauseRolloutRequest,
    PromoteRolloutRequest,
    RemoveHostRequest,
    ResumeRolloutRequest,
    UpdateHostLabelsRequest,
}
