//! Every key: its names in both formats, its meaning, and where its value goes. Readers, writers and the documentation
//! go by this table.

use std::path::Path;

use toml::de::DeValue;

use super::draft::Draft;
use crate::config::Group;
use crate::source::Format;
use crate::value::{Setting, ValueErrors};

/// The sections of `koi.toml`, in the order in which they are written.
pub(crate) const SECTIONS: [&str; 7] =
    ["node", "cluster", "timing", "services", "services.timeouts", "services.policy", "plugins"];
/// The section in which each group has one of its own.
pub(crate) const GROUPS: &str = "groups";
/// The sections of `koi.conf`.
pub(crate) const CLASSIC_SECTIONS: [&str; 4] = ["node", "cluster", "service", "time"];

/// The key whose value is never repeated.
pub(crate) const PASSWORD: &str = "cluster.password";

/// A key; its value lies in a `D`.
pub(crate) struct Key<D: 'static = Draft> {
    /// `section.name` in `koi.toml`. This is also how the code names a key.
    pub(crate) path: &'static str,
    /// `section.name` in `koi.conf`; none: it has no such key.
    pub(crate) classic: Option<&'static str>,
    /// What stands in a commented line for a key that is unset; empty: it always has a value.
    pub(crate) unset: &'static str,
    /// One line for people.
    pub(crate) meaning: &'static str,
    /// The value.
    pub(crate) field: &'static dyn Field<D>,
}

impl<D> Key<D> {
    /// Its section in `koi.toml`.
    pub(crate) fn section(&self) -> &'static str {
        split(self.path).0
    }

    /// Its name within the section.
    pub(crate) fn name(&self) -> &'static str {
        split(self.path).1
    }

    /// What people call it in a file of this format.
    pub(crate) fn display_name(&self, format: Format) -> &'static str {
        match format {
            Format::Toml => self.path,
            Format::Classic => self.classic.unwrap_or(self.path),
        }
    }
}

/// `section` and `name` of a path.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// What people call the key of this path in a file of this format.
pub(crate) fn display_name(path: &'static str, format: Format) -> &'static str {
    KEYS.iter().find(|key| key.path == path).map_or(path, |key| key.display_name(format))
}

/// The one of `candidates` that is most like `word`.
pub(crate) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> &'c str {
    candidates.min_by_key(|candidate| strsim::damerau_levenshtein(word, candidate)).unwrap_or_default()
}

/// A value within a draft, of whatever type.
pub(crate) trait Field<D>: Sync {
    /// Takes the value from `koi.toml`.
    fn read_toml(&self, draft: &mut D, value: &DeValue<'_>, folder: &Path) -> Result<(), ValueErrors>;
    /// Takes the value from `koi.conf`.
    fn read_classic(&self, draft: &mut D, text: &str, folder: &Path) -> Result<(), ValueErrors>;
    /// The value for `koi.toml`; none: it is unset.
    fn toml(&self, draft: &mut D) -> Option<String>;
    /// The value for `koi.conf`; none: it is unset, or cannot be said there.
    fn classic(&self, draft: &mut D) -> Option<String>;
}

/// The way to a value of a certain type.
struct Accessor<D: 'static, T: 'static>(fn(&mut D) -> &mut T);

impl<D, T: Setting> Field<D> for Accessor<D, T> {
    fn read_toml(&self, draft: &mut D, value: &DeValue<'_>, folder: &Path) -> Result<(), ValueErrors> {
        *(self.0)(draft) = T::from_toml(value, folder)?;
        Ok(())
    }

    fn read_classic(&self, draft: &mut D, text: &str, folder: &Path) -> Result<(), ValueErrors> {
        *(self.0)(draft) = T::from_classic(text, folder)?;
        Ok(())
    }

    fn toml(&self, draft: &mut D) -> Option<String> {
        (self.0)(draft).toml()
    }

