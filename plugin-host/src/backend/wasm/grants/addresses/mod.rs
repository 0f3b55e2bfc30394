//! Whom a guest may talk to.

pub(crate) mod address;
pub(crate) mod authority;
pub(crate) mod public;
