//! What the guardian needs to take services down with the very handlers that were in force (rule R8): a file that koid
//! replaces before a hook runs with other handlers than it names.
//!
//! It holds configurations of services, which may have secrets in them: nobody but the user that koid runs as may read it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirBuilder;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;

use koi_core::group::GroupName;
use koi_core::io::{HandlerInstance, ServiceSpec};
use koi_core::policy::ServicePolicy;
use koi_core::settings::Timeouts;
use koi_core::types::{Hook, HookSet};
use koi_files::{Durability, Temporary, WriteOptions};
use koi_plugin_host::{HandlerSnapshot, Host};
use serde::{Deserialize, Serialize};

use super::scan::{Fingerprint, ScannedService};
use crate::hooks::handlers::Runnable;

/// The file's format; another one is not read.
const FORMAT: u32 = 1;

/// There are secrets in it. Only koid writes it, which is alone in its state folder. Nothing is synced: whoever reads it does so in the same
/// life of the machine.
const PRIVATE: WriteOptions<'static> =
    WriteOptions { mode: 0o600, temporary: Temporary::Fixed, durability: Durability::Unsynced };

/// The number of a handler that is made of a pin: those of a registry begin with 1.
pub(crate) const FROM_MANIFEST: HandlerInstance = HandlerInstance(0);

/// What is kept of all services that have, or had, a handler in this run of the daemon.
#[derive(Clone, Debug, Default)]
pub(crate) struct TeardownManifest {
    services: BTreeMap<String, ManifestEntry>,
    /// What stands in the file.
    written: Vec<u8>,
}

/// A service as it was last found good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ManifestEntry {
    priority: Option<u8>,
    handler: String,
    hooks: Vec<String>,
    /// In milliseconds, in the order of [`Hook::LIFECYCLE`].
    timeouts_ms: [u64; Hook::LIFECYCLE.len()],
    home: PathBuf,
    workdir: PathBuf,
    config: Vec<(String, String)>,
    pin: HandlerSnapshot,
    /// None: `main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ManifestFile {
    format: u32,
    services: BTreeMap<String, ManifestEntry>,
}

impl ManifestEntry {
    /// Of a service that was found good.
    pub(crate) fn new(
        group: &GroupName,
        spec: &ServiceSpec,
        runnable: &Runnable,
        pin: HandlerSnapshot,
    ) -> ManifestEntry {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        ManifestEntry {
            priority: spec.priority,
            handler: spec.handler.clone(),
            // Whoever takes services down runs no `changed`.
            hooks: Hook::LIFECYCLE
                .iter()
                .filter(|hook| spec.hooks.has(**hook))
                .map(|hook| hook.as_str().to_owned())
                .collect(),
            timeouts_ms: Hook::LIFECYCLE.map(|hook| ms(spec.timeouts.of(hook))),
            home: runnable.home.clone(),
            workdir: runnable.workdir.clone(),
            config: runnable.config.clone(),
            pin,
            group: (!group.is_main()).then(|| group.to_string()),
        }
    }

    /// Its group.
    pub(crate) fn group(&self) -> GroupName {
        self.group.as_deref().and_then(|name| name.parse().ok()).unwrap_or_default()
    }

    /// For the core.
    pub(crate) fn spec(&self, name: &str) -> ServiceSpec {
        let hooks: HookSet = Hook::LIFECYCLE
            .into_iter()
            .filter(|hook| self.hooks.iter().any(|word| word == hook.as_str()))
            .collect();
        let [start, stop, promote, demote, status, failed] = self.timeouts_ms.map(Duration::from_millis);
        ServiceSpec {
            name: name.to_owned(),
            priority: self.priority,
            handler: self.handler.clone(),
            instance: FROM_MANIFEST,
            hooks,
            disabled: false,
            problem: None,
            timeouts: Timeouts { start, stop, promote, demote, status, failed, ..Timeouts::default() },
            // Whoever takes services down does not ask how they are.
            status_interval: Duration::from_secs(3600),
            policy: ServicePolicy::default(),
        }
    }

    /// How its hooks are run. Must be called within a tokio runtime.
    pub(crate) fn runnable(&self, host: &Host) -> Runnable {
        Runnable {
            instance: FROM_MANIFEST,
            handler: self.pin.handler(host),
            home: self.home.clone(),
            workdir: self.workdir.clone(),
            config: self.config.clone(),
            plugin_hash: self.pin.hash().map(str::to_owned),
            output: Default::default(),
            status_lines: Default::default(),
            counters: Default::default(),
        }
    }
}

