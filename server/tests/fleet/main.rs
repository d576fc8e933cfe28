//! The real server on a unix socket, called by the real gRPC client, with simulated hosts. One file
//! for each behavior.

mod access;
mod audit;
mod backpressure;
mod builds;
mod cancellation;
mod cordons;
mod deadlines;
mod envelope;
mod events;
mod exec;
mod faults;
mod files;
mod limits;
mod logs;
mod negotiation;
mod parallel;
mod permits;
mod plans;
mod repeats;
mod resources;
mod secrets;
mod send;
mod sizes;
mod stats;
mod status;
mod stopping;
mod support;
mod unknown_fields;
mod used;
mod views;
mod watches;
mod web;
mod writes;
