//! Which handlers there are, and the one for a service.
//!
//! A registry is made once, and again as a whole when an operator says so: plugin files may come, change and go meanwhile,
//! and nothing changes for the services that use them. Only what is new is taken when a service first needs it: a file that it names by
//! its path, one in its folder, and one that has come into `plugins.dirs` since.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use koi_artifact::signature::Signature;
use koi_artifact::{Digest, Reference, Store};
use koi_plugin_shell::ShellHandler;

use crate::backend::{self, Loader, Start};
use crate::catalog::error::{OpenError, PluginError, UnknownHandlerError};
use crate::catalog::loading::in_progress::LoadsInProgress;
use crate::catalog::loading::load_pool;
use crate::catalog::loading::load_pool::Progress;
use crate::catalog::loading::loaded_plugin::{LoadJob, LoadedCode, LoadedPlugin, Loading, OnDisk};
use crate::catalog::open::{Ready, ServiceSlot, Use};
use crate::catalog::storage::blobs;
use crate::catalog::storage::departed;
use crate::catalog::storage::files;
use crate::catalog::storage::sources;
use crate::catalog::storage::sources::Sources;
use crate::catalog::storage::unnamed;
use crate::host::Host;
use crate::plugin::{Facts, FileHash, Kind};
use crate::service::definition::{Found, SERVICES};
use crate::warning::{Severity, Warning};

/// A handler that services may name, or a file that is none and should be.
#[derive(Clone, Debug)]
pub struct PluginInfo {
    /// What services name it by; of a file that could not be loaded: the file's name without its ending.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// The file it was loaded from, or the reference of what was pulled; none: built in.
    pub path: Option<PathBuf>,
    /// Services may use it.
    pub ready: bool,
    /// Why it cannot be used, or why the file that lies there now was not taken.
    pub error: Option<Arc<PluginError>>,
    /// What is known of it; none: it could not be loaded.
    pub facts: Option<Facts>,
    /// Of the file in force.
    pub hash: Option<FileHash>,
    /// Bytes of that file.
    pub size_bytes: u64,
    /// Who vouches for it; none: built in, or not looked at yet.
    pub signature: Option<Signature>,
    /// How services use it, by name.
    pub used_by: Vec<Use>,
    /// For how long the file that lies there has been being loaded (a component: compiled); none: it is not.
    pub loading: Option<Duration>,
}

/// All handlers.
pub struct Registry {
    host: Host,
    sources: Sources,
    workingdir: PathBuf,
    loader: Loader,
    progress: Progress,
    shell: Arc<LoadedPlugin>,
    /// Of `dirs`, in their order; the first of a name that is ready counts.
    named: Vec<Arc<LoadedPlugin>>,
    /// Those that services name by their path.
    by_path: Mutex<BTreeMap<PathBuf, Arc<LoadedPlugin>>>,
    services: Mutex<HashMap<String, ServiceSlot>>,
    /// What each service that was opened names as its handler.
    in_force: Mutex<HashMap<String, String>>,
    /// What each service named at the last look, whether that is in force or not.
    named_last: Mutex<HashMap<String, String>>,
    unreadable: Vec<Warning>,
    in_progress: LoadsInProgress,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("dirs", &self.sources.dirs).finish_non_exhaustive()
    }
}

impl Registry {
    /// Knows what is built in, until it is [loaded](Registry::load). `workingdir` is where single-file services run
    /// (`services.workingdir`).
    pub fn new(host: Host, workingdir: PathBuf) -> Registry {
        Registry {
            host,
            sources: Sources::default(),
            workingdir,
            loader: Arc::new(|file| backend::load(file, Start::First)),
            progress: Arc::new(|sentence| tracing::info!("{sentence}")),
            shell: Arc::new(LoadedPlugin::shell()),
            named: Vec::new(),
            by_path: Mutex::default(),
            services: Mutex::default(),
            in_force: Mutex::default(),
            named_last: Mutex::default(),
            unreadable: Vec::new(),
            in_progress: LoadsInProgress::default(),
        }
    }

    /// Tells `progress` what takes long, instead of the log.
    #[must_use]
    pub fn with_progress(self, progress: Progress) -> Registry {
        Registry { progress, ..self }
    }

    /// Takes plugins by these rules, and nothing from `plugins.dirs` yet.
    #[must_use]
    pub fn with_sources(self, sources: Sources) -> Registry {
        Registry { sources, ..self }
    }

