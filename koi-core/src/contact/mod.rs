//! What a node knows of others: who is there, how their clocks run, whom it follows, and who else has its id.

pub(crate) mod clocks;
pub(crate) mod following;
pub(crate) mod gone;
pub(crate) mod greeting;
pub(crate) mod identity;
pub(crate) mod peers;
pub(crate) mod roster;
