//! What the configuration says, in the words of the core.

use std::collections::BTreeMap;
use std::time::Duration;

use koi_config::{Config, Electors, Fence, OnStopFailure, Quorum};
use koi_core::settings::{self as core, Settings};

/// The core's settings.
pub(crate) fn for_core(config: &Config) -> Settings {
    let electors = match &config.cluster.electors {
        None => core::Electors::Unknown,
        Some(Electors::Count(n)) => core::Electors::Count(*n),
        Some(Electors::Names(names)) => core::Electors::Names(names.clone()),
    };
    Settings {
        name: config.node.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        elector: config.node.elector,
        runner: config.node.runner,
        priority: config.node.priority,
        maintenance: config.node.maintenance,
        quorum: quorum(config.cluster.quorum, electors.count()),
        electors,
        heartbeat: config.timing.heartbeat,
        leader_lease: config.timing.leader_lease,
        master_lease: config.timing.master_lease,
        demote_grace: config.timing.demote_grace,
        initial_promotion_delay: config.timing.initial_promotion_delay,
        failure_promotion_timeout: config.timing.failure_promotion_timeout,
        auto_recover: config.services.auto_recover,
        auto_recover_time: config.services.auto_recover_time,
        auto_recover_wait_factor: config.services.auto_recover_wait_factor,
        failcount_reset: config.services.failcount_reset,
        block_on_stop_failure: config.services.on_stop_failure == OnStopFailure::Block,
        max_parallel: usize::try_from(config.services.max_parallel).unwrap_or(usize::MAX),
        fenced: config.node.fence != Fence::None,
        arms: config.node.fence == Fence::Watchdog,
        groups: config.groups.keys().filter(|name| !name.is_main()).cloned().collect(),
        placement: config.groups.iter().map(|(name, group)| (name.clone(), group.placement())).collect(),
        fences: fences(config),
    }
}

/// The nodes that can be turned off, and how long that may take.
fn fences(config: &Config) -> BTreeMap<String, Duration> {
    let fences = config.fence.iter();
    fences.flat_map(|f| f.nodes.keys().map(|name| (name.clone(), f.timeout))).collect()
}

/// How many electors must agree; zero: quorum is off.
fn quorum(configured: Quorum, electors: u16) -> u16 {
    match (configured, electors) {
        (Quorum::Off, _) | (Quorum::Majority, 0) => 0,
        (Quorum::Majority, n) => n / 2 + 1,
        (Quorum::Count(n), _) => n,
    }
}

/// How much is logged.
pub(crate) fn log_level(config: &Config, debug: bool) -> &str {
    let configured = config.node.log_level.as_deref().unwrap_or("info");
    if debug && configured != "trace" { "debug" } else { configured }
}

/// The default time-outs of hooks.
pub(crate) fn timeouts(config: &Config) -> core::Timeouts {
    let t = &config.services.timeouts;
    core::Timeouts {
        start: t.start,
        stop: t.stop,
        status: t.status,
        promote: t.promote,
        demote: t.demote,
        failed: t.failed,
        changed: t.changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_majority_of_the_electors_is_asked_for_unless_told_otherwise() {
        let majorities = [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)];
        for (electors, majority) in majorities {
            assert_eq!(quorum(Quorum::Majority, electors), majority, "of {electors}");
        }
        assert_eq!(quorum(Quorum::Majority, 0), 0, "unknown electors: off");
        assert_eq!(quorum(Quorum::Off, 3), 0);
        assert_eq!(quorum(Quorum::Count(3), 3), 3);
    }
}
