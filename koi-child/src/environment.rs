//! What of koid's own environment scripts are given.

use std::ffi::{OsStr, OsString};

use nix::unistd::{User, geteuid};

/// For a daemon that was started without a `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Whether scripts are given this variable. Secrets that koid was started with stay with it, and so does what systemd has told
/// koid alone.
fn is_handed_on(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        matches!(name, "PATH" | "LANG" | "LANGUAGE" | "TZ" | "HOME") || name.starts_with("LC_")
    })
}

/// The variables that every script is given: those of this process that are handed on. `PATH` and `HOME` are always among them:
/// systemd sets no `HOME` for a daemon of root's.
pub fn environment() -> Vec<(OsString, OsString)> {
    let mut all: Vec<_> = std::env::vars_os().filter(|(name, _)| is_handed_on(name)).collect();
    let is_missing = |all: &[(OsString, OsString)], wanted: &str| !all.iter().any(|(name, _)| name == wanted);
    if is_missing(&all, "PATH") {
        all.push(("PATH".into(), DEFAULT_PATH.into()));
    }
    if is_missing(&all, "HOME") {
        all.push(("HOME".into(), home()));
    }
    all
}

/// The home of the user who runs this; `/` where nobody knows.
fn home() -> OsString {
    let user = User::from_uid(geteuid()).ok().flatten();
    user.map_or_else(|| "/".into(), |user| user.dir.into_os_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_koids_own_stays_with_it() {
        for name in
            ["NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC", "JOURNAL_STREAM", "KOI_SECRET", "MYSQL_PWD"]
        {
            assert!(!is_handed_on(OsStr::new(name)), "{name}");
        }
        for name in ["PATH", "HOME", "LANG", "LC_ALL", "TZ"] {
            assert!(is_handed_on(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn there_is_always_a_path_and_a_home() {
        for wanted in ["PATH", "HOME"] {
            assert!(
                environment().iter().any(|(name, value)| name == wanted && !value.is_empty()),
                "{wanted}"
            );
        }
    }
}
