//! What lies in the services folder.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use koi_artifact::SCHEME;
use koi_plugin_api::{Hook, HookSet};
use koi_plugin_shell::{Shape, ShellHandler, what_else};

use crate::catalog::registry::Registry;
use crate::catalog::storage::files;
use crate::plugin::Kind;
use crate::service::definition::{COMPONENT, DISABLED, Found, MANIFEST, MANIFEST_ENDING, SERVICES, beside};
use crate::service::entry;
use crate::service::entry::EntryKind;
use crate::service::foreign_programs;
use crate::service::manifest::Manifest;
use crate::warning::{Severity, Warning};

/// Entries of the services folder that are looked at, services or not.
const ENTRIES: usize = 16_384;

/// Files of one service whose changes are looked for while it is new.
const STIRRING_FILES: usize = 4096;

/// Everything found at one look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Discovery {
    /// The services, by priority (those without one last), then by name. No name is there twice.
    pub services: Vec<Found>,
    /// What was ignored or refused, and why.
    pub warnings: Vec<Warning>,
}

/// The services folder could not be looked at. What was found before still stands: an unreadable folder is not an
/// empty one.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// It is not there.
    #[error("the services folder {} isn't there; create it or change services.folder", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("the services folder {} cannot be read: {source}", folder.display())]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is far more in it than services.
    #[error("the services folder {} has more than {ENTRIES} entries; is services.folder right?", .0.display())]
    TooMuch(PathBuf),
    /// What should be one service's folder is none.
    #[error("{} is not the folder of a service", .0.display())]
    NotAService(PathBuf),
}

/// Looks at every entry of `folder`. Blocks on the disk, and loads plugins that services name by their path and that `registry`
/// has not seen yet. Runs no hook.
///
/// # Errors
/// When the folder as a whole cannot be read. What is wrong with one service is its [`Found::problem`].
pub fn discover(folder: &Path, registry: &Registry) -> Result<Discovery, DiscoverError> {
    let mut discovery = Discovery::default();
    for path in entries(folder)? {
        let file_name = path.file_name().unwrap_or_default();
        match entry::read(file_name) {
            EntryKind::Service { name, priority } => look(&path, name, priority, &mut discovery),
            EntryKind::Ignored(why) => {
                let why = match told_by(&path) {
                    Some(service) if service.is_file() => continue,
                    Some(service) => of_no_file(&service),
                    None => why.to_owned(),
                };
                discovery.warn(Severity::Warning, "ignored", &path, &format!("ignored: {why}"))
            }
            EntryKind::Refused(why) => {
                discovery.warn(
                    Severity::Error,
                    "refused",
                    &path,
                    &format!("not taken as a service: {why}; rename it"),
                );
            }
        }
    }
    // Entries come sorted by name: of the same priority and name the first stays.
    discovery.services.sort_by(|a, b| rank(a).cmp(&rank(b)));
    discovery.drop_duplicates();
    discovery.drop_what_is_too_much();
    discovery.find_handlers(registry);
    foreign_programs::refuse(&mut discovery.services, registry);
    Ok(discovery)
}

/// Whose manifest this is, by its name: that of a service in a single file; none: it is none.
fn told_by(path: &Path) -> Option<PathBuf> {
    let service = PathBuf::from(path.to_str()?.strip_suffix(MANIFEST_ENDING)?);
    let is_service = matches!(entry::read(service.file_name()?), EntryKind::Service { .. });
    is_service.then_some(service)
}

/// Why a manifest beside something else than a single file is ignored.
fn of_no_file(service: &Path) -> String {
    let name = service.file_name().unwrap_or_default().to_string_lossy();
    match service.is_dir() {
        true => format!("{name} is a folder: what it says of itself is the {MANIFEST} in it"),
        false => format!("there is no single file {name} beside it"),
    }
}

fn rank(found: &Found) -> (u8, &str) {
    (found.priority.unwrap_or(u8::MAX), &found.name)
}

/// The entries of the folder, sorted: the order in which a disk returns them is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DiscoverError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => DiscoverError::Missing(folder.to_owned()),
        _ => DiscoverError::Unreadable { folder: folder.to_owned(), source },
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        if paths.len() == ENTRIES {
            return Err(DiscoverError::TooMuch(folder.to_owned()));
        }
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Looks at one service's folder, wherever it lies. `handler`: the plugin's file, whatever the folder says. Blocks as [`discover`]
/// does.
///
/// # Errors
/// There is no such folder.
pub fn discover_one(
    folder: &Path,
    handler: Option<&Path>,
    registry: &Registry,
) -> Result<Found, DiscoverError> {
    let file_name = folder.file_name().unwrap_or_default();
    let whole = file_name.to_string_lossy();
    let (name, priority) = match entry::read(file_name) {
        EntryKind::Service { name, priority } => (name, priority),
        EntryKind::Ignored(_) | EntryKind::Refused(_) => (whole.as_ref(), None),
    };
    let mut discovery = Discovery::default();
    look(folder, name, priority, &mut discovery);
    let folders = discovery.services.iter_mut().filter(|found| matches!(found.shape, Shape::Folder(_)));
    for (found, handler) in folders.zip(handler) {
        found.handler = handler.display().to_string();
    }
    discovery.find_handlers(registry);
    discovery.services.pop().ok_or_else(|| DiscoverError::NotAService(folder.to_owned()))
}

