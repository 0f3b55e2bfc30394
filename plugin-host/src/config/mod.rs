//! `[config]` of a service: what stands there, held against what its handler understands.

pub(crate) mod error;
pub(crate) mod nearest;
pub(crate) mod secret;
pub(crate) mod setting;
pub(crate) mod settle;
pub(crate) mod value;
