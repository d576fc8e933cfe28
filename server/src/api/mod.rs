//! The gRPC edge: from messages to checked values, from the fleet's outcomes to messages.
//!
//! - [`edge`]: shared by all services; [`answer`]: the envelope of a fan-out.
//! - One file a service: [`hosts`], [`images`], [`builds`], [`containers`], [`exec`], [`files`],
//!   [`logs`], [`stats`], [`networks`], [`volumes`], [`rollouts`], [`registries`], [`system`].
//! - [`convert`]: requests in; [`views`]: answers out.
//! - [`table`]: the one table from cause to gRPC code; [`problem`]: how errors are sent.
//! - [`auth`]: authentication and authorization, with the roles in the contract ([`methods`]);
//!   [`origin`]: requests from browsers; [`throttle`]: repeated refusals; [`audit`]: the audit log.
//! - [`incoming`]: checks a request before it is decoded: limits of fields, and unknown fields.

pub mod answer;
pub mod audit;
pub mod auth;
mod away;
pub mod builds;
pub mod call_limit;
pub mod claims;
pub mod container_form;
pub mod containers;
pub mod convert;
pub mod deadline;
pub mod edge;
mod encoded;
mod encoder;
pub mod events;
pub mod exec;
pub mod field_limits;
pub mod files;
#[cfg(test)]
mod fuzz;
mod host_view;
pub mod hosts;
pub mod images;
mod in_use;
pub mod incoming;
pub mod items;
pub mod logs;
pub mod methods;
pub mod networks;
pub mod operations;
pub mod origin;
pub mod problem;
pub mod registries;
pub mod replay;
mod resource_views;
pub mod response_recorder;
pub mod rollouts;
pub mod size;
pub mod stats;
pub mod system;
mod system_views;
pub mod table;
pub mod throttle;
pub mod time_limits;
mod times;
pub mod trailers;
pub mod transfer;
mod unknown;
mod upload;
pub mod view_form;
pub mod views;
pub mod volumes;
mod watch;
