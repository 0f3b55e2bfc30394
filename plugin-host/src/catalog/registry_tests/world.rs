//! Plugins whose code is a few words of text, in folders of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use koi_artifact::Store;
use koi_plugin_api::{Called, ConfigKey, Handler, Hook, Metadata};
use tempfile::TempDir;

use crate::backend::code::{Code, HandlerError, Opened};
use crate::backend::wasm::load::compile::CompileError;
use crate::backend::wasm::load::machine_code::MachineCodeError;
use crate::backend::{LoadError, Loader, PluginFile};
use crate::catalog::registry::Registry;
use crate::catalog::storage::sources::Sources;
use crate::granted::Granted;
use crate::host::Host;
use crate::plugin::{Facts, Setup};
use crate::service::definition::Found;
use crate::service::discover::discover;

/// A file says the plugin's name, then the keys of `[config]` that it requires; `broken` cannot be loaded, and a service with
/// `refuse` under `[config]` is refused.
struct Fake(Facts);

struct Idle(Metadata);

impl Handler for Idle {
    fn metadata(&self) -> Metadata {
        self.0.clone()
    }

    fn call(&self, _: koi_plugin_api::Call) -> Called {
        Box::pin(std::future::pending())
    }
}

impl Code for Fake {
    fn facts(&self) -> &Facts {
        &self.0
    }

    fn open(&self, setup: &Setup<'_>) -> Result<Opened, HandlerError> {
        if setup.config.iter().any(|(key, _)| key == "refuse") {
            return Err(HandlerError::NoSandbox { section: "grants", plugin: "fake".into() });
        }
        let handler = Arc::new(Idle(self.0.metadata.clone()));
        Ok(Opened {
            handler,
            granted: vec![Granted::entry("all", "", format_args!("of {}", setup.home.display()))],
            limits: Vec::new(),
            resolved: Default::default(),
        })
    }
}

pub(super) fn broken(source: &PluginFile<'_>) -> LoadError {
    let error = MachineCodeError::Compile(CompileError::Said("it is broken".into()));
    LoadError::Component { path: source.path.to_owned(), source: error.into() }
}

pub(super) struct World {
    folder: TempDir,
    loads: Arc<AtomicUsize>,
}

impl World {
    pub(super) fn new() -> World {
        let world = World { folder: TempDir::new().unwrap(), loads: Arc::default() };
        for folder in ["first", "second", "services"] {
            fs::create_dir(world.path(folder)).unwrap();
        }
        world
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file there, as a package manager does: written beside and renamed.
    pub(super) fn put(&self, name: &str, text: &str) -> &World {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let beside = path.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(&beside, &path).unwrap();
        self
    }

    pub(super) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    pub(super) fn registry(&self) -> Registry {
        let (loads, host) = (
            self.loads.clone(),
            Host {
                program: "/bin/false".into(),
                dir: self.path("state"),
                protected: Vec::new(),
                resolver: Default::default(),
                stand_in: None,
            },
        );
        let loader: Loader = Arc::new(move |source: &PluginFile<'_>| {
            loads.fetch_add(1, Ordering::SeqCst);
            let text = String::from_utf8_lossy(source.bytes).into_owned();
            let mut words = text.split_whitespace().map(str::to_owned);
            let name = words.next().unwrap_or_default();
            assert_ne!(name, "panics", "as a test wants it");
            if name == "broken" {
                return Err(broken(source));
            }
            let key = |name| ConfigKey { name, required: true, ..ConfigKey::default() };
            let metadata = Metadata {
                name,
                version: "1".into(),
                hooks: [Hook::Stop].into_iter().collect(),
                config: words.map(key).collect(),
                ..Metadata::default()
            };
            Ok(Arc::new(Fake(Facts { metadata, api: "fake".into(), ..Facts::default() })))
        });
        self.again(&Registry::new(host, self.path("services")).with_loader(loader))
    }

    pub(super) fn sources(&self) -> Sources {
        Sources {
            pulled: Store::in_state(&self.path("state")),
            ..Sources::from_dirs(vec![self.path("first"), self.path("second")])
        }
    }

    pub(super) fn again(&self, registry: &Registry) -> Registry {
        registry.load(self.sources(), self.path("services"))
    }

    /// Looks, and opens every service: the number of each one's handler, or why it has none.
    pub(super) fn look(&self, registry: &Registry) -> Vec<(String, Result<u64, String>)> {
        let found = discover(&self.path("services"), registry).unwrap();
        let open = |found: &Found| registry.open(found).map(|ready| ready.number).map_err(|e| e.to_string());
        found.services.iter().map(|found| (found.name.clone(), open(found))).collect()
    }

    pub(super) fn number(&self, registry: &Registry) -> u64 {
        self.look(registry)[0].1.clone().unwrap()
    }

    pub(super) fn problem(&self, registry: &Registry) -> String {
        self.look(registry)[0].1.clone().unwrap_err()
    }

    pub(super) fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }
}

pub(super) fn names(registry: &Registry) -> Vec<(String, bool)> {
    registry.plugins().into_iter().map(|plugin| (plugin.name, plugin.ready)).collect()
}

pub(super) fn pair(name: &str, ready: bool) -> (String, bool) {
    (name.to_owned(), ready)
}
