//! What hooks cost, in the words of the API.

use koi_core::types::Hook;
use koi_proto::api;

use crate::api::states;
use crate::hooks::statistics::counters::{HandlerCounters, HookCount};

/// Of one service with one content of its handler.
pub(super) fn of_handler(counters: &HandlerCounters) -> api::HandlerStatistics {
    let named = |hook: Hook| (states::hook(hook), of_hook(counters.of(hook)));
    api::HandlerStatistics {
        hash: counters.hash.clone(),
        version: counters.version.clone(),
        since: counters.since,
        hooks: Hook::ALL.into_iter().map(named).filter(|(_, of)| of.calls > 0).collect(),
        memory_peak_bytes: counters.memory_peak_bytes(),
        memory_limit_bytes: counters.memory_limit_bytes(),
    }
}

fn of_hook(count: HookCount) -> api::HookStatistics {
    let HookCount {
        calls,
        failures,
        timed_out,
        crashed,
        aborted,
        no_room,
        total_us: time_total_us,
        longest_us: time_longest_us,
        last_us: time_last_us,
    } = count;
    api::HookStatistics {
        calls,
        failures,
        timed_out,
        crashed,
        aborted,
        no_room,
        time_total_us,
        time_longest_us,
        time_last_us,
    }
}