/// Looks at one entry whose name is that of a service.
fn look(path: &Path, name: &str, priority: Option<u8>, discovery: &mut Discovery) {
    let mut found = Found {
        name: name.to_owned(),
        priority,
        shape: Shape::Folder(path.to_owned()),
        handler: ShellHandler::NAME.to_owned(),
        disabled: false,
        manifest: Manifest::default(),
        hooks: HookSet::default(),
        problem: None,
        fingerprint: 0,
    };
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => look_into(path, &mut found),
        Ok(meta) if !meta.is_file() => {
            let what = what_else(meta.file_type()).unwrap_or_default();
            let message = format!("ignored: {what}, neither a folder nor a file");
            discovery.warn(Severity::Warning, "ignored", path, &message);
            return;
        }
        Ok(meta) if meta.mode() & 0o111 == 0 => {
            let message = format!(
                "ignored: a file that is not executable; if it is a service, chmod +x {}",
                path.display()
            );
            discovery.warn(Severity::Warning, "not-executable", path, &message);
            return;
        }
        Ok(_) => {
            found.shape = Shape::File(path.to_owned());
            found.hooks = found.shape.hooks();
            look_beside(path, &mut found);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Gone since the folder was read, or a link to nowhere.
            if path.is_symlink() {
                discovery.warn(
                    Severity::Warning,
                    "dangling",
                    path,
                    "ignored: a link to something that isn't there",
                );
            }
            return;
        }
        // It must not vanish from the list: a service that cannot be looked at may still run.
        Err(error) => found.problem = Some(format!("{} cannot be looked at: {error}", path.display())),
    }
    if priority.is_none() && entry::looks_like_priority(name) {
        let message = "its number is taken as part of its name: a priority has one or two digits";
        discovery.warn(Severity::Warning, "priority", path, message);
    }
    discovery.services.push(found);
}

/// Looks at what a service in a single file says of itself.
fn look_beside(file: &Path, found: &mut Found) {
    let manifest = beside(file);
    match Manifest::load(&manifest) {
        Ok(read) => found.manifest = read.unwrap_or_default(),
        Err(error) => found.problem = Some(error.to_string()),
    }
    if let Some(handler) = found.manifest.handler.take() {
        let problem = format!(
            "{}: a single file is run by itself, not by the handler {handler}; remove that line, or make a folder of it",
            manifest.display()
        );
        found.problem = found.problem.take().or(Some(problem));
    }
    if found.manifest.changed == Some(true) && !found.hooks.is_empty() {
        found.hooks = found.hooks.with(Hook::Changed);
    }
    if found.problem.is_some() {
        found.hooks = HookSet::default();
    }
    found.fingerprint = fingerprint([file.to_owned(), manifest]);
}

/// Looks into a service's folder.
fn look_into(folder: &Path, found: &mut Found) {
    let component = folder.join(COMPONENT);
    found.disabled = folder.join(DISABLED).symlink_metadata().is_ok();
    match Manifest::load(&folder.join(MANIFEST)) {
        Ok(manifest) => found.manifest = manifest.unwrap_or_default(),
        Err(error) => found.problem = Some(error.to_string()),
    }
    found.handler = match &found.manifest.handler {
        // The reference of what was pulled: its digest says what it is, wherever it lies.
        Some(handler) if handler.starts_with(SCHEME) => handler.clone(),
        Some(handler) if is_path(handler) => folder.join(handler).display().to_string(),
        Some(handler) => handler.clone(),
        None if component.exists() => component.display().to_string(),
        None => ShellHandler::NAME.to_owned(),
    };
    if found.manifest.changed.is_some() {
        let problem = format!(
            "{}: `changed` is for a service in a single file; in a folder a script of that name is called, and a plugin says itself whether it has \
             that hook: remove the line",
            folder.join(MANIFEST).display()
        );
        found.problem = found.problem.take().or(Some(problem));
    }
    let for_nobody = !found.manifest.config.is_empty() || !found.manifest.grants.is_empty();
    if found.handler == ShellHandler::NAME && for_nobody && found.shape.hooks() == HookSet::default() {
        let problem = format!(
            "{}: it has settings for a handler, names none, and there is no script; write handler = \"NAME\"",
            folder.join(MANIFEST).display()
        );
        found.problem = found.problem.take().or(Some(problem));
    }
    let scripts = Hook::ALL.map(|hook| found.shape.script(hook));
    found.fingerprint =
        fingerprint(scripts.into_iter().chain([MANIFEST, DISABLED].map(|name| folder.join(name))));
}

