//! Plugin files of a test, and what `koi plugins` says of them.

use std::fs;
use std::path::{Path, PathBuf};

use koi_cluster_tests::{Cluster, Node};
use koi_proto::api::{Plugin, PluginDetail};
use tempfile::TempDir;

/// A folder for `plugins.dirs`.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Default for Folder {
    fn default() -> Folder {
        Folder(tempfile::tempdir().expect("a folder can be made"))
    }
}

impl Folder {
    /// The value of `plugins.dirs`.
    pub fn setting(&self) -> String {
        format!("[{:?}]", self.0.path().display().to_string())
    }

    /// Where a plugin is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts a plugin there, or another one in its place.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        replace(&self.path(name), bytes);
    }
}

/// Puts a file in its place all at once, as a package manager does.
pub fn replace(path: &Path, bytes: &[u8]) {
    let beside = path.with_extension("new");
    fs::write(&beside, bytes).expect("a file can be written");
    fs::rename(&beside, path).expect("a file can be renamed");
}

/// What `koi plugins list` says of one plugin.
pub fn listed(node: &Node, name: &str) -> Option<Plugin> {
    let shown = node.koi(&["-o", "json", "plugins", "list"]);
    let all: Vec<Plugin> = serde_json::from_str(shown.exits(0)).expect("a list of plugins");
    all.into_iter().find(|plugin| plugin.name == name)
}

/// What `koi plugins inspect` says.
pub fn inspected(node: &Node, name: &str) -> PluginDetail {
    let shown = node.koi(&["-o", "json", "plugins", "inspect", name]);
    serde_json::from_str(shown.exits(0)).expect("a plugin")
}

/// The message that the status shows for a service on a node.
pub fn message(cluster: &Cluster, node: &str, service: &str) -> Option<String> {
    let services = cluster.status_of(node)?.services?;
    services.into_iter().find(|s| s.name == service)?.message
}
