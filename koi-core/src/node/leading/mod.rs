//! What a leader does.

mod candidates;
mod fate;
mod flapping;
mod hearing;
mod leader;
mod placement;

pub(crate) use leader::propose;
