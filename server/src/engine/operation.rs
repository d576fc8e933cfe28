//! The calls of the Engine API as data: name in messages, subject, whether it changes anything,
//! time limit, and maximum size of the response.
//!
//! Used by the HTTP client, which sends them, and by [`super::classify`], which classifies the
//! responses. Every response has a size limit, because an Engine is not trusted to be brief.

use super::ErrorKind;

/// Lists: 64 MiB, which is some 40,000 containers with Compose labels.
const LIST_CAP: usize = 64 << 20;
/// Inspections: 3 MiB, which are passed on in a message of at most 4 MiB.
const INSPECT_CAP: usize = 3 << 20;
/// Everything else with one response: 4 MiB.
const UNARY_CAP: usize = 4 << 20;
/// Bodies of errors: 1 MiB, as Docker's own client has it.
pub(super) const ERROR_CAP: usize = 1 << 20;
/// One line of the progress of a transfer, or one event: 1 MiB.
pub(super) const LINE_CAP: usize = 1 << 20;

/// One call of the Engine API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operation {
    /// Method and path pattern.
    pub name: &'static str,
    /// The subject of a 404, and of the credentials of a 401.
    pub subject: Subject,
    /// Whether a lost answer leaves a doubt.
    pub access: Access,
    /// Whether the response comes immediately.
    pub pace: Pace,
    /// Bytes that the body of the answer may have.
    pub cap: usize,
}

/// The subject of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The Engine itself.
    System,
    /// Credentials for a registry.
    Login,
    /// An image on the host.
    Image,
    /// An image on its way from or to a registry.
    Transfer,
    /// Images on their way from or to this server.
    Archive,
    /// An image that is built, from base images in registries.
    Build,
    /// A container that exists.
    Container,
    /// A container that is to be created.
    Creation,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

/// Whether a call changes anything on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// The expected duration of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// The Engine answers as fast as it can.
    Quick,
    /// The Engine answers when it has finished something: a stop, a transfer.
    Long,
    /// The answer is a stream that ends by itself, and that goes as slowly as its reader: a log, an
    /// archive.
    Streamed,
    /// The Engine answers when something has happened, possibly never: a wait.
    Endless,
    /// The answer is a stream that is followed, possibly for days, and there may be one for each
    /// container of the host.
    Followed,
}

impl Pace {
    /// All, in their order.
    pub(super) const ALL: [Pace; 5] =
        [Pace::Quick, Pace::Long, Pace::Streamed, Pace::Endless, Pace::Followed];
}

impl Operation {
    const fn new(name: &'static str, subject: Subject, access: Access) -> Self {
        Self { name, subject, access, pace: Pace::Quick, cap: UNARY_CAP }
    }

    const fn long(self) -> Self {
        Self { pace: Pace::Long, ..self }
    }

    const fn streamed(self) -> Self {
        Self { pace: Pace::Streamed, ..self }
    }

    const fn endless(self) -> Self {
        Self { pace: Pace::Endless, ..self }
    }

    const fn followed(self) -> Self {
        Self { pace: Pace::Followed, ..self }
    }

    const fn cap(self, cap: usize) -> Self {
        Self { cap, ..self }
    }

    /// Whether it reports its progress, on which it may stand still.
    pub(super) fn is_transfer(&self) -> bool {
        match self.subject {
            Subject::Transfer => self.access == Access::Write,
            Subject::Archive => true,
            _ => self.is_of_files() && self.pace != Pace::Quick,
        }
    }

    /// Whether it may change what a list of containers shows. What runs in a container, and its files,
    /// don't; a new image does, because containers of its name get another one.
    pub(super) fn changes_containers(&self) -> bool {
        let is_inside = self.name.contains("/exec") || self.name.ends_with("/resize");
        self.access == Access::Write
            && !is_inside
            && !self.is_of_files()
            && *self != ATTACH_CONTAINER
            && *self != PUSH_IMAGE
    }

    /// Whether it is about files in a container.
    pub(super) fn is_of_files(&self) -> bool {
        self.name.ends_with("/archive")
    }

    /// The kind of a transfer that the Engine says has failed, or that ended in the middle.
    pub(super) fn failure(&self) -> ErrorKind {
        match self.subject {
            Subject::Archive => ErrorKind::LoadFailed,
            Subject::Build => ErrorKind::BuildFailed,
            _ if *self == PUSH_IMAGE => ErrorKind::PushFailed,
            _ => ErrorKind::PullFailed,
        }
    }

