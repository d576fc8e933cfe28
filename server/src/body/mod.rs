//! Creates the Engine's JSON bodies from the API's typed messages and from raw JSON. Pure.
//!
//! [`create`] creates the body of `POST /containers/create`, [`update`] that of `POST
//! `POST /containers/{id}/update`; [`unset`] removes settings from one; [`violation`] is what they find
//! wrong. All read the table of settings, [`wharf::settings`]. Called by the gRPC edge, and by
//! rollouts for changes to the settings of containers that exist.

pub mod create;
pub(crate) mod json;
pub mod unset;
pub mod update;
pub mod violation;
