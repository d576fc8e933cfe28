//! The contract of every implementation of the trait `Engine`: the same cases for the in-process
//! model, for the HTTP client on the model, and for the HTTP client on a real Engine.
//!
//! A case panics if the contract is broken. It creates its own images and containers, under its own
//! names, and removes them; so cases can share an Engine, even in parallel.

mod create;
mod events;
mod images;
mod lifecycle;
mod list;
mod networks;
mod policies;
mod removal;
mod rollout_calls;
mod system;
mod transfer;
mod world;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use wharf_server::engine::Engine;

use world::World;

/// What an implementation is given to show itself.
pub struct Fixture {
    /// The Engine.
    pub engine: Arc<dyn Engine>,
    /// Makes an image on that Engine. See [`Import`].
    pub import: Import,
    /// Waits until the process with this PID handles SIGTERM.
    pub ready: Ready,
    /// `host:port` of a registry that anyone may use.
    pub open_registry: String,
    /// `host:port` of a registry with a password.
    pub locked_registry: String,
    /// Who may use the locked one.
    pub user: String,
    /// The password.
    pub password: String,
    /// Before all names, so that runs do not meet. Lower case.
    pub prefix: String,
}

/// Makes an image under a reference (first argument). Its content differs with the second. It
/// has a shell, `touch`, `sleep`, `true` and `false` in `/bin` and nothing that contains
/// `nosuch`; its command is `/bin/idle`, which ends at once with 0 on SIGTERM; it has the
/// environment `COLOUR=blue` and the label `origin=image` and no other setting.
pub type Import = Box<dyn Fn(String, String) -> Work<'static> + Send + Sync>;

/// See [`Fixture::ready`].
pub type Ready = Box<dyn Fn(u64) -> Work<'static> + Send + Sync>;

/// Something under way.
pub type Work<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A case of the contract.
pub struct Case {
    /// What it asserts.
    pub name: &'static str,
    run: for<'a> fn(&'a World<'a>) -> Work<'a>,
}

/// All cases. Those that this Engine's API version is too old for do nothing but say so.
pub const CASES: &[&[Case]] = &[
    system::CASES,
    create::CASES,
    lifecycle::CASES,
    policies::CASES,
    removal::CASES,
    list::CASES,
    images::CASES,
    transfer::CASES,
    rollout_calls::CASES,
    networks::CASES,
    events::CASES,
];

impl Case {
    /// Runs it; panics where the contract is broken.
    pub async fn run(&self, fixture: &Fixture) {
        let world = World::new(fixture, self.name);
        (self.run)(&world).await;
    }
}

/// Runs all cases, one after the other. Panics at the end with the names of those that failed.
pub async fn run_all(fixture: &Fixture) {
    let mut failed = Vec::new();
    for case in CASES.iter().copied().flatten() {
        // The panic hook has printed what was wrong by then.
        if AssertUnwindSafe(case.run(fixture)).catch_unwind().await.is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "cases that failed: {failed:#?}");
}

/// Lists the async functions of a file as cases.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(super) const CASES: &[super::Case] = &[
            $(super::Case { name: stringify!($name), run: |world| Box::pin($name(world)) }),*
        ];
    };
}
use cases;
