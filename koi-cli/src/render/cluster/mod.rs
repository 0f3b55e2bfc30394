//! The cluster, its nodes and its services.

pub(crate) mod done;
pub(crate) mod drill;
pub(crate) mod electors;
pub(crate) mod event;
pub(crate) mod failures;
pub(crate) mod group;
pub(crate) mod local;
pub(crate) mod node;
mod problems;
pub(crate) mod promoted;
mod service;
pub(crate) mod status;
pub(crate) mod tree;
pub(crate) mod verdict;