    /// Makes code of files by other means.
    #[cfg(test)]
    pub(crate) fn with_loader(self, loader: Loader) -> Registry {
        Registry { loader, ..self }
    }

    /// Another registry, of what lies in `sources` now; this one stays as it is. What has not changed is not loaded
    /// again, and services keep their handlers as far as nothing changed for them. What can no longer be loaded stays as it
    /// was. Blocks, for long if components are to be compiled.
    #[must_use]
    pub fn load(&self, sources: Sources, workingdir: PathBuf) -> Registry {
        let mut services = lock(&self.services).clone();
        services.retain(|_, slot| slot.is_open());
        let uses =
            |path: &Path| lock(&self.services).values().any(|slot| slot.plugin.as_deref() == Some(path));
        let by_path = lock(&self.by_path).clone();
        let known: Vec<_> = self.named.iter().chain(by_path.values()).cloned().collect();
        let mut unreadable = Vec::new();
        let mut jobs: Vec<LoadJob> = Vec::new();
        for dir in &sources.dirs {
            let paths = files::in_folder(dir).unwrap_or_else(|error| {
                unreadable.push(Warning::new(Severity::Error, "plugins", dir, error.to_string()));
                Vec::new()
            });
            // A file that is gone is still to be asked for: services may use it.
            let before = known.iter().filter_map(|plugin| plugin.path.clone());
            let mut paths: BTreeSet<PathBuf> =
                before.filter(|path| path.parent() == Some(dir)).chain(paths).collect();
            paths.retain(|path| jobs.iter().all(|job| job.path != *path));
            jobs.extend(paths.into_iter().map(|path| LoadJob {
                before: known.iter().find(|plugin| plugin.path.as_ref() == Some(&path)).cloned(),
                used: uses(&path),
                path,
            }));
        }
        let is_named = |path: &PathBuf| jobs.iter().any(|job| job.path == *path);
        let seen: Vec<_> = by_path.into_iter().filter(|(path, _)| uses(path) && !is_named(path)).collect();
        let seen = seen.into_iter().map(|(path, before)| LoadJob { path, before: Some(before), used: true });
        let (named_jobs, all) = (jobs.len(), jobs.into_iter().chain(seen).collect::<Vec<_>>());
        let mut taken = self.take(&all, &sources);
        let seen = taken.split_off(named_jobs).into_iter().flatten();
        let mut named: Vec<LoadedPlugin> = taken.into_iter().flatten().collect();
        drop_removed_plugins(&mut named);
        refuse_duplicate_names(&mut named);
        Registry {
            host: self.host.clone(),
            sources,
            workingdir,
            loader: self.loader.clone(),
            progress: self.progress.clone(),
            shell: self.shell.clone(),
            named: named.into_iter().map(Arc::new).collect(),
            by_path: Mutex::new(seen.filter_map(|p| Some((p.path.clone()?, Arc::new(p)))).collect()),
            services: Mutex::new(services),
            in_force: Mutex::default(),
            named_last: Mutex::default(),
            unreadable,
            in_progress: self.in_progress.clone(),
        }
    }

    /// Takes files, some at a time, each as [`Loading::load`] does.
    fn take(&self, jobs: &[LoadJob], sources: &Sources) -> Vec<Option<LoadedPlugin>> {
        let by_path: Vec<_> = lock(&self.by_path).values().cloned().collect();
        let all = self.named.iter().chain(&by_path).filter_map(|plugin| plugin.code.clone());
        let known: HashMap<FileHash, LoadedCode> = all.map(|code| (code.hash, code)).collect();
        let long = |job: &LoadJob| match sources::kind_of(&job.path) {
            Some(Kind::Wasm) => (self.progress)(&format!(
                "compiling {}, which takes a while the first time",
                job.path.display()
            )),
            _ => (self.progress)(&format!("loading {} takes long", job.path.display())),
        };
        let done = |job: &LoadJob, took: Duration| {
            (self.progress)(&format!("{} took {:.1} s", job.path.display(), took.as_secs_f32()));
        };
        let loading = Loading {
            sources,
            known: &known,
            host: &self.host,
            loader: &self.loader,
            in_progress: &self.in_progress,
        };
        load_pool::run_all(jobs, |job| loading.load(job), long, done)
    }

