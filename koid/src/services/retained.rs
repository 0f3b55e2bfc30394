//! What runs is taken down by the handler that started it (R7, R8): a service whose folder says something else by now goes on as it was.

use std::collections::BTreeMap;

use koi_core::io::ServiceSpec;
use koi_core::types::HookSet;
use koi_core::view::View;

use super::scan::{Fingerprint, Seen};
use super::teardown_manifest::{Kept, Pins};

/// What is said of a service that is held.
pub(crate) const GOES_ON: &str = "goes on as it was until it is stopped, and could not be started so";

impl Seen {
    /// A service that is broken by now may still run: its hooks are those of the handler that it had.
    pub(super) fn take_down_as_before(&mut self, pins: &Pins) {
        for (spec, _) in self.specs.iter_mut().filter(|(spec, _)| spec.problem.is_some()) {
            let Some(kept) = pins.of(&spec.name).map(|kept| kept.spec(&spec.name)) else {
                spec.hooks = HookSet::default();
                continue;
            };
            // What cannot be read names no handler, and once it is mended it is to be the same one.
            (spec.hooks, spec.handler, spec.timeouts) = (kept.hooks, kept.handler, kept.timeouts);
        }
    }

    /// At the first look the core does not know yet what runs. Each service is reported with the handler that the earlier run of the daemon
    /// recorded. The next look follows at once.
    pub(super) fn hold_as_left(&mut self, pins: &Pins) -> Held {
        let good = self.specs.iter().filter(|(spec, _)| spec.problem.is_none());
        let left: Vec<InForce> = good
            .filter_map(|(spec, fingerprint)| {
                let left = pins.of(&spec.name)?.spec(&spec.name);
                Some(InForce { spec: left, fingerprint: *fingerprint, up: true })
            })
            .collect();
        let held = self.hold(&left);
        self.broken.extend(held.keys().cloned());
        held
    }

    /// Keeps the guardian's entry of a service while the core still runs its old handler: its folder is gone, or cannot be read.
    pub(super) fn keep_pins_of_what_runs(
        &mut self,
        pins: &Pins,
        running: Option<&BTreeMap<String, (u64, bool)>>,
    ) {
        let code =
            |name: &str| self.specs.iter().find(|(spec, _)| spec.name == name).map(|(spec, _)| spec.code);
        let is_other = |name: &str, kept: &Kept| match running.map(|running| running.get(name)) {
            // Down, or taken over already.
            Some(None) => false,
            Some(Some((in_force, _))) if Some(*in_force) == code(name) => false,
            Some(Some((_, up))) => {
                pins.of(name).is_some_and(|old| old.spec(name).parts_from(&kept.spec(name), *up))
            }
            None => pins.of(name).is_some_and(|old| old.spec(name).parts_from(&kept.spec(name), true)),
        };
        self.kept.retain(|(name, kept)| !is_other(name, kept));
    }

    /// What runs goes on as it was, and is taken down by the handler that has started it (R7, R8), when its folder says something by now
    /// that would part it from that. The core keeps to the same; it is here that everything else is kept with it.
    pub(super) fn hold(&mut self, in_force: &[InForce]) -> Held {
        let mut held = Held::new();
        for (spec, fingerprint) in &mut self.specs {
            let Some(before) = in_force.iter().find(|before| before.spec.name == spec.name) else { continue };
            if !before.spec.parts_from(spec, before.up) {
                continue;
            }
            held.insert(spec.name.clone(), why_held(&before.spec, spec));
            *spec = ServiceSpec { disabled: spec.disabled, ..before.spec.clone() };
            *fingerprint = before.fingerprint;
        }
        let holds = |name: &String| held.contains_key(name);
        self.runnables.retain(|(name, _)| !holds(name));
        self.kept.retain(|(name, _)| !holds(name));
        self.broken.retain(|name| !holds(name));
        held
    }
}

/// The services that are not down, as the core knows them, whatever lies in the folder: the number of each one's handler, and whether it is
/// promoted, or perhaps. None: the core does not answer.
pub(super) fn running(view: Option<&View>) -> Option<BTreeMap<String, (u64, bool)>> {
    let running = view?.services.iter().filter(|service| !service.down);
    Some(running.map(|service| (service.name.clone(), (service.code, service.up))).collect())
}

/// Services that go on as they were, by name, and why.
pub(crate) type Held = BTreeMap<String, String>;

/// A service that runs as it was found good.
pub(super) struct InForce {
    pub(super) spec: ServiceSpec,
    pub(super) fingerprint: Fingerprint,
    /// It is promoted, or perhaps.
    pub(super) up: bool,
}

fn why_held(before: &ServiceSpec, now: &ServiceSpec) -> String {
    match &now.problem {
        Some(problem) => problem.clone(),
        None if before.handler != now.handler => {
            format!("its handler is {} by now, and {} has started it", now.handler, before.handler)
        }
        None => "it is promoted, and its handler has no `demote` or no `stop` any more".to_owned(),
    }
}
