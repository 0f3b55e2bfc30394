//! A plugin as koi has taken it, and what becomes of it when its file is looked at again.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use koi_plugin_api::{HookSet, Metadata};
use koi_plugin_shell::ShellHandler;

use crate::backend::LoadError;
use crate::backend::code::Code;
use crate::backend::{Loader, PluginFile};
use crate::catalog::blobs;
use crate::catalog::error::PluginError;
use crate::catalog::files;
use crate::catalog::files::FileError;
use crate::catalog::files::{Content, Stamp};
use crate::catalog::in_progress::LoadsInProgress;
use crate::host::Host;
use crate::plugin::{Facts, FileHash, Kind};

/// A plugin, usable or not.
#[derive(Clone)]
pub(crate) struct LoadedPlugin {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Where it was found; none: it is built in.
    pub(crate) path: Option<PathBuf>,
    /// What is in force of it.
    pub(crate) code: Option<LoadedCode>,
    /// Services may use it.
    pub(crate) ready: bool,
    /// Why it cannot be used; of one that is ready, why the file that lies there now was not taken.
    pub(crate) error: Option<Arc<PluginError>>,
    /// Its file is gone.
    pub(crate) gone: bool,
    /// Of the file that all this was found out of.
    stamp: Option<Stamp>,
    /// Of the file that lies there now and was not taken.
    refused: Option<Stamp>,
    builtin: Option<Facts>,
}

/// A plugin's code, and the file it was made of.
#[derive(Clone)]
pub(crate) struct LoadedCode {
    pub(crate) code: Arc<dyn Code>,
    pub(crate) hash: FileHash,
    pub(crate) size_bytes: u64,
}

/// The file that lies there now, held against the one in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisk {
    /// It is the same.
    Same,
    /// It is another one: taken when the registry is next loaded, if it can be.
    Changed,
    /// It is another one, and could not be taken.
    Refused,
    /// There is none.
    Gone,
}

impl OnDisk {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            OnDisk::Same => "same",
            OnDisk::Changed => "changed",
            OnDisk::Refused => "refused",
            OnDisk::Gone => "gone",
        }
    }
}

impl LoadedPlugin {
    /// The built-in handler.
    pub(crate) fn shell() -> LoadedPlugin {
        let metadata = Metadata {
            name: ShellHandler::NAME.into(),
            version: ShellHandler::VERSION.into(),
            description: ShellHandler::DESCRIPTION.into(),
            hooks: HookSet::ALL,
            ..Metadata::default()
        };
        LoadedPlugin {
            name: metadata.name.clone(),
            kind: Kind::Builtin,
            path: None,
            code: None,
            ready: true,
            error: None,
            gone: false,
            stamp: None,
            refused: None,
            builtin: Some(Facts {
                metadata,
                api: ShellHandler::VERSION.into(),
                api_version: ShellHandler::VERSION.into(),
                ..Facts::default()
            }),
        }
    }

    fn new(
        path: &Path,
        kind: Kind,
        code: Option<LoadedCode>,
        error: Option<PluginError>,
        stamp: Option<Stamp>,
    ) -> LoadedPlugin {
        let said = code.as_ref().map(|loaded| loaded.code.facts().metadata.name.clone());
        let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        LoadedPlugin {
            name: said.unwrap_or_else(stem),
            kind,
            path: Some(path.to_owned()),
            ready: code.is_some(),
            code,
            error: error.map(Arc::new),
            gone: false,
            stamp,
            refused: None,
            builtin: None,
        }
    }

    /// One that is being loaded for the first time: only its file is known.
    pub(crate) fn yet_to_come(path: &Path, kind: Kind) -> LoadedPlugin {
        LoadedPlugin::new(path, kind, None, None, None)
    }

    /// What it says of itself; none: it could not be loaded.
    pub(crate) fn facts(&self) -> Option<&Facts> {
        self.builtin.as_ref().or_else(|| self.code.as_ref().map(|loaded| loaded.code.facts()))
    }

    /// It is there, and services must not use it.
    pub(crate) fn refuse(&mut self, error: PluginError) {
        self.ready = false;
        self.error = Some(Arc::new(error));
    }

