//! What a leader does.

mod attributes;
mod candidates;
mod fate;
mod fence;
mod flapping;
mod hearing;
mod leader;
mod placement;
mod places;
mod preferences;
mod rosters;

pub(crate) use leader::propose;
pub(crate) use places::PlacementDispute;
