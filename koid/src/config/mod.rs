//! The configuration: loaded, checked, and in force.

pub(crate) mod check;
pub(crate) mod current;
pub(crate) mod exposure;
pub(crate) mod load;
pub(crate) mod settings;
