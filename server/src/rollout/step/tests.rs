pub(super) mod model;
mod rows;
mod runs;
mod total;
