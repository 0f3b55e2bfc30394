//! A service is restarted in place no more often than it may be, and a restart is over in time, and at once when the lease is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use koi_core::event::Event;
use koi_core::group::GroupName;
use koi_core::io::ServiceSpec;
use koi_core::types::Hook;

use crate::world::MS;

/// What a restart may take longer than it is allowed to, in the world's time: clocks run fast and slow, and a daemon may be paused.
const SLACK: u64 = 8000 * MS;

/// By machine and service.
#[derive(Clone, Debug, Default)]
pub(super) struct Restarts {
    lately: BTreeMap<(usize, String), Vec<u64>>,
    under_way: BTreeMap<(usize, GroupName, String), UnderWay>,
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    since: u64,
    /// The lease was lost.
    lost: bool,
}

impl Restarts {
    pub(super) fn check(
        &mut self,
        now: u64,
        (machine, group): (usize, &GroupName),
        event: &Event,
        specs: &[ServiceSpec],
    ) -> Option<String> {
        let policy = |name: &str| specs.iter().find(|spec| spec.name == name).map(|spec| spec.policy);
        match event {
            Event::Restarting { failure, .. } => {
                let policy = policy(&failure.service)?;
                let key = (machine, failure.service.clone());
                let restart = (machine, group.clone(), failure.service.clone());
                self.under_way.entry(restart).or_insert(UnderWay { since: now, lost: false });
                let lately = self.lately.entry(key).or_default();
                lately.push(now);
                // Clocks may run slow.
                let window = micros(policy.restart_window) / 100 * 98;
                let times = lately.iter().filter(|then| now - **then < window).count();
                (times > policy.restarts as usize).then(|| {
                    format!(
                        "no end at {now} µs: m{machine} restarts {} for the {times}th time",
                        failure.service
                    )
                })
            }
            Event::Restarted { service, .. } => {
                self.under_way.remove(&(machine, group.clone(), service.clone()));
                None
            }
            // It is like any other failure now; or there is nothing to bring back; or its time begins anew.
            Event::Failed { .. } | Event::StateChanged { .. } | Event::LeaseReleased { .. } => {
                self.under_way.retain(|(of, in_group, _), _| *of != machine || in_group != group);
                None
            }
            Event::Maintenance { .. } => {
                self.under_way.retain(|(of, ..), _| *of != machine);
                None
            }
            Event::LeaseLost { .. } => {
                let own = self.under_way.iter_mut().filter(|((of, g, _), _)| *of == machine && g == group);
                own.for_each(|(_, restart)| restart.lost = true);
                None
            }
            Event::HookStarted { service, hook: hook @ (Hook::Start | Hook::Promote) } => {
                let restart = *self.under_way.get(&(machine, group.clone(), service.clone()))?;
                let most = micros(policy(service)?.restart_timeout) + SLACK;
                let what = match () {
                    () if restart.lost => "although its lease was lost",
                    () if now - restart.since > most => "and is not over in time",
                    () => return None,
                };
                Some(format!(
                    "a restart goes on at {now} µs, {what}: m{machine}, {} of {service}",
                    hook.as_str()
                ))
            }
            _ => None,
        }
    }

    /// A new run of the daemon counts anew.
    pub(super) fn booted(&mut self, machine: usize) {
        self.lately.retain(|(of, _), _| *of != machine);
        self.under_way.retain(|(of, ..), _| *of != machine);
    }

    /// An operator says that all is mended.
    pub(super) fn forgiven(&mut self) {
        self.lately.clear();
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
