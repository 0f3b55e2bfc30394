//! A node with services of one component each, and calls of their hooks.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use koi_plugin_api::{
    AbortSignal, Call, CallAttributes, CallLog, Called, Circumstances, Context, Failure, Handler, Hook,
    LogLevel, NewestEpoch, NoCluster, Role, abort_pair,
};
use koi_plugin_host::{Facts, HandlerSnapshot, Host, Opened, Ready, Registry, Resolver, discover};
use tempfile::TempDir;

/// Lines that a test's log keeps; the others are only counted.
const LINES: usize = 1000;

/// A node's folders. Its registry is made anew for each service, as after a restart.
pub struct Node {
    folder: Arc<TempDir>,
    resolver: Resolver,
}

impl Node {
    /// An empty one.
    pub fn new() -> Node {
        Node { folder: Arc::new(TempDir::new().unwrap()), resolver: Resolver::default() }
    }

    /// An empty one that finds the addresses of names so.
    pub fn resolving(resolver: Resolver) -> Node {
        Node { resolver, ..Node::new() }
    }

    /// The same node after a restart of its daemon.
    pub fn restarted(&self) -> Node {
        Node { folder: self.folder.clone(), resolver: self.resolver.clone() }
    }

    /// What its plugins share.
    pub fn host(&self) -> Host {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_koi-plugin-helper"));
        let dir = self.folder.path().join("plugins");
        Host { program, dir, protected: Vec::new(), resolver: self.resolver.clone(), stand_in: None }
    }

    /// The folder of a service.
    pub fn home(&self, service: &str) -> PathBuf {
        self.folder.path().join("services").join(service)
    }

    /// Puts a component and a `service.toml` into a service's folder and opens its handler.
    pub fn open(&self, service: &str, component: &[u8], toml: &str) -> Result<Opened, String> {
        self.ready(service, component, toml).map(|ready| ready.opened)
    }

    /// What koid leaves to its guardian of a service that is well.
    pub fn snapshot(&self, service: &str, component: &[u8], toml: &str) -> HandlerSnapshot {
        self.ready(service, component, toml).unwrap().snapshot
    }

    fn ready(&self, service: &str, component: &[u8], toml: &str) -> Result<Ready, String> {
        self.install(service, component, toml);
        let services = self.folder.path().join("services");
        let registry = Registry::new(self.host(), services.clone());
        let found = discover(&services, &registry).unwrap().services;
        let found = found.into_iter().find(|found| found.name == service).unwrap();
        registry.open(&found).map_err(|error| error.to_string())
    }

    /// The handler of a service that is well.
    pub fn handler(&self, service: &str, component: &[u8], toml: &str) -> Arc<dyn Handler> {
        self.open(service, component, toml).unwrap().handler
    }

    /// Why a service cannot have that handler.
    pub fn refusal(&self, service: &str, component: &[u8], toml: &str) -> String {
        self.open(service, component, toml).err().unwrap()
    }

    /// What is known of a component, or why it cannot be loaded.
    pub fn facts(&self, component: &[u8]) -> Result<Facts, String> {
        self.install("facts", component, "");
        let registry = Registry::new(self.host(), self.folder.path().join("services"));
        let plugin = registry.plugin_in(&self.home("facts").join("handler.wasm")).unwrap();
        plugin.facts.ok_or_else(|| plugin.error.map(|error| error.to_string()).unwrap_or_default())
    }

    fn install(&self, service: &str, component: &[u8], toml: &str) {
        let home = self.home(service);
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join("handler.wasm"), component).unwrap();
        fs::write(home.join("service.toml"), toml).unwrap();
    }
}

/// Calls hooks of one handler. What begins with `with` gives another one, with the same log.
#[derive(Clone)]
pub struct Ask {
    handler: Arc<dyn Handler>,
    context: Context,
    abort: AbortSignal,
    newest_epoch: NewestEpoch,
    attributes: Arc<dyn CallAttributes>,
    /// What the calls say.
    pub log: Arc<Log>,
}

impl Ask {
    /// With time enough, epoch 0, and nobody who aborts.
    pub fn new(handler: &Arc<dyn Handler>) -> Ask {
        let context = Context {
            service: "sees".into(),
            node: "n1".into(),
            node_id: String::new(),
            cluster: "13".into(),
            call_id: 1,
            attempt: 1,
            role: Role::Promoted,
            node_state: "Master".into(),
            epoch: 0,
            master: Some(("n1".into(), "10.0.0.1".into())),
            timeout: Duration::from_secs(120),
            home: "/nowhere".into(),
            workdir: "/nowhere".into(),
            config: Vec::new(),
            cause: None,
            circumstances: Circumstances::default(),
            access: None,
        };
        let (_, abort) = abort_pair();
        Ask {
            handler: handler.clone(),
            context,
            abort,
            newest_epoch: NewestEpoch::default(),
            attributes: Arc::new(NoCluster),
            log: Arc::default(),
        }
    }

    pub fn with_timeout(&self, timeout: Duration) -> Ask {
        self.with_context(|context| context.timeout = timeout)
    }

    /// With these keys of `[config]`, in place of those that it has.
    pub fn with_config(&self, config: &[(&str, &str)]) -> Ask {
        let owned = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        self.with_context(|context| context.config = owned.collect())
    }

    pub fn with_cause(&self, cause: Failure) -> Ask {
        self.with_context(|context| context.cause = Some(cause))
    }

    pub fn with_context(&self, change: impl FnOnce(&mut Context)) -> Ask {
        let mut ask = self.clone();
        change(&mut ask.context);
        ask
    }

    pub fn with_abort(&self, abort: AbortSignal) -> Ask {
        Ask { abort, ..self.clone() }
    }

    pub fn with_epochs(&self, epoch: u64, newest: &NewestEpoch) -> Ask {
        Ask { newest_epoch: newest.clone(), ..self.with_context(|context| context.epoch = epoch) }
    }

    pub fn with_attributes(&self, attributes: Arc<dyn CallAttributes>) -> Ask {
        Ask { attributes, ..self.clone() }
    }

    /// The call.
    pub fn hook(&self, hook: Hook) -> Called {
        self.handler.call(Call {
            hook,
            context: self.context.clone(),
            log: self.log.clone(),
            abort: self.abort.clone(),
            newest_epoch: self.newest_epoch.clone(),
            attributes: self.attributes.clone(),
        })
    }
}

/// Keeps the first lines, and counts all.
#[derive(Default)]
pub struct Log(Mutex<(Vec<String>, usize)>);

impl Log {
    /// As in `Info text`.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().0.clone()
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().1
    }

    /// Waits until there are as many as are wanted.
    pub async fn wait_for(&self, is_enough: impl Fn(usize) -> bool) {
        let enough = async {
            while !is_enough(self.count()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), enough).await.expect("lines in the log");
    }
}

impl CallLog for Log {
    fn line(&self, level: LogLevel, text: &str) {
        let mut kept = self.0.lock().unwrap();
        kept.1 += 1;
        if kept.0.len() < LINES {
            kept.0.push(format!("{level:?} {text}"));
        }
    }
}
