//! Lets the probes of `tests/plugins/guests` try something under some grants.

use std::path::PathBuf;
use std::sync::Arc;

use koi_plugin_api::{Handler, Hook, HookError, Outcome};

use crate::guests::node::{Ask, Node};

/// One of the probes on a node of its own.
pub(crate) struct Probe {
    pub(crate) node: Node,
    component: Vec<u8>,
    /// What its grants must be so that it can be loaded at all, by key.
    needed: &'static [(&'static str, &'static str)],
}

/// What came of a try.
#[derive(Debug)]
pub(crate) struct Tried {
    /// What the guest found, or its error.
    pub(crate) result: Result<String, String>,
    /// What else was written to the log.
    pub(crate) log: Vec<String>,
}

impl Probe {
    /// The one that tries files, variables and the store. None: it is not built.
    pub(crate) fn plain() -> Option<Probe> {
        Probe::find("probe", &[])
    }

    /// The one that tries sockets, HTTP and programs. It imports all of that, so something of each must be granted.
    pub(crate) fn net() -> Option<Probe> {
        let needed = &[
            ("tcp", "tcp = [\"127.0.0.1:1\"]"),
            ("udp", "udp = [\"127.0.0.1:1\"]"),
            ("lookup", "lookup = true"),
            ("exec", "exec = [\"/bin/true\"]"),
            ("http", "http = [\"127.0.0.1:1\"]"),
        ];
        Probe::find("probe-net", needed)
    }

    fn find(name: &str, needed: &'static [(&'static str, &'static str)]) -> Option<Probe> {
        let built = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../plugins/examples/target");
        let folder = std::env::var_os("KOI_GUESTS").map_or_else(built, PathBuf::from);
        let path = folder.join(format!("{name}.wasm"));
        match std::fs::read(&path) {
            Ok(component) => Some(Probe { node: Node::new(), component, needed }),
            Err(_) => {
                koi_testkit::skip(&format!(
                    "{} is not there; `plugins/examples/build {name}` makes it",
                    path.display()
                ));
                None
            }
        }
    }

    /// The same on another node.
    pub(crate) fn on(self, node: Node) -> Probe {
        Probe { node, ..self }
    }

    /// Loads it with these lines of `[grants]`, and what it needs besides.
    pub(crate) fn open(&self, grants: &str, op: &str) -> Result<Arc<dyn Handler>, String> {
        self.open_with(&self.with_what_it_needs(grants), op)
    }

    /// Loads it for `service`, with these lines of `[config]`.
    pub(crate) fn open_configured(&self, service: &str, grants: &str, config: &str) -> Arc<dyn Handler> {
        let toml = format!("[config]\n{config}\n[grants]\n{}\n", self.with_what_it_needs(grants));
        self.node.open(service, &self.component, &toml).unwrap().handler
    }

    /// Loads it as the handler of this service, with these lines of `[grants]`, and what it needs besides.
    pub(crate) fn open_as(&self, service: &str, grants: &str, op: &str) -> Arc<dyn Handler> {
        self.try_as(service, grants, "", op).unwrap()
    }

    /// As `open_as`, with these lines of `[limits]`.
    pub(crate) fn try_as(
        &self,
        service: &str,
        grants: &str,
        limits: &str,
        op: &str,
    ) -> Result<Arc<dyn Handler>, String> {
        let lines = self.with_what_it_needs(grants);
        let toml = format!("[config]\nop = {op:?}\n[grants]\n{lines}\n[limits]\n{limits}\n");
        self.node.open(service, &self.component, &toml).map(|opened| opened.handler)
    }

    fn with_what_it_needs(&self, grants: &str) -> String {
        let is_set = |key: &str| grants.lines().any(|line| line.starts_with(&format!("{key} =")));
        let besides = self.needed.iter().filter(|(key, _)| !is_set(key)).map(|(_, line)| *line);
        besides.chain([grants]).collect::<Vec<_>>().join("\n")
    }

    /// Loads it with exactly these lines of `[grants]`.
    pub(crate) fn open_with(&self, grants: &str, op: &str) -> Result<Arc<dyn Handler>, String> {
        let toml = format!("[config]\nop = {op:?}\n[grants]\n{grants}\n");
        self.node.open("probe", &self.component, &toml).map(|opened| opened.handler)
    }

    /// Lets it try `op` under these grants.
    pub(crate) async fn tries(&self, grants: &str, op: &str) -> Tried {
        let handler = self.open(grants, op).unwrap_or_else(|why| panic!("{op} under {grants}: {why}"));
        let ask = Ask::new(&handler);
        let result = match ask.hook(Hook::Start).await {
            Ok(Outcome::Done) => Ok(String::new()),
            Err(HookError::Failed(why)) => Err(why),
            other => panic!("{op}: {other:?}"),
        };
        let (found, log) =
            ask.log.lines().into_iter().partition::<Vec<_>, _>(|line| line.starts_with("Info found: "));
        let result = result.map(|_| found.concat().trim_start_matches("Info found: ").to_owned());
        Tried { result, log }
    }

    /// What it finds when it may.
    pub(crate) async fn finds(&self, grants: &str, op: &str) -> String {
        let tried = self.tries(grants, op).await;
        tried.result.as_ref().unwrap_or_else(|_| panic!("{op} under {grants}: {tried:?}")).clone()
    }

    /// Its error when it may not, and what the log says of it.
    pub(crate) async fn fails(&self, grants: &str, op: &str) -> (String, String) {
        let tried = self.tries(grants, op).await;
        match tried.result {
            Ok(found) => panic!("{op} under {grants}: it should not have found {found:?}"),
            Err(why) => (why, tried.log.join("\n")),
        }
    }
}
