//! What strangers could change of what koid relies on.
//!
//! The key and the state folder are refused if others may write to them: the guardian runs what the state folder names, as
//! koid's user. Of everything else an operator is told: refusing it would take services down.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use koi_config::Config;
use koi_config::must_be_file;
use koi_files::trust::{self, TrustError};
use koi_plugin_host::Registry;

/// Entries of the state folder that are looked at.
const STATE_ENTRIES: usize = 10_000;
/// Sentences that an operator is told at once.
const TOLD: usize = 20;

/// Something is not used, because strangers could change it. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExposureError {
    /// The state folder.
    #[error(
        "the state folder {} is not used: {why}. Whoever changes what is in it has koid run things as its own user; make sure \
         first that nobody has", .path.display()
    )]
    State { path: PathBuf, why: TrustError },
    /// Something in the state folder is no file.
    #[error("{} is in the state folder, and {what}: find out who has put it there, and remove it", .path.display())]
    NoFile { path: PathBuf, what: String },
    /// A file with a key.
    #[error("key file {}: it is not used: {why}. Whoever changes it decides who belongs to the cluster", .path.display())]
    Key { path: PathBuf, why: TrustError },
}

/// Refuses a state folder that others may change.
pub(crate) fn refuse_state(path: &Path) -> Result<(), ExposureError> {
    // One that is sticky is closed when koid starts: nothing in it could have been replaced meanwhile.
    let own = || trust::check(path).ok().flatten().filter(|why| !is_sticky(why));
    if let Some(why) = own().or_else(|| trust::check_parents(path)) {
        return Err(ExposureError::State { path: path.to_owned(), why });
    }
    let bad =
        trust::find_below(path, STATE_ENTRIES, |entry, found| match trust::check_metadata(entry, found) {
            Some(why) => Some(ExposureError::State { path: path.to_owned(), why }),
            None => no_file(entry),
        });
    bad.map_or(Ok(()), Err)
}

/// A FIFO or a device in the place of a file: koid would wait for it.
fn no_file(path: &Path) -> Option<ExposureError> {
    let kind = fs::metadata(path).ok()?.file_type();
    if kind.is_dir() || kind.is_socket() {
        return None;
    }
    let what = must_be_file(kind).err()?.to_string();
    Some(ExposureError::NoFile { path: path.to_owned(), what })
}

/// Whether others may put things into it, and may not replace what is in it, as in the root of a new tmpfs.
fn is_sticky(why: &TrustError) -> bool {
    const STICKY: u32 = 0o1000;
    matches!(why, TrustError::Writable { mode, .. } if mode & STICKY != 0)
}

/// Makes the state folder if it is not there, for koid's user alone, and refuses it if others may change it. A sentence says
/// what was done about one that others could only have put things into.
pub(crate) fn prepare_state(path: &Path) -> Result<Option<String>, ExposureError> {
    // Made before it is judged: in a folder like /tmp somebody else may make it in between. Opening it says why it cannot be.
    let _ = DirBuilder::new().recursive(true).mode(0o700).create(path);
    let open = trust::check(path).ok().flatten().filter(is_sticky);
    let Some(why) = open else { return refuse_state(path).map(|()| None) };
    fs::set_permissions(path, Permissions::from_mode(0o700))
        .map_err(|_| ExposureError::State { path: path.to_owned(), why: why.clone() })?;
    refuse_state(path)?;
    Ok(Some(format!(
        "the state folder {} was open to others, and is koid's alone now (mode 0700)",
        path.display()
    )))
}

/// Refuses a key file that others may change, or put another one in the place of.
pub(crate) fn refuse_key(path: &Path) -> Result<(), ExposureError> {
    match trust::check(path).ok().flatten().or_else(|| trust::check_parents(path)) {
        Some(why) => Err(ExposureError::Key { path: path.to_owned(), why }),
        None => Ok(()),
    }
}

/// What an operator is to be told, by its path: a sentence each.
#[derive(Debug, Default)]
struct ExposureReport(BTreeMap<PathBuf, TrustError>);

impl ExposureReport {
    /// Looks at a file or folder, and at the way to it. Whether it is to be relied on.
    fn look(&mut self, path: &Path) -> bool {
        let found = trust::check(path).ok().flatten().or_else(|| trust::check_parents(path));
        let is_good = found.is_none();
        self.0.extend(found.map(|why| (why.path().to_owned(), why)));
        is_good
    }

    /// Looks at what lies in a folder; in one that others may change anything may lie.
    fn look_into(&mut self, folder: &Path, also: impl Fn(&mut ExposureReport, &Path)) {
        if !self.look(folder) {
            return;
        }
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            also(self, &entry.path());
        }
    }

    /// Looks at what lies in a folder that was looked at. A link leads elsewhere.
    fn look_at(&mut self, path: &Path) {
        if path.is_symlink() {
            self.look(path);
            return;
        }
        self.0.extend(trust::check(path).ok().flatten().map(|why| (path.to_owned(), why)));
    }

    fn sentences(self) -> Vec<String> {
        let count = self.0.len();
        let mut all: Vec<String> =
            self.0.into_values().map(|why| format!("{why}; koid relies on it")).collect();
        if count > TOLD {
            all.truncate(TOLD);
            all.push(format!(
                "others may change {} more files and folders that koid relies on",
                count - TOLD
            ));
        }
        all
    }
}

