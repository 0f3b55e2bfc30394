//! Where test files and their handlers lie.

use std::fs;
use std::path::{Path, PathBuf};

use crate::catalog::storage::files;
use crate::plugin::Kind;
use crate::scripted::file::TestFile;
use crate::service::definition::COMPONENT;

/// A folder of test files beside a handler.
const FOLDER: &str = "tests";
/// What the name of a test file beside a handler ends with.
const ENDING: &str = ".test.toml";
/// What stands before it where the handler has no name of its own.
const HANDLER: &str = "handler";

/// Why there is nothing to test.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error(
        "no test file is there: neither {} nor a .toml in {}; write one (`koi plugins new` begins a handler with one), or name it",
        file.display(), folder.display()
    )]
    NoFile { file: PathBuf, folder: PathBuf },
    #[error(
        "{}: which handler it tests is not known: write handler = \"PATH\" into it, or name the handler first; {COMPONENT} \
         is not beside it", .0.display()
    )]
    NoHandler(PathBuf),
    #[error(
        "{}: `handler` names a .wasm; a script or a library really runs, so name it on the command line: koi plugins test HANDLER \
         FILE", .0.display()
    )]
    NotAComponent(PathBuf),
}

/// The test files of a handler; none: of the one in this folder.
pub(crate) fn found(handler: Option<&Path>) -> Result<Vec<PathBuf>, PlaceError> {
    let (base, stem) = match handler {
        None => (Path::new(""), HANDLER.into()),
        Some(folder) if folder.is_dir() => (folder, HANDLER.into()),
        Some(file) => {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (file.parent().unwrap_or(Path::new("")), stem)
        }
    };
    let (file, folder) = (base.join(format!("{stem}{ENDING}")), base.join(FOLDER));
    let mut found: Vec<PathBuf> = file.exists().then(|| file.clone()).into_iter().collect();
    if let Ok(entries) = fs::read_dir(&folder) {
        let paths = entries.flatten().map(|entry| entry.path());
        let mut others: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
        others.sort();
        found.extend(others);
    }
    match found.is_empty() {
        true => Err(PlaceError::NoFile { file, folder }),
        false => Ok(found),
    }
}

/// The handler that a file tests: the one that is named, that the file names, or that lies beside the file or its folder.
pub(crate) fn handler(named: Option<&Path>, file: &TestFile) -> Result<PathBuf, PlaceError> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let folder = file.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Some(own) = &file.handler {
        // Whatever a component is asked, it does no harm. Others really run, and somebody must have named them.
        return match files::kind_of(own) {
            Some(Kind::Wasm) => Ok(folder.join(own)),
            Some(Kind::Native | Kind::Builtin) | None => Err(PlaceError::NotAComponent(file.path.clone())),
        };
    }
    let is_in_folder = fs::canonicalize(folder).is_ok_and(|folder| folder.ends_with(FOLDER));
    let beside = folder.join(COMPONENT);
    let above = folder.join("..").join(COMPONENT);
    match (beside.exists(), is_in_folder && above.exists()) {
        (true, _) => Ok(beside),
        (false, true) => Ok(above),
        (false, false) => Err(PlaceError::NoHandler(file.path.clone())),
    }
}
