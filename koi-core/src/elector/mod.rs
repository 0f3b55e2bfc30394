//! What an elector knows and has promised: what is on its disk, which attributes have come beside it, its election, and who the
//! members are.

pub(crate) mod copies;
pub(crate) mod durability;
pub(crate) mod election;
pub(crate) mod members;
