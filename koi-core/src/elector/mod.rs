//! What an elector knows and has promised: what is on its disk, its election, and who the members are.

pub(crate) mod durability;
pub(crate) mod election;
pub(crate) mod members;