/// What others could change of the configuration in `file`, of services, and of plugins: a sentence each. Blocks.
pub(crate) fn exposures(file: &Path, config: &Config, registry: Option<&Registry>) -> Vec<String> {
    let mut told = ExposureReport::default();
    told.look(file);
    if let Some(folder) = config.node.socket.parent() {
        told.look(folder);
    }
    if let Some(fence) = &config.fence {
        told.look(fence.how.program());
    }
    for dir in &config.plugins.dirs {
        told.look_into(dir, |told, path| {
            if path.extension().is_some_and(|e| e == "so" || e == "wasm") {
                told.look_at(path);
            }
        });
    }
    if config.node.runner {
        told.look(&config.services.workingdir);
        for (_, folder) in config.service_folders() {
            told.look_into(folder, |told, service| {
                told.look_into(service, |told, file| told.look_at(file));
            });
        }
        // A service may name a plugin that is anywhere. What was pulled lies in the state folder, and is known by its digest.
        let plugins = registry.map(Registry::plugins).unwrap_or_default();
        let paths = plugins.iter().filter_map(|info| info.path.as_ref());
        paths.filter(|path| path.is_absolute()).for_each(|path| {
            told.look(path);
        });
    }
    told.sentences()
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, set_permissions, write};
    use std::time::Duration;

    use koi_config::{FenceMethod, Fences};

    use super::*;
    use crate::testing::config;

    fn mode(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_state_folder_that_others_may_write_to_is_refused_and_so_is_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("inner/state");
        prepare_state(&state).unwrap();
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
        create_dir_all(state.join("plugins")).unwrap();
        write(state.join("plugins/pins.json"), "{}").unwrap();
        for (path, open, good) in [
            (state.clone(), 0o777, 0o700),
            (state.parent().unwrap().to_owned(), 0o777, 0o755),
            (state.join("plugins"), 0o703, 0o700),
            (state.join("plugins/pins.json"), 0o646, 0o600),
        ] {
            mode(&path, open);
            let refused = prepare_state(&state).unwrap_err().to_string();
            assert!(refused.contains(&format!("`chmod go-w {}`", path.display())), "{refused}");
            mode(&path, good);
            prepare_state(&state).unwrap();
        }
        mode(state.parent().unwrap(), 0o1777);
        prepare_state(&state).expect("in a folder like /tmp only the owner renames it");
    }

    #[test]
    fn a_state_folder_that_others_could_only_add_to_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        mode(&state, 0o1777);
        refuse_state(&state).unwrap();
        assert!(prepare_state(&state).unwrap().unwrap().contains("is koid's alone now"));
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o7777, 0o700);
        assert_eq!(prepare_state(&state).unwrap(), None);
    }

    #[test]
    fn a_fifo_in_the_state_folder_is_named_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("state");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let refused = prepare_state(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&*fifo.to_string_lossy()) && refused.contains("a FIFO"), "{refused}");
    }

    #[test]
    fn a_key_that_others_may_replace_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        write(&key, "x").unwrap();
        mode(&key, 0o600);
        refuse_key(&key).unwrap();
        mode(folder.path(), 0o777);
        assert!(matches!(refuse_key(&key), Err(ExposureError::Key { .. })));
    }

    #[test]
    fn of_services_and_plugins_each_thing_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let (file, service) = (folder.path().join("koi.toml"), config.services.folder.join("10-web"));
        create_dir_all(&service).unwrap();
        create_dir_all(&config.plugins.dirs[0]).unwrap();
        let paths = [
            file.clone(),
            service.join("start"),
            service.join("service.toml"),
            config.plugins.dirs[0].join("x.so"),
        ];
        for path in &paths {
            write(path, "").unwrap();
            mode(path, 0o755);
        }
        assert_eq!(exposures(&file, &config, None), [""; 0]);
        for path in &paths {
            mode(path, 0o757);
        }
        let said = exposures(&file, &config, None);
        for path in &paths {
            let about =
                said.iter().filter(|s| s.contains(&format!("{} may be changed", path.display()))).count();
            assert_eq!(about, 1, "{said:#?}");
        }
        let elsewhere = folder.path().join("elsewhere");
        create_dir_all(&elsewhere).unwrap();
        write(elsewhere.join("stop"), "").unwrap();
        mode(&elsewhere, 0o777);
        std::os::unix::fs::symlink(elsewhere.join("stop"), service.join("stop")).unwrap();
        let said = exposures(&file, &config, None).join("\n");
        assert!(
            said.contains(&format!("{} may be changed", elsewhere.display())),
            "a link leads there: {said}"
        );
        let program = folder.path().join("fence");
        write(&program, "").unwrap();
        mode(&program, 0o757);
        let how = FenceMethod::Command(vec![program.display().to_string()]);
        let fence = Some(Fences { how, timeout: Duration::from_secs(60), nodes: BTreeMap::new() });
        let said = exposures(&file, &Config { fence, ..config.clone() }, None).join("\n");
        assert!(said.contains(&format!("{} may be changed", program.display())), "koid runs it: {said}");
        mode(&config.services.folder, 0o777);
        let said = exposures(&file, &config, None).join("\n");
        assert!(!said.contains("10-web"), "in an open folder anything may be: {said}");
        assert!(said.contains(&format!("chmod go-w {}`", config.services.folder.display())), "{said}");
    }
}
