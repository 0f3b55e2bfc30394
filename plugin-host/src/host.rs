//! What all plugins of a node share: the program that works for them and the folder that they live in.

use std::path::{Path, PathBuf};

use crate::resolver::Resolver;
use crate::stand_in::StandIn;

/// Where plugins find what they need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The program that is started again to compile a component, to run its guests, or to load a native library: koid itself. It must call
    /// [`crate::process`] first.
    pub program: PathBuf,
    /// Holds compiled code, pinned files and the state of services. Only whoever runs koid may write there: compiled code that
    /// is read from it is run without a further look.
    pub dir: PathBuf,
    /// What of koi no guest may change or read, whatever is granted. The folder that [`Host::dir`] lies in is always one of these.
    pub protected: Vec<Protected>,
    /// Finds the addresses of names under `[grants]`, and of those that guests ask for.
    pub resolver: Resolver,
    /// What stands in for this machine in a test of a handler. A daemon has none.
    pub stand_in: Option<StandIn>,
}

/// A place of koi's that a guest with a grant for it could use to get everything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    /// Where it is. It need not be there.
    pub path: PathBuf,
    /// How far the protection goes.
    pub extent: Extent,
    /// What it is, for people: `the services folder`.
    pub what: &'static str,
}

/// How far a protection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A file, and so every folder on the way to it: not to be written to.
    File,
    /// A file that is not to be read either.
    Secret,
    /// A folder with all that is in it: not to be written to.
    Folder,
}

impl Host {
    /// For a daemon whose state lies in `state_dir` (`node.state_dir`).
    pub fn for_daemon(state_dir: &Path) -> Host {
        // This path leads to the running version even when an upgrade has replaced the file.
        Host {
            program: PathBuf::from("/proc/self/exe"),
            dir: state_dir.join("plugins"),
            protected: Vec::new(),
            resolver: Resolver::default(),
            stand_in: None,
        }
    }

    /// Compiled components, by hash.
    pub fn compiled_dir(&self) -> PathBuf {
        self.dir.join("compiled")
    }

    /// Plugin files as they were when they were taken, by hash.
    pub fn pinned_dir(&self) -> PathBuf {
        self.dir.join("pinned")
    }

    /// Which programs of `service` have left something that is kept.
    pub(crate) fn kept_file(&self, service: &str) -> PathBuf {
        self.dir.join("kept").join(service)
    }

    /// A file for each service that has stored something and is gone: for how long, in seconds.
    pub(crate) fn departed_dir(&self) -> PathBuf {
        self.dir.join("departed")
    }

    /// A file for each pulled artifact that no service names: for how long, in seconds.
    pub(crate) fn unnamed_dir(&self) -> PathBuf {
        self.dir.join("unnamed")
    }

    /// What the handler of `service` has put into its store.
    pub fn store_file(&self, service: &str) -> PathBuf {
        self.dir.join("state").join(service)
    }
}