    /// Takes the files that services name by their path, as far as they were not seen before. What is in force stays, whatever
    /// lies there now; what could not be loaded is tried again once its file has changed. Blocks.
    pub(crate) fn load_new(&self, paths: impl IntoIterator<Item = PathBuf>) {
        let jobs: Vec<LoadJob> = {
            let known = lock(&self.by_path);
            let room = SERVICES.saturating_sub(known.len());
            let is_new = |path: &PathBuf| {
                known.get(path).is_none_or(|plugin| plugin.is_worth_another_try(&self.sources))
            };
            let new: BTreeSet<PathBuf> = paths.into_iter().filter(is_new).collect();
            new.into_iter().take(room).map(|path| LoadJob { path, before: None, used: true }).collect()
        };
        if jobs.is_empty() {
            return;
        }
        let taken = self.take(&jobs, &self.sources);
        let mut known = lock(&self.by_path);
        for plugin in taken.into_iter().flatten() {
            if let Some(path) = plugin.path.clone() {
                known.insert(path, Arc::new(plugin));
            }
        }
    }

    /// The handler that a service names: by its name, or by its path if a `/` is in it.
    pub(crate) fn find(&self, handler: &str) -> Result<Arc<LoadedPlugin>, OpenError> {
        let found = if handler.contains('/') {
            self.load_new([PathBuf::from(handler)]);
            lock(&self.by_path).get(Path::new(handler)).cloned()
        } else {
            self.by_name(handler).cloned().or_else(|| self.find_new(handler))
        };
        let Some(plugin) = found else { return Err(self.unknown(handler).into()) };
        match (plugin.ready, &plugin.error) {
            (false, Some(error)) => {
                // Of one that is named by its path nobody knows a name yet.
                let name = (!handler.contains('/')).then(|| handler.to_owned());
                Err(OpenError::Plugin { name, error: error.clone() })
            }
            _ => Ok(plugin),
        }
    }

    /// The handler that counts for a service whose `service.toml` names `named`. One that was opened keeps to its plugin until the next load,
    /// when it names another version of it that was pulled: as if the plugin's file had been replaced. Blocks.
    pub(crate) fn handler_in_force(&self, service: &str, named: &str) -> String {
        lock(&self.named_last).insert(service.to_owned(), named.to_owned());
        let before = lock(&self.in_force).get(service).filter(|before| *before != named).cloned();
        let is_other_version = |before: &String| match (self.find(before), self.find(named)) {
            (Ok(before), Ok(now)) => before.name == now.name,
            // What is wrong with it is said of the service.
            _ => false,
        };
        let is_pulled = sources::is_reference(Path::new(named));
        before.filter(|before| is_pulled && is_other_version(before)).unwrap_or_else(|| named.to_owned())
    }

    fn is_in_dirs(&self, plugin: &LoadedPlugin) -> bool {
        let folder = plugin.path.as_deref().and_then(Path::parent);
        folder.is_some_and(|folder| self.sources.dirs.iter().any(|dir| dir == folder))
    }

    fn by_name(&self, name: &str) -> Option<&Arc<LoadedPlugin>> {
        let all = || [&self.shell].into_iter().chain(&self.named).filter(|plugin| plugin.name == name);
        all().find(|plugin| plugin.ready).or_else(|| all().next())
    }

    /// The plugin of this name in a file that has come into `plugins.dirs` since the last load: whoever puts the plugin and the service
    /// there together means both. Blocks.
    fn find_new(&self, name: &str) -> Option<Arc<LoadedPlugin>> {
        let is_known = |path: &PathBuf| self.named.iter().any(|plugin| plugin.path.as_ref() == Some(path));
        let new = self.sources.dirs.iter().filter_map(|dir| files::in_folder(dir).ok()).flatten();
        let new: BTreeSet<PathBuf> = new.filter(|path| !is_known(path)).collect();
        self.load_new(new.iter().cloned());
        let known = lock(&self.by_path);
        let all = || new.iter().filter_map(|path| known.get(path)).filter(|plugin| plugin.name == name);
        all().find(|plugin| plugin.ready).or_else(|| all().next()).cloned()
    }

    fn unknown(&self, name: &str) -> UnknownHandlerError {
        let by_path: Vec<_> = lock(&self.by_path).values().cloned().collect();
        let by_path = by_path.iter().filter(|plugin| self.is_in_dirs(plugin));
        let all = [&self.shell].into_iter().chain(&self.named).chain(by_path).filter(|plugin| plugin.ready);
        let known: Vec<_> = all.map(|plugin| format!("`{}`", plugin.name)).collect();
        let dirs: Vec<_> = self.sources.dirs.iter().map(|dir| dir.display().to_string()).collect();
        let remedy = match dirs.is_empty() {
            true => "correct `handler` in service.toml".to_owned(),
            false => format!(
                "correct `handler` in service.toml, or put the plugin into {} (plugins.dirs)",
                dirs.join(" or ")
            ),
        };
        UnknownHandlerError { name: name.to_owned(), known: known.join(", "), remedy }
    }