/// Whether `handler = "…"` is a path, relative to the service's folder, and not a name.
fn is_path(handler: &str) -> bool {
    handler.contains('/') || files::kind_of(Path::new(handler)).is_some()
}

fn fingerprint(paths: impl IntoIterator<Item = PathBuf>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        let Ok(meta) = fs::metadata(&path).or_else(|_| fs::symlink_metadata(&path)) else { continue };
        path.hash(&mut hasher);
        (meta.dev(), meta.ino(), meta.mode(), meta.size(), meta.mtime(), meta.mtime_nsec()).hash(&mut hasher);
    }
    hasher.finish()
}

/// Another number after any change to a service's folder or to a file in it, whatever it is; of a single-file service to that
/// file, or to what it says of itself. Comparable within one run of the daemon. Blocks.
pub fn stirring(service: &Path) -> u64 {
    let mut paths = vec![service.to_owned(), beside(service)];
    if let Ok(inside) = fs::read_dir(service) {
        paths.extend(inside.flatten().take(STIRRING_FILES).map(|entry| entry.path()));
        paths.sort();
    }
    fingerprint(paths)
}

/// `[grants]` and `[limits]` are for handlers in a sandbox: someone may rely on them where they mean nothing.
pub(crate) fn idle_sections(found: &Found, kind: Kind) -> Option<Warning> {
    // The other kinds say so themselves.
    if kind != Kind::Builtin {
        return None;
    }
    let sections = [("[grants]", &found.manifest.grants), ("[limits]", &found.manifest.limits)];
    let written: Vec<_> =
        sections.iter().filter(|(_, table)| !table.is_empty()).map(|(name, _)| *name).collect();
    let verb = if written.len() == 1 { "means" } else { "mean" };
    let message = format!(
        "{} {verb} nothing here: scripts may do whatever koid may; remove that, to mislead nobody",
        written.join(" and ")
    );
    (!written.is_empty()).then(|| Warning::new(Severity::Warning, "idle", &found.manifest_path(), message))
}

/// Has a service go on with the version that it uses, if its `service.toml` names another one that was pulled, until the next load.
fn keep_version_in_force(found: &mut Found, registry: &Registry) -> Option<Warning> {
    let in_force = registry.handler_in_force(&found.name, &found.handler);
    if in_force == found.handler {
        return None;
    }
    let named = std::mem::replace(&mut found.handler, in_force.clone());
    // Nothing that its handler is made of has changed.
    found.manifest.handler = Some(in_force);
    let message = format!("names another version of its handler by now, {named}: `koi reconfigure` takes it");
    Some(Warning::new(Severity::Info, &format!("staged {named}"), &found.path().join(MANIFEST), message))
}

impl Discovery {
    fn warn(&mut self, severity: Severity, topic: &str, path: &Path, message: &str) {
        self.warnings.push(Warning::new(severity, topic, path, message));
    }

    /// Judges each service by the handler that it names.
    fn find_handlers(&mut self, registry: &Registry) {
        let paths = self.services.iter().filter(|found| found.handler.contains('/'));
        // All at once: that is quicker than one after the other.
        registry.load_new(paths.map(|found| PathBuf::from(&found.handler)));
        let mut told = Vec::new();
        for found in &mut self.services {
            if matches!(found.shape, Shape::File(_)) {
                told.extend(idle_sections(found, Kind::Builtin));
                continue;
            }
            told.extend(keep_version_in_force(found, registry));
            match registry.find(&found.handler) {
                Ok(plugin) => {
                    if found.problem.is_none() {
                        let said = plugin.facts().map(|facts| facts.metadata.hooks).unwrap_or_default();
                        let is_shell = plugin.kind == Kind::Builtin;
                        found.hooks = if is_shell { found.shape.hooks() } else { said };
                    }
                    told.extend(idle_sections(found, plugin.kind));
                }
                Err(error) => found.problem = found.problem.take().or_else(|| Some(error.to_string())),
            }
        }
        self.warnings.extend(told);
    }

    fn drop_duplicates(&mut self) {
        let mut first: HashMap<String, PathBuf> = HashMap::new();
        for found in std::mem::take(&mut self.services) {
            match first.get(&found.name) {
                Some(path) => {
                    let (name, other) = (&found.name, path.display());
                    let message = format!(
                        "not taken as a service: {other} is called `{name}` too and comes first; rename one"
                    );
                    self.warn(Severity::Error, "duplicate", found.path(), &message);
                }
                None => {
                    first.insert(found.name.clone(), found.path().to_owned());
                    self.services.push(found);
                }
            }
        }
    }

    fn drop_what_is_too_much(&mut self) {
        let kept = self.services.len().min(SERVICES);
        for found in self.services.split_off(kept) {
            let message = format!("not taken as a service: a node has at most {SERVICES}");
            self.warn(Severity::Error, "too-many", found.path(), &message);
        }
    }
}
