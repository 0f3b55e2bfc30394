//! Keys of `koi.conf` whose work something better does now.

use std::path::Path;
use std::time::Duration;

use super::table::KEYS;
use crate::value::{Setting, ValueErrors};

/// A key whose work something better does now. It is checked, and has no effect.
pub(crate) struct Replaced {
    /// `section.name` in `koi.conf`.
    pub(crate) path: &'static str,
    /// Whether its value is valid.
    pub(crate) check: fn(&str) -> Result<(), ValueErrors>,
    /// What does its work now.
    pub(crate) why: &'static str,
}

const fn replaced(
    path: &'static str,
    check: fn(&str) -> Result<(), ValueErrors>,
    why: &'static str,
) -> Replaced {
    Replaced { path, check, why }
}

fn time(text: &str) -> Result<(), ValueErrors> {
    Duration::from_classic(text, Path::new("")).map(drop)
}

fn yes_or_no(text: &str) -> Result<(), ValueErrors> {
    bool::from_classic(text, Path::new("")).map(drop)
}

/// All of them.
pub(crate) const REPLACED: [Replaced; 12] = [
    replaced(
        "node.force_restart",
        yes_or_no,
        "a daemon that starts always takes up its node's state from disk",
    ),
    replaced("node.reuse_address", yes_or_no, "the port is always free again once the daemon has ended"),
    replaced("time.cluster_update_interval", time, "every change is sent when it happens"),
    replaced("time.state_update_interval", time, "every change is sent when it happens"),
    replaced("time.runner_tick_interval", time, "runners answer the leader's heartbeats (timing.heartbeat)"),
    replaced(
        "time.elector_tick_interval",
        time,
        "the election goes by timing.heartbeat and timing.leader_lease",
    ),
    replaced("time.elector_lost_time", time, "a runner knows by its lease when it has lost the leader"),
    replaced("time.elector_gone_time", time, "a master demotes when its lease ends (timing.master_lease)"),
    replaced(
        "time.quorum_demote_time",
        time,
        "a master without quorum demotes when its lease ends (timing.master_lease)",
    ),
    replaced("time.mainloop_sleep_time", time, "the daemon acts on events and does not poll"),
    replaced(
        "time.master_dead_time",
        time,
        "a master counts as dead when its lease and timing.demote_grace are over",
    ),
    replaced(
        "time.elector_startup_tolerance",
        time,
        "a new leader waits as long as earlier leases may last, no longer",
    ),
];

/// Every key that the format has, as `section.name`.
pub(crate) fn classic_names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(|key| key.classic).chain(REPLACED.iter().map(|known| known.path))
}
