//! Features of rollouts beyond the replacement, on real Engines: repeated requests, the comparison
//! with the request, respect for foreign labels, names, and images, and the retention of old
//! containers. Policies are tested elsewhere.

mod again;
mod bench;
mod copies;
mod images;
mod labels;
mod names;
mod renewal;
mod retention;
mod strict;
