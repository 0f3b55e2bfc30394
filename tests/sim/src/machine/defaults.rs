//! A service and a configuration as they usually are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use koi_core::io::{HandlerInstance, ServiceSpec};
use koi_core::policy::ServicePolicy;
use koi_core::settings::{Electors, Settings, Timeouts};
use koi_core::types::HookSet;

/// A service with every hook; `"10-a"` has a priority, `"a"` has none.
pub fn service(name: &str) -> ServiceSpec {
    let (priority, name) = match name.split_once('-') {
        Some((number, name)) => (Some(number.parse().expect("a priority is a number")), name),
        None => (None, name),
    };
    ServiceSpec {
        name: name.to_owned(),
        priority,
        handler: "test".to_owned(),
        instance: HandlerInstance::default(),
        hooks: HookSet::LIFECYCLE,
        disabled: false,
        problem: None,
        timeouts: Timeouts::default(),
        status_interval: Duration::from_secs(10),
        policy: ServicePolicy::default(),
    }
}

/// The defaults of the documentation, for a node that votes and runs services. `electors`: how many vote.
pub fn settings(name: &str, electors: u16) -> Settings {
    let ms = Duration::from_millis;
    Settings {
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        elector: true,
        runner: true,
        priority: 0,
        maintenance: false,
        electors: Electors::Count(electors),
        quorum: electors / 2 + 1,
        heartbeat: ms(100),
        leader_lease: ms(500),
        master_lease: ms(1000),
        demote_grace: ms(1000),
        initial_promotion_delay: ms(5000),
        failure_promotion_timeout: ms(60_000),
        auto_recover: 120,
        auto_recover_time: ms(10_000),
        auto_recover_wait_factor: 1,
        failcount_reset: Duration::from_secs(1800),
        block_on_stop_failure: true,
        max_parallel: 64,
        fenced: false,
        arms: false,
        groups: BTreeSet::new(),
        placement: BTreeMap::new(),
        fences: BTreeMap::new(),
    }
}
