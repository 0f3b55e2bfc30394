//! Messages in, and what a node tells the others.

mod bounds;
mod following;
mod greeting;
pub(crate) mod identity;
pub(crate) mod receiving;
