//! What lies on the disk: plugins and their copies, and what services leave.

mod absence;
pub(crate) mod blobs;
pub(crate) mod departed;
pub(crate) mod files;
pub(crate) mod sources;
pub(crate) mod unnamed;
