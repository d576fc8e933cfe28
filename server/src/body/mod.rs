//! Creates the Engine's JSON bodies from the API's typed messages and from raw JSON. Pure.
//!
//! [`create`] creates the body of `POST /containers/create`, [`update`] that of `POST
//! `POST /containers/{id}/update`; [`unset`] removes settings from one; [`violation`] is what they find
//! wrong. These read the table of settings, [`wharf::settings`]. [`network`] and [`volume`] do the same
//! for networks and volumes, and tell how an existing one differs ([`difference`]). Called by the gRPC edge, and by
//! rollouts for changes to the settings of containers that exist.

pub mod create;
mod difference;
pub(crate) mod json;
pub mod network;
pub mod unset;
pub mod update;
pub mod violation;
pub mod volume;