    /// Nothing of it is in force, and its file has changed since.
    pub(crate) fn is_worth_another_try(&self) -> bool {
        self.code.is_none() && self.path.as_ref().is_some_and(|path| Stamp::at(path) != self.stamp)
    }

    /// Looks at its file; reads it only if it was touched. Blocks. None: it has no file.
    pub(crate) fn on_disk(&self) -> Option<OnDisk> {
        let path = self.path.as_ref()?;
        let Some(now) = Stamp::at(path) else { return Some(OnDisk::Gone) };
        if self.stamp == Some(now) {
            return Some(OnDisk::Same);
        }
        if self.refused == Some(now) {
            return Some(OnDisk::Refused);
        }
        let hash = files::read(path).ok().map(|content| content.hash);
        let same = hash.is_some() && hash == self.code.as_ref().map(|loaded| loaded.hash);
        Some(if same { OnDisk::Same } else { OnDisk::Changed })
    }
}

/// A file to be taken.
pub(crate) struct LoadJob {
    pub(crate) path: PathBuf,
    /// What was in force of it so far.
    pub(crate) before: Option<Arc<LoadedPlugin>>,
    /// A service relies on it.
    pub(crate) used: bool,
}

/// Takes a file as it is now, or keeps what was in force if that cannot be done; none: there is no file, and nobody misses it.
pub(crate) fn load(
    job: &LoadJob,
    known: &HashMap<FileHash, LoadedCode>,
    host: &Host,
    loader: &Loader,
    in_progress: &LoadsInProgress,
) -> Option<LoadedPlugin> {
    let path = job.path.as_path();
    let Some(kind) = files::kind_of(path) else {
        let error = PluginError::NotAPlugin(path.to_owned());
        return Some(LoadedPlugin::new(path, Kind::Wasm, None, Some(error), Stamp::at(path)));
    };
    let before = job.before.as_ref().and_then(|before| before.code.clone());
    match files::read(path) {
        Err(FileError::Gone(_)) => {
            let kept = before.filter(|_| job.used);
            let error = match &kept {
                Some(kept) => PluginError::FileGone { hash: kept.hash },
                None if job.used => PluginError::Missing(path.to_owned()),
                None => return None,
            };
            Some(LoadedPlugin { gone: true, ..LoadedPlugin::new(path, kind, kept, Some(error), None) })
        }
        Err(error) => Some(kept_or_refused(path, kind, before, error.into(), None)),
        Ok(content) => Some(match code_for(&content, path, kind, known, host, loader, in_progress) {
            Ok(loaded) => LoadedPlugin::new(path, kind, Some(loaded), None, Some(content.stamp)),
            Err(error) => kept_or_refused(path, kind, before, error, Some(content.stamp)),
        }),
    }
}

fn code_for(
    content: &Content,
    path: &Path,
    kind: Kind,
    known: &HashMap<FileHash, LoadedCode>,
    host: &Host,
    loader: &Loader,
    in_progress: &LoadsInProgress,
) -> Result<LoadedCode, PluginError> {
    if let Some(loaded) = known.get(&content.hash) {
        return Ok(loaded.clone());
    }
    let _loading = in_progress.begin(path, kind);
    let copy = blobs::keep(host, content.hash, &content.bytes)?;
    let file = PluginFile { host, path, copy: &copy, kind, bytes: &content.bytes, hash: content.hash };
    // Whatever breaks is this plugin's error and nobody else's.
    let code = catch_unwind(AssertUnwindSafe(|| loader(&file))).unwrap_or(Err(LoadError::Panicked))?;
    Ok(LoadedCode { code, hash: content.hash, size_bytes: content.bytes.len() as u64 })
}

fn kept_or_refused(
    path: &Path,
    kind: Kind,
    before: Option<LoadedCode>,
    error: PluginError,
    stamp: Option<Stamp>,
) -> LoadedPlugin {
    match before {
        // No stamp: it would be that of the file that is there now, which is not the one in force.
        Some(kept) => {
            let error = PluginError::Kept { hash: kept.hash, error: Box::new(error) };
            let refused = stamp.or_else(|| Stamp::at(path));
            LoadedPlugin { refused, ..LoadedPlugin::new(path, kind, Some(kept), Some(error), None) }
        }
        None => LoadedPlugin::new(path, kind, None, Some(error), stamp.or_else(|| Stamp::at(path))),
    }
}
