//! The Engine's JSON bodies, made of the API's typed messages and of raw JSON. Pure.
//!
//! [`create`] makes the body of `POST /containers/create`, [`update`] that of
//! `POST /containers/{id}/update`; [`unset`] removes settings from one; [`violation`] is what they find
//! wrong. All read the table of settings, [`wharf::settings`]. Called by the gRPC edge, and by
//! rollouts for changes to the settings of containers that exist.

pub mod create;
pub(crate) mod json;
pub mod unset;
pub mod update;
pub mod violation;
