//! What of koi's own no directory may be granted for: a guest that writes there gives itself everything else.

use std::fs;
use std::path::{Path, PathBuf};

use crate::backend::wasm::grants::error::DirectoryError;
use crate::host::{Extent, Host, Protected};

/// Whether `directory`, all links followed, may be granted: to read, or to change as well. Blocks.
pub(in crate::backend::wasm::grants) fn check(
    directory: &Path,
    writable: bool,
    host: &Host,
) -> Result<(), DirectoryError> {
    // The plugins' folder lies in koid's state folder. Compiled code is in there, which koid runs without a further look.
    let own_state = Protected {
        path: host.dir.parent().unwrap_or(&host.dir).to_owned(),
        extent: Extent::Folder,
        what: "koid's own state",
    };
    for place in host.protected.iter().chain([&own_state]) {
        // By either name: a link may be put in another's place.
        let hit = [place.path.clone(), real(&place.path)].into_iter().find(|path| {
            path.starts_with(directory) || place.extent == Extent::Folder && directory.starts_with(path)
        });
        match (hit, place.extent) {
            (Some(path), Extent::Secret) if !writable => {
                return Err(DirectoryError::Secret { what: place.what, path });
            }
            (Some(path), _) if writable => return Err(DirectoryError::Protected { what: place.what, path }),
            (Some(_), _) | (None, _) => {}
        }
    }
    Ok(())
}

/// Where a path leads. Of one that is not there yet: where its folder leads.
fn real(path: &Path) -> PathBuf {
    let of_folder = || Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?));
    fs::canonicalize(path).ok().or_else(of_folder).unwrap_or_else(|| path.to_owned())
}
