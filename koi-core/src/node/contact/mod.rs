//! Messages in, and what a node tells the others.

mod bounds;
mod following;
mod greeting;
mod identity;
mod receiving;
