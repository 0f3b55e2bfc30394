//! The services of the demo's nodes, and what they leave in the folder.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::local_cluster::folder::{Folder, NAMES, write};

/// A file of a node's services: where it goes in the node's folder, what is in it, whether it is a script.
type Script = (&'static str, &'static str);

/// What each node's folder has. `release` serves two hooks.
const SCRIPTS: [Script; 13] = [
    ("note", include_str!("services/note")),
    ("services/10-address/promote", include_str!("services/10-address/promote")),
    ("services/10-address/demote", include_str!("services/10-address/release")),
    ("services/10-address/stop", include_str!("services/10-address/release")),
    ("services/10-address/status", include_str!("services/10-address/status")),
    ("services/20-database/service.toml", include_str!("services/20-database/service.toml")),
    ("services/20-database/start", include_str!("services/20-database/start")),
    ("services/20-database/promote", include_str!("services/20-database/promote")),
    ("services/20-database/demote", include_str!("services/20-database/demote")),
    ("services/20-database/stop", include_str!("services/20-database/stop")),
    ("services/20-database/status", include_str!("services/20-database/status")),
    ("services/20-database/failed", include_str!("services/20-database/failed")),
    ("services/50-web", include_str!("services/50-web")),
];

/// Puts the services into each node's folder.
pub(crate) fn fill(folder: &Folder) -> io::Result<()> {
    write(&hooks_log(folder), "", 0o600)?;
    for name in NAMES {
        let home = folder.home(name);
        fs::create_dir_all(home.join("services/10-address"))?;
        fs::create_dir_all(home.join("services/20-database"))?;
        for (file, content) in SCRIPTS {
            write(&home.join(file), content, if file.ends_with(".toml") { 0o600 } else { 0o700 })?;
        }
    }
    Ok(())
}

/// While this file is there, the node's database says that it has failed.
pub(crate) fn broken(folder: &Folder, node: &str) -> PathBuf {
    folder.home(node).join("broken")
}

/// The log that the hooks of all nodes write to.
pub(crate) fn hooks_log(folder: &Folder) -> PathBuf {
    folder.path().join("hooks.log")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn each_node_has_the_services_and_may_run_them() {
        let folder = Folder::make("demo", false, fill).unwrap();
        let script = folder.home("c").join("services/20-database/status");
        assert_eq!(script.metadata().unwrap().permissions().mode() & 0o111, 0o100);
    }

    #[test]
    fn every_script_says_in_its_second_line_what_it_is() {
        for (file, content) in SCRIPTS.into_iter().filter(|(file, _)| !file.ends_with(".toml")) {
            let mut lines = content.lines();
            assert_eq!(lines.next(), Some("#!/bin/sh"), "{file}");
            assert!(lines.next().is_some_and(|line| line.starts_with("# ")), "{file}");
        }
    }
}
