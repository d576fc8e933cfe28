//! The HTTP client of one Engine against a server that answers as scripted, byte by byte:
//! versions, connections, and everything a host can do wrong.

mod answers;
mod connections;
mod faults;
mod server;
mod tls;
mod transfers;
mod versions;
