//! Several orders at the same time, through the gRPC service: `RolloutApi` over a real
//! `Supervisor`, so that claims, repeated plans, and retried requests use the server's code.
//! Callers disconnect, the process is killed and frozen, and containers are in every run state.
//!
//! ```text
//! server     a process of the server, which can be killed or frozen
//! ledger     the journal of all rollouts, slow and full
//! book       what is stored in it, checked as it is stored
//! site       hosts, ledger and the server that is up
//! caller     who orders, vanishes, and asks again
//! draw       what follows from a seed
//! run        a seed from its beginning to its end
//! oracle     what must be so then
//! rare       states that all seeds together must reach
//! planted    bugs that seeds must find
//! liveness   faults that stay
//! ```

mod book;
mod caller;
mod draw;
mod ledger;
mod liveness;
mod oracle;
mod planted;
mod rare;
mod run;
mod server;
mod site;
