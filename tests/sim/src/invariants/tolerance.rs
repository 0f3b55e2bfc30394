//! A service bears as many bad statuses in a row as it is allowed, and not one more; and no node fails because of one that is not critical.

use std::collections::BTreeMap;

use koi_core::event::Event;
use koi_core::io::{HookEnd, ServiceSpec};
use koi_core::reason::NodeFailure;
use koi_core::types::{Hook, ServiceState};

/// Bad statuses in a row, by machine and service.
#[derive(Clone, Debug, Default)]
pub(super) struct Tolerance {
    bad: BTreeMap<(usize, String), u32>,
}

impl Tolerance {
    pub(super) fn check(
        &mut self,
        now: u64,
        machine: usize,
        event: &Event,
        specs: &[ServiceSpec],
    ) -> Option<String> {
        let spec = |name: &str| specs.iter().find(|spec| spec.name == name);
        match event {
            Event::HookEnded {
                service, hook: Hook::Status, how: HookEnd::Failed { lasting, .. }, ..
            } => {
                let times = self.bad.entry((machine, service.clone())).or_default();
                *times = if *lasting { u32::MAX } else { *times + 1 };
                None
            }
            // A status that was ended early has said nothing, good or bad.
            Event::HookEnded { hook: Hook::Status, how: HookEnd::Aborted | HookEnd::NoRoom(_), .. } => None,
            // They are in a row whatever moves in between, until it is down.
            Event::HookEnded { hook: Hook::Promote | Hook::Demote, .. } => None,
            // Down it begins anew, also where what went down is only presumed to be up again: in maintenance.
            Event::ServiceChanged { service, to: ServiceState::Failed | ServiceState::Stopped, .. }
            | Event::HookEnded { service, .. } => {
                self.bad.remove(&(machine, service.clone()));
                None
            }
            Event::HookStarted { service, hook: Hook::Status } => {
                let (times, most) = (self.times(machine, service), spec(service)?.policy.status_failures);
                (times >= most).then(|| {
                    format!(
                        "too patient at {now} µs: m{machine} asks {service} again after {times} bad statuses"
                    )
                })
            }
            Event::Failed {
                reason: NodeFailure::Service(failed) | NodeFailure::AwaitsRecover(failed),
                ..
            } => {
                let spec = spec(&failed.service)?;
                if !spec.policy.critical {
                    return Some(format!(
                        "failed for nothing at {now} µs: m{machine} has failed with {}, which is not critical",
                        failed.service
                    ));
                }
                let (times, most) = (self.times(machine, &failed.service), spec.policy.status_failures);
                let by_status = failed.hook == Hook::Status && times > 0;
                (by_status && times < most).then(|| {
                    format!(
                        "no patience at {now} µs: m{machine} has failed after {times} of {most} bad statuses"
                    )
                })
            }
            _ => None,
        }
    }

    /// A new run of the daemon counts anew.
    pub(super) fn booted(&mut self, machine: usize) {
        self.bad.retain(|(of, _), _| *of != machine);
    }

    fn times(&self, machine: usize, service: &str) -> u32 {
        self.bad.get(&(machine, service.to_owned())).copied().unwrap_or_default()
    }
}
