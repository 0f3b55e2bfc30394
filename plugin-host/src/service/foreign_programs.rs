//! Programs that one service runs and another could change: with them it could do what is granted to the other, and more.

use std::fs;
use std::path::{Path, PathBuf};

use koi_files::trust;
use toml::Value;

use crate::catalog::open::words_of;
use crate::catalog::registry::Registry;
use crate::plugin::Kind;
use crate::service::definition::{Found, MANIFEST};

/// A service may write where another one's program is.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: `write` under [grants]: {} holds {}, which the service {service} runs: a handler that may change it could do all that koid \
     may; keep the program elsewhere, or grant another directory", manifest.display(), directory.display(), program.display()
)]
struct ForeignProgramError {
    manifest: PathBuf,
    directory: PathBuf,
    program: PathBuf,
    service: String,
}

/// A path as it is written, where it leads, and what is passed on the way.
struct Place {
    written: PathBuf,
    real: PathBuf,
    way: Vec<PathBuf>,
}

impl Place {
    fn of(path: &str) -> Place {
        let written = PathBuf::from(path);
        let real = fs::canonicalize(&written).unwrap_or_else(|_| written.clone());
        Place { real, way: trust::entries_on_way(&written), written }
    }

    fn holds(&self, other: &Place) -> bool {
        let is_in = |folder: &Path| {
            other.written.starts_with(folder) || other.way.iter().any(|entry| entry.starts_with(folder))
        };
        is_in(&self.written) || is_in(&self.real)
    }
}

/// The entries under a key of a service's `[grants]`.
fn granted<'f>(found: &'f Found, key: &str) -> impl Iterator<Item = &'f Value> {
    found.manifest.grants.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// Gives a service a problem that may write where another one's programs are. Blocks on the disk.
pub(super) fn refuse(services: &mut [Found], registry: &Registry) {
    if !services.iter().any(|found| granted(found, "write").next().is_some()) {
        return;
    }
    let mut programs = Vec::new();
    for found in services.iter() {
        let paths = granted(found, "exec").filter_map(|entry| words_of("exec", entry));
        programs.extend(paths.map(|(path, _)| (found.name.clone(), Place::of(&path))));
    }
    for found in services.iter_mut().filter(|found| found.problem.is_none()) {
        let error = granted(found, "write").filter_map(Value::as_str).map(Place::of).find_map(|directory| {
            let mut others = programs.iter().filter(|(service, _)| *service != found.name);
            let (service, program) = others.find(|(_, program)| directory.holds(program))?;
            Some(ForeignProgramError {
                manifest: found.home().join(MANIFEST),
                directory: directory.written,
                program: program.written.clone(),
                service: service.clone(),
            })
        });
        // Of other kinds of handlers `[grants]` mean nothing.
        let is_held =
            |found: &Found| registry.find(&found.handler).is_ok_and(|plugin| plugin.kind == Kind::Wasm);
        if let Some(error) = error.filter(|_| is_held(found)) {
            found.problem = Some(error.to_string());
        }
    }
}
