//! What the daemons of a world asked for, for those who look closely.

use koi_core::event::Event;
use koi_core::fence::{FenceId, FenceRun};
use koi_core::io::{Effect, HookRun};
use koi_core::message::Message;

/// Datagrams that are kept at most, and half of them at least.
const SENT: usize = 5000;

/// What all of them asked for.
#[derive(Debug, Default)]
pub struct Recorder {
    /// By machine; whoever adds a machine adds one of these.
    pub machines: Vec<Seen>,
    /// Who said what, of late.
    pub sent: Vec<(usize, Message)>,
}

/// What the daemons of one machine asked for.
#[derive(Debug, Default)]
pub struct Seen {
    /// Every hook that began, as `service.hook`.
    pub began: Vec<String>,
    /// What was handed to each run of a hook.
    pub calls: Vec<HookRun>,
    /// Hooks that were to end, as `service.hook`, and whether at once.
    pub aborted: Vec<(String, bool)>,
    /// What was told.
    pub events: Vec<Event>,
    /// How often the fence was to act.
    pub fences: usize,
    /// The other nodes that were to be turned off.
    pub fencing: Vec<FenceRun>,
    /// The fences that were to end.
    pub fences_ended: Vec<FenceId>,
    /// How often something was to be written.
    pub persists: usize,
}

impl Recorder {
    /// A daemon asks for this.
    pub(super) fn note(&mut self, machine: usize, effect: &Effect) {
        let seen = &mut self.machines[machine];
        let name = |run: &HookRun| format!("{}.{}", run.service, run.hook.as_str());
        match effect {
            Effect::Send { message, .. } => {
                self.sent.push((machine, (**message).clone()));
                if self.sent.len() > SENT {
                    self.sent.drain(..SENT / 2);
                }
            }
            Effect::Persist { .. } => seen.persists += 1,
            Effect::RunHook(run) => {
                seen.began.push(name(run));
                seen.calls.push((**run).clone());
            }
            Effect::AbortHook { run, now } => {
                let call = seen.calls.iter().rev().find(|call| call.run == *run);
                seen.aborted.extend(call.map(|call| (name(call), *now)));
            }
            Effect::Event { event, .. } => seen.events.push(event.clone()),
            Effect::FenceNode(run) => seen.fencing.push((**run).clone()),
            Effect::EndFence(id) => seen.fences_ended.push(*id),
            Effect::Fence { .. } => seen.fences += 1,
            Effect::Answer { .. } | Effect::Finished | Effect::CountUp { .. } => {}
        }
    }
}