    /// What people call the handler of a service.
    pub fn name_of(&self, found: &Found) -> String {
        self.find(&found.handler).map_or_else(|_| found.handler.clone(), |plugin| plugin.name.clone())
    }

    /// A handler for the hooks of `found`. The same one again, as long as neither its `service.toml` nor its plugin has changed. Blocks.
    ///
    /// # Errors
    /// What is wrong with the service or its handler, and what to do.
    pub fn open(&self, found: &Found) -> Result<Ready, OpenError> {
        let plugin = self.find(&found.handler);
        let before = lock(&self.services).get(&found.name).cloned();
        let (slot, result) = ServiceSlot::open(before, found, plugin, &self.workingdir);
        lock(&self.services).insert(found.name.clone(), slot);
        if result.is_ok() {
            lock(&self.in_force).insert(found.name.clone(), found.handler.clone());
        }
        result
    }

    /// Forgets the handlers of services that are not in `names`.
    pub fn keep_only(&self, names: &BTreeSet<&str>) {
        lock(&self.services).retain(|name, _| names.contains(name.as_str()));
        lock(&self.in_force).retain(|name, _| names.contains(name.as_str()));
        lock(&self.named_last).retain(|name, _| names.contains(name.as_str()));
    }

    /// Lets go of every service's handler: the daemon ends.
    pub fn close(&self) {
        lock(&self.services).clear();
    }

    /// Removes copies of plugin files that are in force nowhere; `also` are hashes that are used by something else.
    pub fn prune(&self, also: &BTreeSet<String>) {
        let by_path: Vec<_> = lock(&self.by_path).values().cloned().collect();
        let all = self.named.iter().chain(&by_path).filter_map(|plugin| plugin.code.as_ref());
        let used = all.map(|code| code.hash.to_string()).chain(also.iter().cloned()).collect();
        blobs::prune(&self.host, &used);
    }

    /// Removes what handlers have stored whose services have been gone for a month; those in `present` are there, and `passed` is the time
    /// since the last look. Blocks.
    ///
    /// Returns what is to be told, a sentence each.
    pub fn tidy(&self, present: &BTreeSet<String>, passed: Duration) -> Vec<String> {
        departed::tidy(&self.host, present, passed)
    }

    /// Removes what was pulled and what no service has named for a month; `passed` is the time since the last look. Blocks.
    ///
    /// Returns what is to be told, a sentence each.
    pub fn tidy_pulled(&self, passed: Duration) -> Vec<String> {
        // It was not loaded yet, and knows neither where to look nor what is named.
        if self.sources.pulled == Store::default() {
            return Vec::new();
        }
        unnamed::tidy(&self.sources.pulled, &self.host.unnamed_dir(), &self.named_digests(), passed)
    }

    /// Of what services name, and of what is in force for them.
    fn named_digests(&self) -> BTreeSet<Digest> {
        let named: Vec<String> = lock(&self.named_last).values().cloned().collect();
        let in_force: Vec<String> = lock(&self.in_force).values().cloned().collect();
        let all = named.into_iter().chain(in_force);
        all.filter_map(|named| named.parse::<Reference>().ok()?.digest).collect()
    }

    /// Every handler that is known: the built-in one, those in `plugins.dirs`, those that services name by their path, and those
    /// that are being loaded.
    pub fn plugins(&self) -> Vec<PluginInfo> {
        let by_path: Vec<_> = lock(&self.by_path).values().cloned().collect();
        let known = [&self.shell].into_iter().chain(&self.named).chain(&by_path);
        let mut all: Vec<PluginInfo> = known.map(|plugin| self.info(plugin)).collect();
        for (path, kind) in self.in_progress.all() {
            if all.iter().all(|plugin| plugin.path.as_ref() != Some(&path)) {
                all.push(self.info(&LoadedPlugin::yet_to_come(&path, kind)));
            }
        }
        all
    }

