//! The calls of the Engine API as data: the keys of faults, latencies, and counters.

/// A call of the Engine API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// `GET` or `HEAD /_ping`.
    Ping,
    /// `GET /version`.
    Version,
    /// `GET /info`.
    Info,
    /// `GET /system/df`.
    DiskUsage,
    /// `GET /events`.
    Events,
    /// `POST /auth`.
    Login,
    /// `GET /images/json`.
    ListImages,
    /// `GET /images/{name}/json`.
    InspectImage,
    /// `GET /images/{name}/history`.
    ImageHistory,
    /// `POST /images/create`.
    Pull,
    /// `POST /images/{name}/push`.
    Push,
    /// `GET /images/get`.
    SaveImages,
    /// `POST /images/load`.
    LoadImages,
    /// `POST /build`.
    Build,
    /// `POST /images/{name}/tag`.
    Tag,
    /// `DELETE /images/{name}`.
    RemoveImage,
    /// `POST /images/prune`.
    PruneImages,
    /// `GET /containers/json`.
    ListContainers,
    /// `POST /containers/create`.
    Create,
    /// `GET /containers/{id}/json`.
    Inspect,
    /// `POST /containers/{id}/start`.
    Start,
    /// `POST /containers/{id}/stop`.
    Stop,
    /// `POST /containers/{id}/restart`.
    Restart,
    /// `POST /containers/{id}/kill`.
    Kill,
    /// `POST /containers/{id}/pause`.
    Pause,
    /// `POST /containers/{id}/unpause`.
    Unpause,
    /// `POST /containers/{id}/rename`.
    Rename,
    /// `POST /containers/{id}/update`.
    Update,
    /// `POST /containers/{id}/wait`.
    Wait,
    /// `GET /containers/{id}/top`.
    Top,
    /// `GET /containers/{id}/changes`.
    Changes,
    /// `DELETE /containers/{id}`.
    Remove,
    /// `POST /containers/prune`.
    PruneContainers,
    /// `GET /networks`.
    ListNetworks,
    /// `GET /networks/{id}`.
    InspectNetwork,
    /// `POST /networks/create`.
    CreateNetwork,
    /// `DELETE /networks/{id}`.
    RemoveNetwork,
    /// `POST /networks/prune`.
    PruneNetworks,
    /// `POST /networks/{id}/connect`.
    ConnectNetwork,
    /// `POST /networks/{id}/disconnect`.
    DisconnectNetwork,
    /// `GET /volumes`.
    ListVolumes,
    /// `GET /volumes/{name}`.
    InspectVolume,
    /// `POST /volumes/create`.
    CreateVolume,
    /// `DELETE /volumes/{name}`.
    RemoveVolume,
    /// `POST /volumes/prune`.
    PruneVolumes,
    /// `POST /containers/{id}/exec`; in process, with what follows.
    Exec,
    /// `POST /exec/{id}/start`.
    StartExec,
    /// `POST /exec/{id}/resize`.
    ResizeExec,
    /// `GET /exec/{id}/json`.
    InspectExec,
    /// `GET /containers/{id}/logs`.
    Logs,
    /// `GET /containers/{id}/stats`.
    Stats,
    /// `HEAD /containers/{id}/archive`.
    StatPath,
    /// `GET /containers/{id}/archive`.
    DownloadArchive,
    /// `PUT /containers/{id}/archive`.
    UploadArchive,
    /// `GET /distribution/{name}/json`.
    Distribution,
}

impl Operation {
    /// Method and path pattern, as errors name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ping => "GET /_ping",
            Self::Version => "GET /version",
            Self::Info => "GET /info",
            Self::DiskUsage => "GET /system/df",
            Self::Events => "GET /events",
            Self::Login => "POST /auth",
            Self::ListImages => "GET /images/json",
            Self::InspectImage => "GET /images/{name}/json",
            Self::ImageHistory => "GET /images/{name}/history",
            Self::Pull => "POST /images/create",
            Self::Push => "POST /images/{name}/push",
            Self::SaveImages => "GET /images/get",
            Self::LoadImages => "POST /images/load",
            Self::Build => "POST /build",
            Self::Tag => "POST /images/{name}/tag",
            Self::RemoveImage => "DELETE /images/{name}",
            Self::PruneImages => "POST /images/prune",
            Self::ListContainers => "GET /containers/json",
            Self::Create => "POST /containers/create",
            Self::Inspect => "GET /containers/{id}/json",
            Self::Start => "POST /containers/{id}/start",
            Self::Stop => "POST /containers/{id}/stop",
            Self::Restart => "POST /containers/{id}/restart",
            Self::Kill => "POST /containers/{id}/kill",
            Self::Pause => "POST /containers/{id}/pause",
            Self::Unpause => "POST /containers/{id}/unpause",
            Self::Rename => "POST /containers/{id}/rename",
            Self::Update => "POST /containers/{id}/update",
            Self::Wait => "POST /containers/{id}/wait",
            Self::Top => "GET /containers/{id}/top",
            Self::Changes => "GET /containers/{id}/changes",
            Self::Remove => "DELETE /containers/{id}",
            Self::PruneContainers => "POST /containers/prune",
            Self::ListNetworks => "GET /networks",
            Self::InspectNetwork => "GET /networks/{id}",
            Self::CreateNetwork => "POST /networks/create",
            Self::RemoveNetwork => "DELETE /networks/{id}",
            Self::PruneNetworks => "POST /networks/prune",
            Self::ConnectNetwork => "POST /networks/{id}/connect",
            Self::DisconnectNetwork => "POST /networks/{id}/disconnect",
            Self::ListVolumes => "GET /volumes",
            Self::InspectVolume => "GET /volumes/{name}",
            Self::CreateVolume => "POST /volumes/create",
            Self::RemoveVolume => "DELETE /volumes/{name}",
            Self::PruneVolumes => "POST /volumes/prune",
            Self::Exec => "POST /containers/{id}/exec",
            Self::StartExec => "POST /exec/{id}/start",
            Self::ResizeExec => "POST /exec/{id}/resize",
            Self::InspectExec => "GET /exec/{id}/json",
            Self::Logs => "GET /containers/{id}/logs",
            Self::Stats => "GET /containers/{id}/stats",
            Self::StatPath => "HEAD /containers/{id}/archive",
            Self::DownloadArchive => "GET /containers/{id}/archive",
            Self::UploadArchive => "PUT /containers/{id}/archive",
            Self::Distribution => "GET /distribution/{name}/json",
        }
    }

    /// Whether it changes anything on the host, so that a lost answer leaves a doubt.
    pub fn is_write(self) -> bool {
        !matches!(
            self,
            Self::Ping
                | Self::Version
                | Self::Info
                | Self::DiskUsage
                | Self::Events
                | Self::Login
                | Self::ListImages
                | Self::InspectImage
                | Self::ImageHistory
                | Self::SaveImages
                | Self::ListContainers
                | Self::Inspect
                | Self::Wait
                | Self::Top
                | Self::Changes
                | Self::ListNetworks
                | Self::InspectNetwork
                | Self::ListVolumes
                | Self::InspectVolume
                | Self::InspectExec
                | Self::Logs
                | Self::Stats
                | Self::StatPath
                | Self::DownloadArchive
                | Self::Distribution
        )
    }
}
