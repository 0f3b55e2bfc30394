//! What `koi plugins` does: managing handlers, trying them out, and bringing them from an author to a cluster.

mod artifacts;
mod inspect;
mod inspected;
pub(crate) mod manage;
pub(in crate::commands) mod paths;
mod push;
mod rollout;
mod signing;
mod trial;
