//! A plugin as koi has taken it, and what becomes of it when its file is looked at again.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use koi_artifact::signature::{Signature, SignedAs};
use koi_plugin_api::{HookSet, Metadata};
use koi_plugin_shell::ShellHandler;

use crate::backend::LoadError;
use crate::backend::code::Code;
use crate::backend::{Loader, PluginFile};
use crate::catalog::error::PluginError;
use crate::catalog::loading::in_progress::LoadsInProgress;
use crate::catalog::storage::blobs;
use crate::catalog::storage::files::FileError;
use crate::catalog::storage::sources;
use crate::catalog::storage::sources::{SourceFile, SourceStamp, Sources};
use crate::host::Host;
use crate::plugin::{Facts, FileHash, Kind};

/// A plugin, usable or not.
#[derive(Clone)]
pub(crate) struct LoadedPlugin {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Where it was found, a file or a reference; none: it is built in.
    pub(crate) path: Option<PathBuf>,
    /// What is in force of it.
    pub(crate) code: Option<LoadedCode>,
    /// Services may use it.
    pub(crate) ready: bool,
    /// Why it cannot be used; of one that is ready, why the file that lies there now was not taken.
    pub(crate) error: Option<Arc<PluginError>>,
    /// Its file is gone.
    pub(crate) gone: bool,
    /// Who vouches for what is in force of it; of one that could not be loaded: for its file. None: that was not looked at.
    pub(crate) signature: Option<Signature>,
    /// Of the file that all this was found out of.
    stamp: Option<SourceStamp>,
    /// Of the file that lies there now and was not taken.
    refused: Option<SourceStamp>,
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
            hooks: HookSet::LIFECYCLE,
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
            signature: None,
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
        stamp: Option<SourceStamp>,
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
            signature: None,
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

    /// Nothing of it is in force, and its file or its signature has changed since.
    pub(crate) fn is_worth_another_try(&self, sources: &Sources) -> bool {
        self.code.is_none() && self.path.as_ref().is_some_and(|path| sources.stamp_at(path) != self.stamp)
    }

    /// Looks at its file; reads it only if it was touched. Blocks. None: it has no file.
    pub(crate) fn on_disk(&self, sources: &Sources) -> Option<OnDisk> {
        let path = self.path.as_ref()?;
        let Some(now) = sources.stamp_at(path) else { return Some(OnDisk::Gone) };
        if self.stamp == Some(now) {
            return Some(OnDisk::Same);
        }
        if self.refused == Some(now) {
            return Some(OnDisk::Refused);
        }
        let hash = sources.read(path).ok().map(|content| content.hash);
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

/// What loading a plugin takes besides its file.
pub(crate) struct Loading<'l> {
    pub(crate) sources: &'l Sources,
    /// Code that was made already.
    pub(crate) known: &'l HashMap<FileHash, LoadedCode>,
    pub(crate) host: &'l Host,
    pub(crate) loader: &'l Loader,
    pub(crate) in_progress: &'l LoadsInProgress,
}

impl Loading<'_> {
    /// Takes a file as it is now, or keeps what was in force if that cannot be done; none: there is no file, and nobody misses it.
    pub(crate) fn load(&self, job: &LoadJob) -> Option<LoadedPlugin> {
        let path = job.path.as_path();
        let Some(kind) = sources::kind_of(path) else {
            let (error, stamp) = (PluginError::NotAPlugin(path.to_owned()), self.sources.stamp_at(path));
            return Some(LoadedPlugin::new(path, Kind::Wasm, None, Some(error), stamp));
        };
        let before = job.before.as_deref().filter(|before| before.code.is_some());
        let file = match self.sources.read(path) {
            Ok(file) => file,
            Err(PluginError::File(FileError::Gone(_))) => {
                let kept = before.filter(|_| job.used);
                let error = match kept.and_then(|kept| kept.code.as_ref()) {
                    Some(kept) => PluginError::FileGone { hash: kept.hash },
                    None if job.used => PluginError::Missing(path.to_owned()),
                    None => return None,
                };
                let code = kept.and_then(|kept| kept.code.clone());
                let signature = kept.and_then(|kept| kept.signature.clone());
                let plugin = LoadedPlugin::new(path, kind, code, Some(error), None);
                return Some(LoadedPlugin { gone: true, signature, ..plugin });
            }
            Err(error) => return Some(self.kept_or_refused(path, kind, before, error, None)),
        };
        let stamp = Some(file.stamp);
        Some(match self.trusted_code(&file, path, kind) {
            Ok((code, signature)) => {
                let plugin = LoadedPlugin::new(path, kind, Some(code), None, stamp);
                LoadedPlugin { signature: Some(signature), ..plugin }
            }
            Err(error) => {
                let refused = self.kept_or_refused(path, kind, before, error, stamp);
                LoadedPlugin { signature: refused.signature.clone().or(Some(file.signature)), ..refused }
            }
        })
    }

    /// Code of a file, and who vouches for it. Where signatures are required nothing of a file runs without one: a library runs code of its
    /// own when it is loaded.
    fn trusted_code(
        &self,
        file: &SourceFile,
        path: &Path,
        kind: Kind,
    ) -> Result<(LoadedCode, Signature), PluginError> {
        let check = |signature: &Signature| match self.sources.require_signature {
            true => {
                signature.require().map_err(|source| PluginError::Signature { path: path.to_owned(), source })
            }
            false => Ok(()),
        };
        check(&file.signature)?;
        let loaded = self.code_for(file, path, kind)?;
        let said = &loaded.code.facts().metadata;
        let found = SignedAs { name: said.name.clone(), version: said.version.clone() };
        let signature = file.signature.clone().of_plugin(&found);
        check(&signature)?;
        Ok((loaded, signature))
    }

    fn code_for(&self, file: &SourceFile, path: &Path, kind: Kind) -> Result<LoadedCode, PluginError> {
        if let Some(loaded) = self.known.get(&file.hash) {
            return Ok(loaded.clone());
        }
        let _loading = self.in_progress.begin(path, kind);
        let copy = blobs::keep(self.host, file.hash, &file.bytes)?;
        let source =
            PluginFile { host: self.host, path, copy: &copy, kind, bytes: &file.bytes, hash: file.hash };
        // Whatever breaks is this plugin's error and nobody else's.
        let code =
            catch_unwind(AssertUnwindSafe(|| (self.loader)(&source))).unwrap_or(Err(LoadError::Panicked))?;
        Ok(LoadedCode { code, hash: file.hash, size_bytes: file.bytes.len() as u64 })
    }

    fn kept_or_refused(
        &self,
        path: &Path,
        kind: Kind,
        before: Option<&LoadedPlugin>,
        error: PluginError,
        stamp: Option<SourceStamp>,
    ) -> LoadedPlugin {
        let stamp = stamp.or_else(|| self.sources.stamp_at(path));
        match before.and_then(|before| Some((before.code.clone()?, before.signature.clone()))) {
            // No stamp: it would be that of the file that is there now, which is not the one in force.
            Some((kept, signature)) => {
                let error = PluginError::Kept { hash: kept.hash, error: Box::new(error) };
                let plugin = LoadedPlugin::new(path, kind, Some(kept), Some(error), None);
                LoadedPlugin { refused: stamp, signature, ..plugin }
            }
            None => LoadedPlugin::new(path, kind, None, Some(error), stamp),
        }
    }
}
