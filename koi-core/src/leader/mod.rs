//! What a leader knows: its leadership, the reports of runners, who hears it, and the masterships of late, and what waits to
//! be written.

pub(crate) mod choice;
pub(crate) mod fence;
pub(crate) mod hearing;
pub(crate) mod leadership;
pub(crate) mod masterships;
pub(crate) mod placement;
pub(crate) mod preferred;
pub(crate) mod reports;
pub(crate) mod rosters;
pub(crate) mod writes;