    /// Whether it is about networks, also where a missing thing is a container.
    pub(super) fn is_of_networks(&self) -> bool {
        self.name.contains(" /networks")
    }

    /// The HTTP method, which is the start of the name.
    pub(super) fn method(&self) -> &'static str {
        self.name.split(' ').next().unwrap_or(self.name)
    }
}

use Access::{Read, Write};
use Subject::{
    Archive, Build, Container, Creation, Image, Login, Network, System, Transfer, Volume,
};

pub(super) const PING_HEAD: Operation = Operation::new("HEAD /_ping", System, Read);
pub(super) const PING: Operation = Operation::new("GET /_ping", System, Read);
pub(super) const VERSION: Operation = Operation::new("GET /version", System, Read);
pub(super) const INFO: Operation = Operation::new("GET /info", System, Read);
// The Engine walks all its layers and volumes for it.
pub(super) const DISK_USAGE: Operation =
    Operation::new("GET /system/df", System, Read).long().cap(LIST_CAP);
// Nothing may happen for days.
pub(super) const EVENTS: Operation = Operation::new("GET /events", System, Read).followed();
// The Engine queries the registry.
pub(super) const LOGIN: Operation = Operation::new("POST /auth", Login, Read).long();

pub(super) const LIST_IMAGES: Operation =
    Operation::new("GET /images/json", Image, Read).cap(LIST_CAP);
pub(super) const INSPECT_IMAGE: Operation =
    Operation::new("GET /images/{name}/json", Image, Read).cap(INSPECT_CAP);
// Podman's own endpoint, beside Docker's.
pub(super) const INSPECT_IMAGE_OF_PODMAN: Operation =
    Operation::new("GET /libpod/images/{name}/json", Image, Read).cap(INSPECT_CAP);
pub(super) const IMAGE_HISTORY: Operation =
    Operation::new("GET /images/{name}/history", Image, Read);
pub(super) const PULL_IMAGE: Operation =
    Operation::new("POST /images/create", Transfer, Write).long();
pub(super) const PUSH_IMAGE: Operation =
    Operation::new("POST /images/{name}/push", Transfer, Write).long();
pub(super) const SAVE_IMAGES: Operation =
    Operation::new("GET /images/get", Archive, Read).streamed();
pub(super) const LOAD_IMAGES: Operation =
    Operation::new("POST /images/load", Archive, Write).long();
// A step may be silent for hours, so nothing limits the time between two lines.
pub(super) const BUILD_IMAGE: Operation = Operation::new("POST /build", Build, Write).endless();
pub(super) const TAG_IMAGE: Operation = Operation::new("POST /images/{name}/tag", Image, Write);
pub(super) const REMOVE_IMAGE: Operation =
    Operation::new("DELETE /images/{name}", Image, Write).long();
pub(super) const PRUNE_IMAGES: Operation =
    Operation::new("POST /images/prune", System, Write).long().cap(LIST_CAP);

pub(super) const LIST_CONTAINERS: Operation =
    Operation::new("GET /containers/json", System, Read).cap(LIST_CAP);
// On a slow disk, it takes seconds, and its result must not be lost.
pub(super) const CREATE_CONTAINER: Operation =
    Operation::new("POST /containers/create", Creation, Write).long();
pub(super) const INSPECT_CONTAINER: Operation =
    Operation::new("GET /containers/{id}/json", Container, Read).cap(INSPECT_CAP);
pub(super) const START_CONTAINER: Operation =
    Operation::new("POST /containers/{id}/start", Container, Write).long();
pub(super) const STOP_CONTAINER: Operation =
    Operation::new("POST /containers/{id}/stop", Container, Write).long();
pub(super) const RESTART_CONTAINER: Operation =
    Operation::new("POST /containers/{id}/restart", Container, Write).long();
pub(super) const KILL_CONTAINER: Operation =
    Operation::new("POST /containers/{id}/kill", Container, Write).long();
pub(super) const PAUSE_CONTAINER: Operation =
    Operation::new("POST /containers/{id}/pause", Container, Write);
pub(super) const UNPAUSE_CONTAINER: Operation =
    Operation::new("POST /containers/{id}/unpause", Container, Write);
pub(super) const RENAME_CONTAINER: Operation =
    Operation::new("POST /containers/{id}/rename", Container, Write);
