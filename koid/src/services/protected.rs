//! Where koi's own files are, which no guest may change.

use std::path::{Path, PathBuf};

use koi_config::{ClusterKey, Config};
use koi_plugin_host::{Extent, Host, Protected};

/// What plugins share, for a daemon with its configuration in the file at `path`.
pub(crate) fn host(config: &Config, path: &Path) -> Host {
    Host { protected: protected(config, path), ..Host::for_daemon(&config.node.state_dir) }
}

/// Places of this node's koi.
pub(crate) fn protected(config: &Config, path: &Path) -> Vec<Protected> {
    let place = |path: PathBuf, extent, what| Protected { path, extent, what };
    let (key, extent) = match &config.cluster.key {
        ClusterKey::File(key) => (Some(key), Extent::File),
        ClusterKey::Password(_) => (None, Extent::Secret),
    };
    let keys = key.into_iter().chain(&config.cluster.accept_key_files).cloned();
    let programs = std::env::current_exe().into_iter().flat_map(|koid| [koid.with_file_name("koi"), koid]);
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folders = config.service_folders().map(|(group, folder)| match group.is_main() {
        true => place(folder.to_owned(), Extent::Folder, "the services folder"),
        false => place(folder.to_owned(), Extent::Folder, "the folder of a group's services"),
    });
    [
        place(config.node.socket.clone(), Extent::File, "koid's socket"),
        place(absolute, extent, "koid's configuration"),
    ]
    .into_iter()
    .chain(folders)
    .chain(config.plugins.dirs.iter().map(|dir| place(dir.clone(), Extent::Folder, "a folder of plugins")))
    .chain(keys.map(|key| place(key, Extent::Secret, "a key of the cluster")))
    .chain(programs.map(|program| place(program, Extent::File, "koi's program")))
    .collect()
}
