//! Creates the Engine's JSON bodies from the API's typed messages and from raw JSON. Pure.
//!
//! [`create`] creates the body of `POST /containers/create`, [`update`] that of `POST
//! /containers/{id}/update`; [`violation`] is a problem that both report. Called by the gRPC edge,
//! and by rollouts for changes to the settings of existing containers.

pub mod create;
pub mod update;
pub mod violation;
