//! What hooks cost: how often they were called, how that ended, how long it took, and how much memory it needed.
//!
//! The numbers are those of one run of koid, and of one content of a handler. They only grow, but for `time_last_us` and
//! `memory_limit_bytes`. A call is counted when it has ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::status::Hook;

/// What the hooks of one service have cost with one content of its handler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HandlerStatistics {
    /// SHA-256 of the plugin's file, in hexadecimal digits; none: scripts.
    pub hash: Option<String>,
    /// The handler's own version; of scripts: koi's.
    pub version: String,
    /// From when on it is counted, in seconds since 1970 by the wall clock: koid's start, or when this content became the handler.
    pub since: u64,
    /// By hook: those that were called.
    pub hooks: BTreeMap<Hook, HookStatistics>,
    /// The most memory at a time, in bytes. Of a component: of its own memory in one call, as `[limits]` counts it, without what koi holds
    /// for it. Of a native library: of its process, with koi's own part of some megabytes. None: scripts, or no call has said it yet.
    pub memory_peak_bytes: Option<u64>,
    /// `memory` of `[limits]` in the newest call, in bytes; none: nothing limits it, or no call has said it yet.
    pub memory_limit_bytes: Option<u64>,
}

/// The calls of one hook, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookStatistics {
    /// Calls that have ended, however they did.
    pub calls: u64,
    /// Those that failed; of `status`: or said that the service has.
    pub failures: u64,
    /// Those of the failures that were not done in time.
    pub timed_out: u64,
    /// Those of the failures in which the handler's code broke off: a trap, a panic, a lost process.
    pub crashed: u64,
    /// Calls that koi wanted to end early, which is no failure.
    pub aborted: u64,
    /// Calls for which the machine had no process, memory or open file left, which is no failure of the handler.
    pub no_room: u64,
    /// How long all calls together took, in microseconds: from when koi called until they had ended.
    pub time_total_us: u64,
    /// How long the longest call took, in microseconds.
    pub time_longest_us: u64,
    /// How long the newest call took, in microseconds.
    pub time_last_us: u64,
}

/// What a plugin has cost in all services of a node that run with it now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginStatistics {
    /// The earliest `since` of its services, in seconds since 1970.
    pub since: u64,
    /// Calls that have ended, however they did.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// How long all calls together took, in microseconds.
    pub time_total_us: u64,
    /// How long the longest call took, in microseconds.
    pub time_longest_us: u64,
    /// The most memory at a time in one of its services, in bytes; none: scripts, or no call has said it yet.
    pub memory_peak_bytes: Option<u64>,
}

impl HandlerStatistics {
    /// All hooks together.
    pub fn all_hooks(&self) -> HookStatistics {
        self.hooks.values().fold(HookStatistics::default(), |all, of| HookStatistics {
            calls: all.calls.saturating_add(of.calls),
            failures: all.failures.saturating_add(of.failures),
            timed_out: all.timed_out.saturating_add(of.timed_out),
            crashed: all.crashed.saturating_add(of.crashed),
            aborted: all.aborted.saturating_add(of.aborted),
            no_room: all.no_room.saturating_add(of.no_room),
            time_total_us: all.time_total_us.saturating_add(of.time_total_us),
            time_longest_us: all.time_longest_us.max(of.time_longest_us),
            // Nobody knows which call was the newest.
            time_last_us: 0,
        })
    }
}

impl PluginStatistics {
    /// Of these services; none: there is none.
    pub fn of<'s>(services: impl IntoIterator<Item = &'s HandlerStatistics>) -> Option<PluginStatistics> {
        let each = services.into_iter().map(|service| {
            let all = service.all_hooks();
            PluginStatistics {
                since: service.since,
                calls: all.calls,
                failures: all.failures,
                time_total_us: all.time_total_us,
                time_longest_us: all.time_longest_us,
                memory_peak_bytes: service.memory_peak_bytes,
            }
        });
        each.reduce(|one, other| PluginStatistics {
            since: one.since.min(other.since),
            calls: one.calls.saturating_add(other.calls),
            failures: one.failures.saturating_add(other.failures),
            time_total_us: one.time_total_us.saturating_add(other.time_total_us),
            time_longest_us: one.time_longest_us.max(other.time_longest_us),
            memory_peak_bytes: one.memory_peak_bytes.max(other.memory_peak_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_has_cost_what_its_services_have() {
        let hook = |calls, failures, time_longest_us| HookStatistics {
            calls,
            failures,
            time_total_us: calls * 10,
            time_longest_us,
            ..HookStatistics::default()
        };
        let service = |since, hooks: &[(Hook, HookStatistics)], memory_peak_bytes| HandlerStatistics {
            since,
            hooks: hooks.iter().cloned().collect(),
            memory_peak_bytes,
            ..HandlerStatistics::default()
        };
        let db = service(70, &[(Hook::Start, hook(1, 0, 10)), (Hook::Status, hook(5, 2, 30))], Some(900));
        let cache = service(50, &[(Hook::Status, hook(3, 0, 20))], None);
        let both = PluginStatistics {
            since: 50,
            calls: 9,
            failures: 2,
            time_total_us: 90,
            time_longest_us: 30,
            memory_peak_bytes: Some(900),
        };
        assert_eq!(PluginStatistics::of([&db, &cache]), Some(both));
        assert_eq!(PluginStatistics::of([]), None);
    }

    #[test]
    fn hooks_are_keys_by_their_names() {
        let hooks = [(Hook::Status, HookStatistics { calls: 3, ..HookStatistics::default() })];
        let of = HandlerStatistics { hooks: hooks.into_iter().collect(), ..HandlerStatistics::default() };
        let json = serde_json::to_value(&of).unwrap();
        assert_eq!(json["hooks"]["status"]["calls"], 3);
        assert_eq!(serde_json::from_value::<HandlerStatistics>(json).unwrap(), of);
    }
}