    fn classic(&self, draft: &mut D) -> Option<String> {
        (self.0)(draft).classic()
    }
}

macro_rules! keys {
    ($values:ty: $($path:literal, $classic:expr, $unset:literal, $meaning:literal, $at:expr;)*) => {
        &[$(Key { path: $path, classic: $classic, unset: $unset, meaning: $meaning, field: &Accessor::<$values, _>($at) }),*]
    };
}

/// All of them, in the order in which they are written.
pub(crate) static KEYS: &[Key] = keys! { Draft:
    "node.name", Some("node.name"), "\"<host name>\"",
        "what people call this node", |d| &mut d.name;
    "node.elector", Some("node.elector"), "",
        "whether it votes", |d| &mut d.rest.node.elector;
    "node.runner", Some("node.runner"), "",
        "whether it runs services", |d| &mut d.rest.node.runner;
    "node.priority", Some("node.priority"), "",
        "rank in the election; higher first", |d| &mut d.rest.node.priority;
    "node.bind", Some("node.bind"), "",
        "the address to listen on", |d| &mut d.bind;
    "node.port", Some("node.port"), "",
        "UDP: cluster; TCP: API from afar", |d| &mut d.rest.node.port;
    "node.increment_port", Some("node.increment_port"), "",
        "take the next free port if this one is in use", |d| &mut d.rest.node.increment_port;
    "node.state_dir", Some("node.state_dir"), "\"/var/lib/koi\"",
        "keeps what must survive a restart", |d| &mut d.state_dir;
    "node.socket", Some("node.socket"), "\"/run/koi/koid.sock\"",
        "API on this machine", |d| &mut d.socket;
    "node.fence", None, "",
        "none, watchdog or reboot: if something cannot be demoted in time", |d| &mut d.rest.node.fence;
    "node.watchdog", None, "",
        "the device of fence = \"watchdog\"", |d| &mut d.rest.node.watchdog;
    "node.maintenance", Some("node.maintenance"), "",
        "run no hooks, be no candidate", |d| &mut d.rest.node.maintenance;
    "node.log_level", Some("node.loglevel"), "\"info\"",
        "error, warn, info, debug or trace", |d| &mut d.log_level;
    "cluster.id", Some("cluster.id"), "",
        "tells clusters on one port or multicast group apart", |d| &mut d.rest.cluster.id;
    "cluster.electors", None, "3",
        "how many electors there are, or a list of their names; unset: quorum is off", |d| &mut d.rest.cluster.electors;
    "cluster.quorum", Some("cluster.quorum"), "",
        "electors needed: majority, a number, or off (0 in koi.conf)", |d| &mut d.rest.cluster.quorum;
    "cluster.transport", Some("cluster.transport"), "",
        "where the others are: IP, IP:port, [IPv6]:port, multicast", |d| &mut d.transport;
    "cluster.key_file", None, "\"/etc/koi/cluster.key\"",
        "the key, made by `koi keygen`; this or a password", |d| &mut d.key_file;
    "cluster.password", Some("cluster.password"), "\"…\"",
        "instead of a key file", |d| &mut d.password;
    "cluster.accept_key_files", None, "",
        "further keys that are accepted, while rotating", |d| &mut d.rest.cluster.accept_key_files;
    "timing.heartbeat", None, "",
        "how often the leader speaks", |d| &mut d.rest.timing.heartbeat;
    "timing.leader_lease", None, "",
        "how long electors stay with a silent leader; at least 3 heartbeats", |d| &mut d.rest.timing.leader_lease;
    "timing.master_lease", None, "",
        "how long a master may go on unheard; at least leader_lease + 3 heartbeats", |d| &mut d.rest.timing.master_lease;
    "timing.demote_grace", None, "",
        "by when a runner that lost its lease is surely down", |d| &mut d.rest.timing.demote_grace;
    "timing.initial_promotion_delay", Some("time.initial_promotion_delay"), "",
        "how long a starting cluster waits for better candidates", |d| &mut d.rest.timing.initial_promotion_delay;
    "timing.failure_promotion_timeout", Some("time.failure_promotion_timeout"), "",
        "how long a runner that has failed is passed over", |d| &mut d.rest.timing.failure_promotion_timeout;
    "timing.status_interval", Some("time.status_interval"), "",
        "how often status runs", |d| &mut d.rest.timing.status_interval;
    "services.folder", Some("service.folder"), "",
        "where the services are", |d| &mut d.rest.services.folder;
    "services.workingdir", Some("service.workingdir"), "\"/etc/koi/services\"",
        "where single-file services run; unset: the services folder", |d| &mut d.workingdir;
    "services.auto_recover", Some("service.auto_recover"), "",
        "how often a failed node tries again by itself; 0: never", |d| &mut d.rest.services.auto_recover;
    "services.auto_recover_time", Some("time.auto_recover_time"), "",
        "how long it waits before it does", |d| &mut d.rest.services.auto_recover_time;
    "services.auto_recover_wait_factor", Some("service.auto_recover_wait_factor"), "",
        "by what that grows with each try, 1 to 8", |d| &mut d.rest.services.auto_recover_wait_factor;
    "services.failcount_reset", Some("time.failcount_reset"), "",
        "time without failure after which tries count anew", |d| &mut d.rest.services.failcount_reset;
    "services.on_stop_failure", None, "",
        "block: nobody takes over from a node whose stop failed; or ignore", |d| &mut d.rest.services.on_stop_failure;
    "services.max_parallel", None, "",
        "hooks running at once", |d| &mut d.rest.services.max_parallel;
    "services.timeouts.start", Some("service.start_timeout"), "",
        "how long start may take", |d| &mut d.rest.services.timeouts.start;
    "services.timeouts.stop", Some("service.stop_timeout"), "",
        "how long stop may take", |d| &mut d.rest.services.timeouts.stop;
    "services.timeouts.status", Some("service.status_timeout"), "",
        "how long status may take", |d| &mut d.rest.services.timeouts.status;
    "services.timeouts.promote", Some("service.promote_timeout"), "",
        "how long promote may take", |d| &mut d.rest.services.timeouts.promote;
    "services.timeouts.demote", Some("service.demote_timeout"), "",
        "how long demote may take", |d| &mut d.rest.services.timeouts.demote;
    "services.timeouts.failed", Some("service.failed_timeout"), "",
        "how long failed may take", |d| &mut d.rest.services.timeouts.failed;
    "services.timeouts.changed", None, "",
        "how long changed may take, and no longer than until the next status", |d| &mut d.rest.services.timeouts.changed;
    "services.policy.status_failures", None, "",
        "bad statuses in a row with which a service has failed, 1 to 1000", |d| &mut d.rest.services.policy.status_failures;
    "services.policy.status_retry", None, "",
        "how soon status runs again after a bad one that was not the last", |d| &mut d.rest.services.policy.status_retry;
    "services.policy.restarts", None, "",
        "how often a service that has failed is restarted in place within restart_window, 0 to 100", |d| &mut d.rest.services.policy.restarts;
    "services.policy.restart_window", None, "",
        "in which restarts are counted", |d| &mut d.rest.services.policy.restart_window;
    "services.policy.restart_timeout", None, "",
        "how long a restart may take, with all services above it", |d| &mut d.rest.services.policy.restart_timeout;
    "services.policy.critical", None, "",
        "false: a service that fails is tried again by itself, and its node goes on", |d| &mut d.rest.services.policy.critical;
    "plugins.dirs", None, "",
        "where plugins are looked for", |d| &mut d.rest.plugins.dirs;
    "plugins.trusted_keys", None, "",
        "public keys of minisign: whose signatures of plugins count", |d| &mut d.rest.plugins.trusted_keys;
    "plugins.require_signature", None, "",
        "refuse plugins that none of these keys has signed; scripts have no signatures", |d| &mut d.rest.plugins.require_signature;
};

/// The keys of each `[groups.NAME]`, in the order in which they are written. Their paths are those of a group called NAME.
pub(crate) static GROUP_KEYS: &[Key<Group>] = keys! { Group:
    "groups.NAME.folder", None, "\"/etc/koi/groups/NAME\"",
        "where the group's services are; `main` has `services.folder`", |group| &mut group.folder;
    "groups.NAME.preference", None, "",
        "how gladly this node is made its master, 0 to 1000; 0: never", |group| &mut group.preference;
    "groups.NAME.apart_from", None, "",
        "its master is not where the masters of these groups are, if another node can be master", |group| &mut group.apart_from;
    "groups.NAME.together_with", None, "\"main\"",
        "its master is where this group's master is, and nowhere else; unset: wherever", |group| &mut group.together_with;
    "groups.NAME.failback", None, "",
        "how long a node of higher preference has been ready before the master moves back to it; or off", |group| &mut group.failback;
    "groups.NAME.score_slack", None, "",
        "scores that differ by no more count as equal", |group| &mut group.score_slack;
};

#[cfg(test)]
mod tests {
    use super::*;