pub(super) const UPDATE_CONTAINER: Operation =
    Operation::new("POST /containers/{id}/update", Container, Write);
pub(super) const WAIT_CONTAINER: Operation =
    Operation::new("POST /containers/{id}/wait", Container, Read).endless();
pub(super) const LIST_PROCESSES: Operation =
    Operation::new("GET /containers/{id}/top", Container, Read);
pub(super) const CONTAINER_CHANGES: Operation =
    Operation::new("GET /containers/{id}/changes", Container, Read).cap(LIST_CAP);
pub(super) const LIST_NETWORKS: Operation =
    Operation::new("GET /networks", System, Read).cap(LIST_CAP);
pub(super) const INSPECT_NETWORK: Operation =
    Operation::new("GET /networks/{id}", Network, Read).cap(INSPECT_CAP);
// Drivers may ask other machines, and configure the kernel.
pub(super) const CREATE_NETWORK: Operation =
    Operation::new("POST /networks/create", Network, Write).long();
pub(super) const REMOVE_NETWORK: Operation =
    Operation::new("DELETE /networks/{id}", Network, Write).long();
pub(super) const PRUNE_NETWORKS: Operation =
    Operation::new("POST /networks/prune", System, Write).long().cap(LIST_CAP);
pub(super) const CONNECT_NETWORK: Operation =
    Operation::new("POST /networks/{id}/connect", Container, Write);
pub(super) const DISCONNECT_NETWORK: Operation =
    Operation::new("POST /networks/{id}/disconnect", Container, Write);
pub(super) const LIST_VOLUMES: Operation =
    Operation::new("GET /volumes", System, Read).cap(LIST_CAP);
pub(super) const INSPECT_VOLUME: Operation =
    Operation::new("GET /volumes/{name}", Volume, Read).cap(INSPECT_CAP);
pub(super) const CREATE_VOLUME: Operation =
    Operation::new("POST /volumes/create", Volume, Write).long();
pub(super) const REMOVE_VOLUME: Operation =
    Operation::new("DELETE /volumes/{name}", Volume, Write).long();
pub(super) const PRUNE_VOLUMES: Operation =
    Operation::new("POST /volumes/prune", System, Write).long().cap(LIST_CAP);
pub(super) const CREATE_EXEC: Operation =
    Operation::new("POST /containers/{id}/exec", Container, Write);
// The answer lasts as long as the command.
pub(super) const START_EXEC: Operation =
    Operation::new("POST /exec/{id}/start", Container, Write).endless();
pub(super) const INSPECT_EXEC: Operation = Operation::new("GET /exec/{id}/json", Container, Read);
pub(super) const RESIZE_EXEC: Operation =
    Operation::new("POST /exec/{id}/resize", Container, Write);
// The answer lasts as long as the command.
pub(super) const ATTACH_CONTAINER: Operation =
    Operation::new("POST /containers/{id}/attach", Container, Write).endless();
pub(super) const RESIZE_CONTAINER: Operation =
    Operation::new("POST /containers/{id}/resize", Container, Write);
pub(super) const CONTAINER_LOGS: Operation =
    Operation::new("GET /containers/{id}/logs", Container, Read).streamed();
pub(super) const FOLLOW_LOGS: Operation =
    Operation::new("GET /containers/{id}/logs", Container, Read).followed();
pub(super) const STAT_PATH: Operation =
    Operation::new("HEAD /containers/{id}/archive", Container, Read);
pub(super) const DOWNLOAD_ARCHIVE: Operation =
    Operation::new("GET /containers/{id}/archive", Container, Read).streamed();
pub(super) const UPLOAD_ARCHIVE: Operation =
    Operation::new("PUT /containers/{id}/archive", Container, Write).long();
pub(super) const STREAM_STATS: Operation =
    Operation::new("GET /containers/{id}/stats", Container, Read).followed();
// The Engine queries the registry.
pub(super) const INSPECT_DISTRIBUTION: Operation =
    Operation::new("GET /distribution/{name}/json", Transfer, Read).long();
pub(super) const REMOVE_CONTAINER: Operation =
    Operation::new("DELETE /containers/{id}", Container, Write).long();
pub(super) const PRUNE_CONTAINERS: Operation =
    Operation::new("POST /containers/prune", System, Write).long().cap(LIST_CAP);
