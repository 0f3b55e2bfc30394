//! The file of a native plugin, and the program that loads it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::subcommand::NATIVE;

/// What of koid's environment a helper has.
const ENVIRONMENT: [&str; 2] = ["PATH", "LANG"];

/// What it takes to start a helper.
#[derive(Clone, Debug)]
pub(crate) struct LibrarySource {
    /// koid's program.
    pub(crate) program: PathBuf,
    /// The copy that is loaded.
    pub(crate) pinned: PathBuf,
    /// Where it was found, for messages.
    pub(crate) path: PathBuf,
}

impl LibrarySource {
    /// The command of a helper that loads it. `service` is for whoever looks at a list of processes.
    pub(crate) fn command(&self, service: &str, workdir: &Path) -> Command {
        let environment = ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut command = koi_child::command(&self.program);
        command
            .arg(NATIVE)
            .arg(&self.pinned)
            .arg(service)
            .env_clear()
            .envs(environment)
            .current_dir(if workdir.is_dir() { workdir } else { Path::new("/") });
        command
    }

    /// A text of the helper or the dynamic loader, which know the copy only, for people.
    pub(crate) fn explain(&self, text: &str) -> String {
        format!("{}: {}", self.path.display(), self.with_own_path(text))
    }

    /// The same text with the plugin's path in place of its copy's.
    pub(crate) fn with_own_path(&self, text: &str) -> String {
        let (pinned, path) = (self.pinned.display().to_string(), self.path.display().to_string());
        text.replace(&format!("{pinned}: "), "").replace(&pinned, &path)
    }
}
