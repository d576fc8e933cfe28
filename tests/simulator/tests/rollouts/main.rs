//! Whole rollouts against model hosts, with every possible failure: the process is killed at every
//! point, Engines crash, and responses are lost. The code under test is that of the server, from
//! the plan to the last record; only Engines and time are models.
//!
//! ```text
//! world      hosts, journal, and a process that can be killed
//! recorder   the journal, watched and cut
//! oracle     the conditions at the end
//! kill_sweep every point of every kind of work
//! persisted  state that many kills must not reset
//! newer      pulling the image that a name now points to
//! versions   whole rollouts with every version of the Engine API
//! pulls      problems found while hosts pull images
//! copies     images from one host to the others
//! refused    what no plan takes on
//! retries    what a second attempt finds and leaves
//! downtime   the calls while nothing answers
//! late       late responses, and what they prove
//! steering   the stored state when a command returns
//! ended      old containers that end by themselves
//! seeds      random runs
//! planted    planted bugs that must be found; faulty_engine has them
//! orders     several orders at the same time, through the gRPC service
//! on_disk    some of it with the real store
//! fleet      two hundred hosts
//! ```

mod copies;
mod downtime;
mod ended;
mod faulty_engine;
mod fleet;
mod kill_sweep;
mod late;
mod newer;
mod on_disk;
mod oracle;
mod orders;
mod persisted;
mod planted;
mod pulls;
mod recorder;
mod refused;
mod retries;
mod seeds;
mod steering;
mod versions;
mod world;