impl TeardownManifest {
    /// Reads what the last run of the daemon has left: what it could not take down is taken down by the handlers that it had.
    pub(crate) fn left_over(host: &Host) -> TeardownManifest {
        let services = read(host).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!("{} cannot be read: {error}", path(host).display());
            }
            BTreeMap::new()
        });
        TeardownManifest { services, written: Vec::new() }
    }

    /// The services of these groups, as they were when they were last found good.
    pub(crate) fn of_groups(&self, groups: &BTreeSet<GroupName>) -> Vec<ScannedService> {
        let of_groups = self.services.iter().filter(|(_, kept)| groups.contains(&kept.group()));
        let seen = |(name, kept): (&String, &ManifestEntry)| ScannedService {
            group: kept.group(),
            spec: kept.spec(name),
            fingerprint: Fingerprint::default(),
        };
        of_groups.map(seen).collect()
    }

    /// How `service` was when it was last found good.
    pub(crate) fn entry(&self, service: &str) -> Option<&ManifestEntry> {
        self.services.get(service)
    }

    /// Forgets the services that `is_there` does not know.
    pub(crate) fn keep_only(&mut self, is_there: impl Fn(&str) -> bool) {
        self.services.retain(|name, _| is_there(name));
    }

    /// Takes the services that are good now. Those that are not, or have gone, stay as they were: what still runs of them
    /// is yet to be taken down.
    pub(crate) fn update(&mut self, good: impl IntoIterator<Item = (String, ManifestEntry)>) {
        self.services.extend(good);
    }

    /// Hashes of the plugins that are needed.
    pub(crate) fn hashes(&self) -> BTreeSet<String> {
        self.services.values().filter_map(|kept| kept.pin.hash()).map(str::to_owned).collect()
    }

    /// Replaces the file, if it says something else. Blocks on the disk. Whether it was replaced.
    pub(crate) fn write(&mut self, host: &Host) -> io::Result<bool> {
        let text = serde_json::to_vec(&ManifestFile { format: FORMAT, services: self.services.clone() })?;
        if self.written == text {
            return Ok(false);
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&host.dir)?;
        koi_files::replace(&path(host), &text, &PRIVATE)?;
        self.written = text;
        Ok(true)
    }
}

/// Where the file is.
pub(crate) fn path(host: &Host) -> PathBuf {
    host.dir.join("pins.json")
}

/// Reads what koid has left.
pub(crate) fn read(host: &Host) -> io::Result<BTreeMap<String, ManifestEntry>> {
    let mut text = Vec::new();
    koi_config::open_file(&path(host))?.read_to_end(&mut text)?;
    let written: ManifestFile = serde_json::from_slice(&text)?;
    match written.format {
        FORMAT => Ok(written.services),
        other => {
            Err(io::Error::other(format!("it has format {other}, and this koid knows format {FORMAT} only")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use koi_plugin_host::{Registry, discover};

    use super::*;
    use crate::testing::config;

    #[tokio::test]
    async fn a_service_that_is_broken_by_now_is_kept_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let service = folder.path().join("services/10-web");
        fs::create_dir_all(&service).unwrap();
        for hook in ["start", "stop", "demote"] {
            fs::write(service.join(hook), "#!/bin/sh\n").unwrap();
            fs::set_permissions(service.join(hook), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(service.join("service.toml"), "[config]\nkey = \"secret\"\n[timeouts]\nstop = \"7s\"\n")
            .unwrap();
        let config = config(folder.path());
        let host = Host::for_daemon(&config.node.state_dir);
        let registry = Registry::new(host.clone(), config.services.workingdir.clone());
        let look = || crate::services::scan::scan(&config, &registry, &BTreeMap::new(), None);

        let mut manifest = TeardownManifest::default();
        manifest.update(look().kept);
        assert!(manifest.write(&host).unwrap() && !manifest.write(&host).unwrap(), "once is enough");
        let mode = fs::metadata(path(&host)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "there are secrets in it");

        fs::write(service.join("service.toml"), "handler = \"gone\"\n").unwrap();
        let broken = look();
        assert!(broken.services[0].spec.problem.is_some() && broken.kept.is_empty());
        manifest.update(broken.kept);
        assert!(!manifest.write(&host).unwrap());
        let kept = &read(&host).unwrap()["web"];
        let spec = kept.spec("web");
        assert_eq!((spec.priority, spec.problem, spec.handler.as_str()), (Some(10), None, "shell"));
        assert_eq!(spec.hooks, [Hook::Start, Hook::Stop, Hook::Demote].into_iter().collect());
        assert_eq!(spec.timeouts.of(Hook::Stop), Duration::from_secs(7));
        let runnable = kept.runnable(&host);
        assert_eq!((runnable.handler.metadata().name.as_str(), &runnable.home), ("shell", &service));
        assert_eq!(runnable.config, [("key".to_owned(), "secret".to_owned())]);
        assert!(discover(&config.services.folder, &registry).unwrap().services[0].problem.is_some());
    }

    #[test]
    fn a_file_of_another_format_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::for_daemon(folder.path());
        assert_eq!(read(&host).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir_all(&host.dir).unwrap();
        fs::write(path(&host), "{\"format\":2,\"services\":{}}").unwrap();
        assert!(read(&host).unwrap_err().to_string().contains("format 2"));
    }
}
