//! What a node knows of itself and its machine: failures, whether its disk serves, what it has told, what its services write, and how
//! far its stop has come.

pub(crate) mod failures;
pub(crate) mod fitness;
pub(crate) mod leaving;
pub(crate) mod told;
pub(crate) mod writes;
