//! Commands that read and write files of this machine.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod identity;
pub(crate) mod init;
pub(crate) mod keygen;
