//! Whole rollouts against model hosts, with everything that can go wrong: the process is killed
//! at every point, Engines crash, answers are lost. The code under test is that of the server,
//! from the plan to the last record; only Engines and time are models.
//!
//! ```text
//! world      hosts, journal, and a process that can be killed
//! tap        the journal, watched and cut
//! oracle     what must be so at the end
//! kill_sweep every point of every kind of work
//! persisted  what many kills must not begin anew
//! newer      pulling what a name stands for by now
//! versions   whole rollouts with every version of the Engine API
//! pulls      what is found, and lost, while images come to the hosts
//! refused    what no plan takes on
//! retries    what a second attempt finds and leaves
//! downtime   what is asked while nothing answers
//! late       answers that come late, and what they prove
//! steering   what is stored when a steering call returns
//! ended      old containers that end by themselves
//! seeds      random runs
//! planted    bugs that must be found; sloppy has them
//! orders     several orders at once, through the service that callers meet
//! on_disk    some of it with the real store
//! fleet      two hundred hosts
//! ```

mod downtime;
mod ended;
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
mod refused;
mod retries;
mod seeds;
mod sloppy;
mod steering;
mod tap;
mod versions;
mod world;
