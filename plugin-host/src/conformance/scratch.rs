//! Where a trial leaves its traces: compiled code in the user's cache, so that it is not compiled again the next time;
//! everything else in a folder that goes with the process.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::conformance::error::ScratchError;
use crate::host::Host;
use crate::plugin::Kind;
use crate::resolver::Resolver;
use crate::stand_in::StandIn;

/// The traces of one trial. They are removed with it.
pub(crate) struct Scratch {
    folder: TempDir,
    host: Host,
    /// The service's name as far as the store knows: no other trial has it.
    store_name: String,
    /// Where the store is kept from trial to trial.
    kept: Option<PathBuf>,
}

impl Scratch {
    /// For a plugin of this kind. With `state` the store of the service `name` comes from that folder and goes back there.
    pub(crate) fn new(kind: Kind, state: Option<&Path>, name: &str) -> Result<Scratch, ScratchError> {
        let folder = tempfile::Builder::new().prefix("koi-trial-").tempdir().map_err(ScratchError::Folder)?;
        // Only components have something that is worth keeping.
        let cache = if kind == Kind::Wasm { cache() } else { None };
        let dir = cache.unwrap_or_else(|| folder.path().join("plugins"));
        let program = PathBuf::from("/proc/self/exe");
        let host =
            Host { program, dir, protected: Vec::new(), resolver: Resolver::default(), stand_in: None };
        let store_name = format!("trial-{}", std::process::id());
        let kept = state.map(|state| state.join(name));
        let scratch = Scratch { folder, host, store_name, kept };
        scratch.forget();
        scratch.bring().map_err(ScratchError::Bring)?;
        Ok(scratch)
    }

    /// One with an empty store beside it, for a test: what was compiled is found there.
    pub(crate) fn another(&self, kind: Kind, name: &str) -> Result<Scratch, ScratchError> {
        let mut scratch = Scratch::new(kind, None, name)?;
        scratch.host.dir = self.host.dir.clone();
        scratch.forget();
        Ok(scratch)
    }

    /// For a test: what stands in for this machine, and where the addresses of names come from.
    pub(crate) fn stand_in(&mut self, machine: StandIn, resolver: Resolver) {
        (self.host.stand_in, self.host.resolver) = (Some(machine), resolver);
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// The name under which a handler's store is to be opened.
    pub(crate) fn store_name(&self) -> &str {
        &self.store_name
    }

    /// A folder for a service that has none.
    pub(crate) fn home(&self) -> &Path {
        self.folder.path()
    }

    fn store(&self) -> PathBuf {
        self.host.store_file(&self.store_name)
    }

    fn bring(&self) -> io::Result<()> {
        let Some(kept) = self.kept.as_ref().filter(|kept| kept.exists()) else { return Ok(()) };
        let store = self.store();
        if let Some(folder) = store.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        fs::copy(kept, store).map(drop)
    }

    /// Puts the store where it is to stay.
    pub(crate) fn keep(&self) -> Result<(), ScratchError> {
        let (Some(kept), store) = (&self.kept, self.store()) else { return Ok(()) };
        let folder = kept.parent().unwrap_or(Path::new("."));
        let copied = match store.exists() {
            true => fs::create_dir_all(folder).and_then(|()| fs::copy(&store, kept).map(drop)),
            false => Ok(()),
        };
        copied.map_err(|source| ScratchError::Keep { path: kept.clone(), source })
    }

    /// Removes the store, and whatever of it was set aside.
    fn forget(&self) {
        let store = self.store();
        let Some(entries) = store.parent().and_then(|folder| fs::read_dir(folder).ok()) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let own = name.strip_prefix(&self.store_name);
            if own.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit())) {
                // Nothing depends on it: a later trial of this number removes it.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.forget();
    }
}

/// `$XDG_CACHE_HOME/koi`, for this user alone; none: there is no place for it.
fn cache() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    let dir = base.join("koi");
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).ok().map(|()| dir)
}
