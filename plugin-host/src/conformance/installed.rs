//! The file of a handler that a service does not name by a path: a plugin's name, or the reference of what was pulled. koid finds them in the
//! places that its configuration names; so does a trial that is told these.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::error::{OpenError, UnknownHandlerError};
use crate::catalog::storage::files;
use crate::catalog::storage::sources::Sources;
use crate::conformance::error::TargetError;
use crate::conformance::loaded_handler::facts_of;
use crate::conformance::scratch::Scratch;
use crate::plugin::Kind;

/// The component that `reference` stands for, compared with its digest to the last byte. `folder` is the service that names it. Blocks.
pub(crate) fn pulled(folder: &Path, reference: &str, sources: &Sources) -> Result<PathBuf, TargetError> {
    sources.component_file(Path::new(reference)).map_err(|error| TargetError::Installed {
        folder: folder.to_owned(),
        source: OpenError::Plugin { name: None, error: Arc::new(error) },
    })
}

/// The plugin of `plugins.dirs` that calls itself `name`. `folder` is the service that names it. Blocks, for long if components are to be
/// compiled.
pub(crate) fn named(folder: &Path, name: &str, sources: &Sources) -> Result<(PathBuf, Kind), TargetError> {
    let mut files = Vec::new();
    for dir in &sources.dirs {
        let found = files::in_folder(dir);
        files.extend(found.map_err(|source| TargetError::PluginFolder { path: dir.clone(), source })?);
    }
    // A plugin's file is mostly called as it is: most often no other is looked into.
    files.sort_by_key(|file| !is_called(file, name));
    let (mut known, mut broken) = (Vec::new(), None);
    for file in files {
        let Some(kind) = files::kind_of(&file) else { continue };
        let scratch = Scratch::new(kind, None, name)?;
        match facts_of((&file, kind), &scratch) {
            Ok(facts) if facts.metadata.name == name => return Ok((file, kind)),
            Ok(facts) => known.push(format!("`{}`", facts.metadata.name)),
            // Of one that cannot be loaded nobody knows another name.
            Err(error) if is_called(&file, name) => broken = broken.or(Some(error)),
            Err(_) => {}
        }
    }
    if let Some(error) = broken {
        return Err(TargetError::BrokenHandler { folder: folder.to_owned(), source: Box::new(error) });
    }
    let dirs: Vec<_> = sources.dirs.iter().map(|dir| dir.display().to_string()).collect();
    let unknown = UnknownHandlerError {
        name: name.to_owned(),
        known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
        remedy: format!("correct `handler`, or put the plugin into {} (plugins.dirs)", dirs.join(" or ")),
    };
    Err(TargetError::Installed { folder: folder.to_owned(), source: unknown.into() })
}

fn is_called(file: &Path, name: &str) -> bool {
    file.file_stem().is_some_and(|stem| stem == name)
}
