//! What a service is, and what koi reads in its folder.

use std::path::{Path, PathBuf};

use koi_plugin_api::HookSet;
use koi_plugin_shell::Shape;

use crate::service::manifest::Manifest;

/// Services of one node; those that come after are refused.
pub const SERVICES: usize = 4096;

/// In a service's folder: what koi reads besides the scripts.
pub(crate) const MANIFEST: &str = "service.toml";
/// Beside a single file: its name with this is that of its manifest.
pub(crate) const MANIFEST_ENDING: &str = ".toml";
pub(crate) const DISABLED: &str = "disabled";
pub(crate) const COMPONENT: &str = "handler.wasm";

/// A service.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its name, without its priority.
    pub name: String,
    /// Its priority, 0 to 99, lower first; none: independent.
    pub priority: Option<u8>,
    /// Folder or file, and where.
    pub shape: Shape,
    /// The name of the handler that is to run it, or the path to one.
    pub handler: String,
    /// `disabled` lies in its folder.
    pub disabled: bool,
    /// What its `service.toml` says.
    pub manifest: Manifest,
    /// The hooks that it has; of a service with a problem: none.
    pub hooks: HookSet,
    /// Why it cannot be run, a sentence.
    pub problem: Option<String>,
    /// Another one after any change to what koi reads in it: names, modes, times, sizes and inodes. Scripts may write other
    /// files into their folder without changing it; so may a plugin's file, which is pinned. Comparable within one run of the
    /// daemon.
    pub fingerprint: u64,
}

impl Found {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.shape.path()
    }

    /// What it says of itself, if that is there: the `service.toml` in its folder, or `NAME.toml` beside a single file.
    pub fn manifest_path(&self) -> PathBuf {
        match &self.shape {
            Shape::Folder(folder) => folder.join(MANIFEST),
            Shape::File(file) => beside(file),
        }
    }

    /// Its folder; of a single-file service the folder that it lies in (`KOI_SERVICE_HOME`).
    pub fn home(&self) -> &Path {
        match &self.shape {
            Shape::Folder(folder) => folder,
            Shape::File(file) => file.parent().unwrap_or(file),
        }
    }

    /// Where its scripts run; `workingdir` is `services.workingdir`.
    pub fn workdir<'p>(&'p self, workingdir: &'p Path) -> &'p Path {
        match &self.shape {
            Shape::Folder(folder) => folder,
            Shape::File(_) => workingdir,
        }
    }
}

/// What a service in a single file says of itself: `10-web.toml` beside `10-web`.
pub(crate) fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(MANIFEST_ENDING);
    name.into()
}
