//! The HTTP client of one Engine against a server with scripted bytes: versions, connections, and
//! every failure of a host.

mod answers;
mod archives;
mod connections;
mod faults;
mod server;
mod tls;
mod transfers;
mod versions;
