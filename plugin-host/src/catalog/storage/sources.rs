//! Where plugins come from, and which of them are taken: files, each with its signature beside it, and pulled artifacts.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use koi_artifact::signature::{SIGNATURE_BYTES, Signature, SignatureError, TrustedKeys, path_beside};
use koi_artifact::{Artifact, Reference, SCHEME, Store, StoreError};
use nix::libc::O_NONBLOCK;

use crate::catalog::error::PluginError;
use crate::catalog::storage::files;
use crate::catalog::storage::files::Stamp;
use crate::plugin::{FileHash, Kind};

/// Where plugins come from, and whose are taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// `plugins.dirs`: where plugins are looked for by their names.
    pub dirs: Vec<PathBuf>,
    /// What was pulled from registries, for services that name it by its digest.
    pub pulled: Store,
    /// Whose signatures count.
    pub trusted_keys: TrustedKeys,
    /// What has no such signature is refused.
    pub require_signature: bool,
}

/// A plugin as it was read.
pub(crate) struct SourceFile {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: FileHash,
    pub(crate) stamp: SourceStamp,
    /// As far as it is known before the plugin has said what it is.
    pub(crate) signature: Signature,
}

/// Tells a plugin's file, with its signature, from others at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceStamp {
    file: Stamp,
    signature: Option<Stamp>,
}

/// The kind that a path's ending says, or that of a reference; none: it is no plugin.
pub(crate) fn kind_of(path: &Path) -> Option<Kind> {
    if is_reference(path) { Some(Kind::Wasm) } else { files::kind_of(path) }
}

/// Whether a service names an artifact, and not a file.
pub(crate) fn is_reference(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().starts_with(SCHEME.as_bytes())
}

impl Sources {
    /// Plugins in these folders, signed or not.
    pub fn from_dirs(dirs: Vec<PathBuf>) -> Sources {
        Sources { dirs, ..Sources::default() }
    }

    /// Of what is at `path` now; none: nothing is.
    pub(crate) fn stamp_at(&self, path: &Path) -> Option<SourceStamp> {
        if !is_reference(path) {
            return Some(SourceStamp { file: Stamp::at(path)?, signature: Stamp::at(&path_beside(path)) });
        }
        let digest = path.to_str()?.parse::<Reference>().ok()?.digest?;
        Some(SourceStamp { file: Stamp::at(&self.pulled.path(digest))?, signature: None })
    }

    /// Reads a plugin and its signature. Blocks.
    pub(crate) fn read(&self, path: &Path) -> Result<SourceFile, PluginError> {
        if is_reference(path) {
            return self.read_pulled(path);
        }
        let beside = path_beside(path);
        // Before the file: should the signature change meanwhile, it is looked at again.
        let stamp_of_signature = Stamp::at(&beside);
        let content = files::read(path)?;
        let signature = match read_signature(&beside) {
            Ok(None) => Signature::None,
            Ok(Some(text)) => Signature::of_file(&content.bytes, &text, &self.trusted_keys),
            Err(error) => Signature::Wrong(SignatureError::Unreadable(error.to_string())),
        };
        let stamp = SourceStamp { file: content.stamp, signature: stamp_of_signature };
        Ok(SourceFile { bytes: content.bytes, hash: content.hash, stamp, signature })
    }

    /// The file of the component that a reference stands for. It is what its digest says. Blocks.
    pub(crate) fn component_file(&self, reference: &Path) -> Result<PathBuf, PluginError> {
        let artifact = self.artifact(reference)?;
        Ok(self.pulled.path(artifact.manifest.component().digest))
    }

    fn artifact(&self, path: &Path) -> Result<Artifact, PluginError> {
        let reference = path.display().to_string();
        let digest = reference.parse::<Reference>()?.digest;
        let read = digest.ok_or(StoreError::Missing).and_then(|digest| self.pulled.read(digest));
        read.map_err(|source| PluginError::Pulled { reference, source })
    }

    fn read_pulled(&self, path: &Path) -> Result<SourceFile, PluginError> {
        let stamp = self.stamp_at(path);
        let artifact = self.artifact(path)?;
        let reference = path.display().to_string();
        let file = stamp.ok_or(PluginError::Pulled { reference, source: StoreError::Missing })?;
        let signature = artifact.manifest.signature();
        Ok(SourceFile {
            hash: FileHash::from_bytes(&artifact.component),
            stamp: file,
            signature: signature.map_or(Signature::None, |text| {
                Signature::of_file(&artifact.component, text, &self.trusted_keys)
            }),
            bytes: artifact.component,
        })
    }
}

/// The text of a signature; none: there is none.
fn read_signature(path: &Path) -> io::Result<Option<String>> {
    // A pipe would be waited for.
    let file = match File::options().read(true).custom_flags(O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    file.take(SIGNATURE_BYTES as u64).read_to_string(&mut text)?;
    Ok(Some(text))
}