    /// The one with this name, or at this path.
    pub fn plugin(&self, name_or_path: &str) -> Option<PluginInfo> {
        let all = self.plugins();
        let named = || all.iter().filter(|plugin| plugin.name == name_or_path);
        let here = |plugin: &&PluginInfo| plugin.path.as_deref() == Some(Path::new(name_or_path));
        named()
            .find(|plugin| plugin.ready)
            .or_else(|| named().next())
            .or_else(|| all.iter().find(here))
            .cloned()
    }

    /// The plugin in this file, which need not lie in `plugins.dirs`. Blocks.
    pub fn plugin_in(&self, file: &Path) -> Option<PluginInfo> {
        self.load_new([file.to_owned()]);
        lock(&self.by_path).get(file).map(|plugin| self.info(plugin))
    }

    /// The file that lies at the place of a plugin now. Blocks. None: it is built in.
    pub fn on_disk(&self, plugin: &PluginInfo) -> Option<OnDisk> {
        let path = plugin.path.as_ref()?;
        let seen = lock(&self.by_path).get(path).cloned();
        let named = || self.named.iter().find(|plugin| plugin.path.as_ref() == Some(path)).cloned();
        seen.or_else(named)?.on_disk(&self.sources)
    }

    fn info(&self, plugin: &LoadedPlugin) -> PluginInfo {
        let mut used_by: Vec<Use> = lock(&self.services)
            .iter()
            .filter(|(_, slot)| slot.uses(plugin))
            .map(|(service, slot)| slot.describe(service))
            .collect();
        used_by.sort_by(|a, b| a.service.cmp(&b.service));
        PluginInfo {
            name: plugin.name.clone(),
            kind: plugin.kind,
            path: plugin.path.clone(),
            ready: plugin.ready,
            error: plugin.error.clone(),
            facts: plugin.facts().cloned(),
            hash: plugin.code.as_ref().map(|code| code.hash),
            size_bytes: plugin.code.as_ref().map_or(0, |code| code.size_bytes),
            signature: plugin.signature.clone(),
            used_by,
            loading: plugin.path.as_deref().and_then(|path| self.in_progress.time_of(path)),
        }
    }

    /// What is wrong with plugins, whether services use them or not.
    pub fn warnings(&self) -> Vec<Warning> {
        let by_path: Vec<_> = lock(&self.by_path).values().cloned().collect();
        let about = |plugin: &Arc<LoadedPlugin>| {
            let severity = if plugin.ready { Severity::Warning } else { Severity::Error };
            // A warning begins with the path by itself.
            let (path, why) = (plugin.path.as_ref()?, plugin.error.as_ref()?.beside_path());
            // Another reason is another warning.
            Some(Warning::new(severity, &format!("plugin ({why})"), path, why))
        };
        let unsure = |plugin: &Arc<LoadedPlugin>| {
            let (path, Some(Signature::Wrong(error))) = (plugin.path.as_ref()?, &plugin.signature) else {
                return None;
            };
            let message = format!("its signature is wrong: {error}");
            // Of one that is refused for it that is said already.
            plugin
                .error
                .is_none()
                .then(|| Warning::new(Severity::Warning, &format!("signature ({error})"), path, message))
        };
        let all = || self.named.iter().chain(&by_path);
        let unreadable = self.unreadable.iter().cloned();
        unreadable.chain(all().filter_map(about)).chain(all().filter_map(unsure)).collect()
    }
}

/// Drops a plugin whose file is gone once another file has its name: services use that one from then on.
fn drop_removed_plugins(plugins: &mut Vec<LoadedPlugin>) {
    let there: BTreeSet<String> =
        plugins.iter().filter(|p| p.ready && !p.gone).map(|p| p.name.clone()).collect();
    plugins.retain(|plugin| !plugin.gone || !there.contains(&plugin.name));
}

/// Of plugins with one name the first stays, and nobody is called like the built-in one.
fn refuse_duplicate_names(plugins: &mut [LoadedPlugin]) {
    let mut first: HashMap<String, PathBuf> = HashMap::new();
    for plugin in plugins.iter_mut().filter(|plugin| plugin.ready) {
        let name = plugin.name.clone();
        if name == ShellHandler::NAME {
            plugin.refuse(PluginError::ReservedName { name });
        } else if let Some(other) = first.get(&name) {
            plugin.refuse(PluginError::DuplicateName { other: other.clone(), name });
        } else if let Some(path) = plugin.path.clone() {
            first.insert(name, path);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "registry_tests/mod.rs"]
mod tests;
