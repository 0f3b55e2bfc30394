//! Nothing repeats itself without a back-off: the hooks of a service, and promotions anywhere, are bounded in any span of time, whatever
//! scripts say and operators do.

use std::collections::{BTreeMap, VecDeque};

use koi_core::io::HookRun;
use koi_core::types::Hook;

use crate::world::MS;

/// What is looked at together.
const SPAN: u64 = 10_000 * MS;
/// Hooks of one kind of one service within that. Crashes and operators bring about a handful.
const BOUND: usize = 24;

#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    lately: BTreeMap<(usize, String, Hook), VecDeque<u64>>,
    /// How many of each kind have begun.
    total: BTreeMap<(usize, String, Hook), usize>,
    promotions: usize,
    newest: u64,
}

impl Pace {
    pub(super) fn check(&mut self, now: u64, machine: usize, run: &HookRun) -> Option<String> {
        let key = (machine, run.service.clone(), run.hook);
        *self.total.entry(key.clone()).or_default() += 1;
        if run.hook == Hook::Promote && run.epoch.0 > self.newest {
            self.newest = run.epoch.0;
            self.promotions += 1;
        }
        let lately = self.lately.entry(key).or_default();
        lately.push_back(now);
        while lately.front().is_some_and(|then| now - then > SPAN) {
            lately.pop_front();
        }
        (lately.len() > BOUND).then(|| {
            format!(
                "no patience at {now} µs: m{machine} runs {} of {} for the {}th time in {} s",
                run.hook.as_str(),
                run.service,
                lately.len(),
                SPAN / MS / 1000
            )
        })
    }

    /// How often this hook has begun, of the service for which it did most often.
    pub(super) fn most(&self, hook: Hook) -> usize {
        let of = |((_, _, kind), times): (&(usize, String, Hook), &usize)| (*kind == hook).then_some(*times);
        self.total.iter().filter_map(of).max().unwrap_or_default()
    }

    /// Under how many masterships something was promoted.
    pub(super) fn masterships(&self) -> usize {
        self.promotions
    }

    /// Counts anew.
    pub(super) fn restart(&mut self) {
        (self.total, self.promotions) = (BTreeMap::new(), 0);
    }
}
