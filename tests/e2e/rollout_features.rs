//! What a rollout promises beside its way from old to new, on real Engines: that it may be asked
//! for twice, that it looks at what the Engine made of its request, that labels, names and images
//! of others are respected, and how long an old container is kept. Policies are tested elsewhere.

mod again;
mod bench;
mod images;
mod labels;
mod names;
mod renewal;
mod retention;
mod strict;
