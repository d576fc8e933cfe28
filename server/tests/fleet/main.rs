//! The real server on a unix socket, asked by the real gRPC client, in front of simulated hosts.
//! A file is a behaviour.

mod access;
mod audit;
mod backpressure;
mod cancellation;
mod deadlines;
mod envelope;
mod faults;
mod limits;
mod negotiation;
mod parallel;
mod repeats;
mod secrets;
mod sizes;
mod status;
mod stopping;
mod support;
mod web;
