//! A program that sleeps, what it has started, and whether any of that goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

/// A script that writes its own id and that of a child into a file, and then waits for the child.
pub(crate) struct Sleeper {
    pub(crate) dir: TempDir,
}

impl Sleeper {
    pub(crate) fn new(rest: &str) -> Sleeper {
        let sleeper = Sleeper { dir: tempfile::tempdir().unwrap() };
        let ids = sleeper.ids();
        let text =
            format!("#!/bin/sh\nsleep 1000 &\necho $$ $! > {0}.new\nmv {0}.new {0}\n{rest}\n", ids.display());
        fs::write(sleeper.program(), text).unwrap();
        fs::set_permissions(sleeper.program(), fs::Permissions::from_mode(0o755)).unwrap();
        sleeper
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.dir.path().join("sleeper")
    }

    pub(crate) fn ids(&self) -> PathBuf {
        self.dir.path().join("ids")
    }

    pub(crate) fn grant(&self) -> String {
        format!("exec = [\"{}\"]", self.program().display())
    }

    /// The ids of what is [`FAR_AWAY`].
    pub(crate) fn far_away(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.program().with_extension("far")).unwrap();
        text.split_whitespace().map(|id| id.parse().unwrap()).collect()
    }

    /// Waits until it runs, and gives the ids.
    pub(crate) async fn started(&self) -> Vec<i32> {
        wait_until("the program runs", || self.ids().exists()).await;
        let text = fs::read_to_string(self.ids()).unwrap();
        text.split_whitespace().map(|id| id.parse().unwrap()).collect()
    }
}

pub(crate) async fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// Whether it is there and more than a zombie.
pub(crate) fn runs(id: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub(crate) async fn all_are_gone(ids: &[i32]) {
    wait_until("all processes are gone", || !ids.iter().any(|id| runs(*id))).await;
}

/// Starts, out of a script, what nobody waits for: a child in a session of its own, whose child is in another one, whose parent is gone.
/// Each writes its id into the file `far`.
pub(crate) const FAR_AWAY: &str = "setsid sh -c 'echo $$ >> $0.far; setsid sleep 1000 & echo $! >> $0.far; exec sleep 1000' $0 </dev/null >/dev/null 2>&1 &
( ( setsid sh -c 'echo $$ >> $0.far; exec sleep 1000' $0 & ) & )
until [ $(cat $0.far 2>/dev/null | wc -l) = 3 ]; do sleep 0.02; done";

/// The brokers of this process that run programs of `service`.
pub(crate) fn brokers(service: &str) -> Vec<i32> {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_one = |id: &i32| {
        let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default();
        words.get(1..3) == Some(&[b"plugin-exec", service.as_bytes()]) && parent.trim() == own
    };
    ids.filter(is_one).collect()
}
