//! One service's scripts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use koi_plugin_api::{Hook, HookSet};
use tokio::sync::Semaphore;

use crate::regular::is_there;

/// Calls of one service whose background processes may keep their output open after the call is over. Those of any
/// further call have theirs closed.
const LEFTOVERS: usize = 16;

/// The two shapes of a classic service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A folder with an executable for each hook.
    Folder(PathBuf),
    /// A single executable, called with the hook's name as its first argument.
    File(PathBuf),
}

impl Shape {
    /// Where the service lies.
    pub fn path(&self) -> &Path {
        match self {
            Shape::Folder(path) | Shape::File(path) => path,
        }
    }

    /// What koi runs for `hook`, whether it is there or not.
    pub fn script(&self, hook: Hook) -> PathBuf {
        match self {
            Shape::Folder(folder) => folder.join(hook.as_str()),
            Shape::File(file) => file.clone(),
        }
    }

    /// The hooks whose script is there, executable or not. A single file is not called with `changed` unless it is said to know that.
    pub fn hooks(&self) -> HookSet {
        let all = Hook::ALL.into_iter().filter(|hook| is_there(&self.script(*hook))).collect::<HookSet>();
        match self {
            Shape::Folder(_) => all,
            Shape::File(_) => all.without(Hook::Changed),
        }
    }
}

/// Runs the scripts of one service.
#[derive(Clone, Debug)]
pub struct ShellHandler {
    pub(crate) shape: Shape,
    pub(crate) workdir: PathBuf,
    pub(crate) leftovers: Arc<Semaphore>,
}

impl ShellHandler {
    /// The handler's name in `service.toml`.
    pub const NAME: &str = "shell";
    /// Its version: koi's.
    pub const VERSION: &str = env!("CARGO_PKG_VERSION");
    /// One line for people.
    pub const DESCRIPTION: &str = "runs the scripts in the service's folder";

    /// A handler for the service `entry`. A folder's scripts run in that folder, a single file in `workingdir`
    /// (`services.workingdir`). Nothing is looked at yet: scripts may come and go between calls.
    pub fn open(entry: Shape, workingdir: &Path) -> ShellHandler {
        let workdir = match &entry {
            Shape::Folder(folder) => folder.clone(),
            Shape::File(_) => workingdir.to_owned(),
        };
        ShellHandler { shape: entry, workdir, leftovers: Arc::new(Semaphore::new(LEFTOVERS)) }
    }

    /// Where the scripts run.
    pub fn workdir(&self) -> &Path {
        &self.workdir
    }
}
