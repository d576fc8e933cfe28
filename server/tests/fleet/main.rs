//! The real server on a unix socket, asked by the real gRPC client, in front of simulated hosts.
//! A file is a behaviour.

mod deadlines;
mod envelope;
mod negotiation;
mod status;
mod support;
