//! Real daemons for the end-to-end tests and for `scripts/demo`: Docker Engines, registries,
//! `wharfd` and the `wharf` command line.
//!
//! ```text
//! fleet ──> engine, registry        the fixture that the tests of one process share
//! engine ─> kind, tls, image        one Engine: containerd and dockerd, or podman
//! sshd                              a server for logins, and the configuration of its client
//! wharfd, cli                       the real binaries of this workspace
//!    └────> daemon ──> run ──> sweep
//! ```
//!
//! Every daemon lives below the directory of its run ([`run::Run`]), and nothing outlives the
//! process that owns the run: a second process, the reaper, waits for its end, for any reason, and
//! then stops the daemons and removes the directory. If the reaper is killed too, the next run
//! cleans up ([`sweep`]).
//!
//! The Engines share nothing with the Docker of the machine: they have their own containerd,
//! directories, cgroups, and configuration, and no bridge and no packet filter. Besides the
//! machine's own, there are Docker 26.1 and 28.5 and podman 4.3 and 5.4 ([`kind`]).

pub mod cli;
pub mod daemon;
pub mod engine;
pub mod fleet;
pub mod image;
pub mod kind;
pub mod poll;
pub mod process;
pub mod ready;
pub mod registry;
pub mod run;
pub mod sshd;
pub mod sweep;
pub mod tls;
pub mod tools;
pub mod wharfd;

pub use cli::{Output, Wharf};
pub use engine::{Engine, EngineOptions, Listen};
pub use fleet::Fleet;
pub use image::Image;
pub use kind::EngineKind;
pub use poll::{LIMIT, eventually};
pub use ready::until_it_can_stop;
pub use registry::{Registry, registry_auth};
pub use reqwest::Method;
pub use sshd::Sshd;
pub use wharfd::{Wharfd, WharfdOptions};

/// A name that no other test uses, such as `web-3f2a9c41`: tests that share an Engine must not
/// meet in the names of their containers and images.
pub fn unique(prefix: &str) -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    format!("{prefix}-{}", &id[..8])
}
