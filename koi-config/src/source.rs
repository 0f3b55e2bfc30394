//! Where a configuration comes from, and what is known once it is read.

use std::path::PathBuf;

use crate::config::Config;
use crate::diagnostic::Diagnostic;

/// In which of the two formats a configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `koi.toml`.
    Toml,
    /// The classic `koi.conf`, in Boost's INFO syntax.
    Classic,
}

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What it says, defaults filled in.
    pub config: Config,
    /// The file; from [`crate::load`] it is absolute.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// What an operator should know, in the order of the lines.
    pub warnings: Vec<Diagnostic>,
}

/// Whose configuration it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity<'n> {
    /// The node that the file names, or else this host.
    File,
    /// A node of this name, whatever the file says (`koid -n`).
    Named(&'n str),
    /// No node's: a client only wants to know where its daemon is. Whether the electors name this node is not judged.
    Client,
}

/// A place in the text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}