    /// The line of docs/configuration.md that says what a key is.
    fn row(key: &Key) -> String {
        let default = match key.path {
            "cluster.electors" | "cluster.key_file" | "cluster.password" => "none".to_owned(),
            _ => {
                let value = key.field.toml(&mut Draft::new(Format::Toml));
                format!("`{}`", value.as_deref().unwrap_or(key.unset))
            }
        };
        let classic = key.classic.map_or("–".to_owned(), |path| format!("`{path}`"));
        format!("| `{}` | {default} | {classic} | {} |", key.name(), key.meaning)
    }

    fn group_row(key: &Key<Group>) -> String {
        let value = key.field.toml(&mut Group::new(&"NAME".parse().unwrap()));
        let default = value.map_or("none".to_owned(), |value| format!("`{value}`"));
        format!("| `{}` | {default} | – | {} |", key.name(), key.meaning)
    }

    #[test]
    fn the_documentation_has_every_key_as_it_is() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let text = std::fs::read_to_string(path).unwrap();
        let of_groups = GROUP_KEYS.iter().map(group_row);
        let rows: Vec<String> = KEYS.iter().map(row).chain(of_groups).collect();
        let missing: Vec<&String> = rows.iter().filter(|row| !text.contains(*row)).collect();
        assert!(missing.is_empty(), "these lines belong into docs/configuration.md: {missing:#?}");
        for replaced in crate::keys::REPLACED {
            assert!(
                text.contains(&format!("| `{}` | {} |", replaced.path, replaced.why)),
                "{}",
                replaced.path
            );
        }
    }

    #[test]
    fn every_key_stands_in_a_known_section() {
        for key in KEYS {
            assert!(SECTIONS.contains(&key.section()), "{}", key.path);
            assert!(key.classic.is_none_or(|path| CLASSIC_SECTIONS.contains(&split(path).0)), "{}", key.path);
        }
    }
}
