//! What the cores ask for, and what comes of it: datagrams, disks and hooks; and the traps that wait for one of these.

use koi_core::event::Event;
use koi_core::io::{Command, Effect, HookEnd, HookRun, Input, RunId};
use koi_core::message::Body;
use koi_core::record::Durable;
use koi_core::types::Hook;

use super::queue::Happening;
use super::{MS, Tempo, World};
use crate::machine::DiskFault;

/// What a trap waits for: at that very moment the machine loses its power, or its daemon dies. Most of what must be on disk
/// first is only missed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// A vote leaves.
    Vote,
    /// A heartbeat is acknowledged.
    Acknowledgement,
    /// A promote hook begins.
    Promote,
    /// A demote hook begins.
    Demote,
    /// An operator's command is answered.
    Answer,
}

impl World {
    /// A daemon is given this now, if it runs.
    pub fn input(&mut self, machine: usize, input: Input) {
        let (now, m) = (self.now, &mut self.machines[machine]);
        if m.core.is_none() {
            return;
        }
        debug_assert!(m.paused_until <= now, "a paused daemon was given something");
        let local = m.clock.at(now);
        if let Some(core) = &mut m.core {
            core.handle(local, input);
        }
        self.drain(machine);
    }

    fn drain(&mut self, machine: usize) {
        while let Some(effect) = self.machines[machine].core.as_mut().and_then(|c| c.poll_effect()) {
            self.effect(machine, effect);
        }
        let (now, m) = (self.now, &self.machines[machine]);
        if let Some(core) = &m.core {
            if core.next_deadline() == m.alarm && m.wake > now {
                return;
            }
            let (life, alarm) = (m.life, core.next_deadline());
            let at = m.clock.world(alarm);
            let late = core.next_deadline() <= m.clock.at(now);
            assert!(!late, "m{machine} wants to wake in the past: {core:?}");
            (self.machines[machine].alarm, self.machines[machine].wake) = (alarm, at);
            if at != u64::MAX {
                self.later(at.saturating_sub(now).max(1), Happening::Wake { machine, life });
            }
        }
    }

    fn effect(&mut self, machine: usize, effect: Effect) {
        self.spring(machine, &effect);
        if let Some(recorder) = &mut self.recorder {
            recorder.note(machine, &effect);
        }
        match effect {
            Effect::Send { to, message } => self.send(machine, to, *message),
            Effect::Persist { number, durable } => self.persist(machine, number, durable),
            Effect::RunHook(run) => self.run_hook(machine, *run),
            Effect::AbortHook { run, now } if now || !self.machines[machine].stubborn => {
                let life = self.machines[machine].life;
                let delay = self.tempo.abort(&mut self.rng);
                self.later(delay, Happening::HookOver { machine, life, run, aborted: true });
            }
            Effect::AbortHook { .. } => {}
            Effect::Answer { id, result } => {
                let (group, command) = self.commands.remove(&id).expect("a command is answered once");
                if !matches!(command, Command::WriteAttribute { .. }) {
                    self.tell(format!("m{machine}: {command:?} is answered {result:?}"));
                }
                self.invariants.answered(self.now, &group, &command, &result);
                self.answers.insert(id, result);
            }
            Effect::Event { group, event } => {
                let specs = self.machines[machine].folders.get(&group).map(Vec::as_slice).unwrap_or_default();
                self.invariants.told(self.now, machine, &group, &event, specs, &self.machines);
                if let Event::LeadershipGained { term, .. } = event {
                    self.invariants.elected(self.now, machine, self.machines[machine].life, term);
                }
                if !event.is_routine() {
                    let of = if group.is_main() { String::new() } else { format!("group {group}: ") };
                    self.tell(format!("m{machine}: {of}{event}"));
                }
            }
            Effect::Fence { reason } => {
                self.tell(format!("m{machine}: the fence acts: {reason}"));
                if self.tempo.fences() {
                    self.later(0, Happening::Sprung { machine, power: true });
                }
            }
            // A story says what comes of it.
            Effect::FenceNode(_) | Effect::EndFence(_) if self.tempo == Tempo::Told => {}
            Effect::FenceNode(run) => self.fence(machine, &run),
            Effect::EndFence(id) => self.end_fence(machine, id),
            Effect::CountUp { beyond } => {
                self.tell(format!("m{machine}: its state was restored, it begins again after run {beyond}"));
                let m = &mut self.machines[machine];
                m.kill_daemon();
                m.disk.starts = m.disk.starts.max(beyond);
                m.disk.synced = m.disk.synced.take().map(|durable| durable.after_restore());
                self.boot_later(machine, MS);
            }
            Effect::Finished => {
                self.tell(format!("m{machine}: the daemon ends"));
                self.machines[machine].kill_daemon();
                if self.revive {
                    self.boot_later(machine, 100 * MS);
                }
            }
        }
    }

    fn persist(&mut self, machine: usize, number: u64, mut durable: Box<Durable>) {
        let m = &mut self.machines[machine];
        if let Some(lacks) = m.lacks {
            lacks.keeps(&mut durable);
        }
        let (life, longest) = (m.life, m.disk_delay);
        match m.disk.fault {
            None => {
                let delay = self.rng.between(longest.min(MS / 10), longest);
                self.later(delay, Happening::Synced { machine, life, number, durable });
            }
            Some(DiskFault::Full) => {
                m.disk.refused = vec![(life, number, durable)];
                let input = Box::new(Input::NotPersisted("full".to_owned()));
                // Before any later word of this disk.
                self.later(MS / 10, Happening::Tell { machine, life, input });
            }
            Some(DiskFault::Hangs) => m.disk.refused.push((life, number, durable)),
        }
    }

    fn run_hook(&mut self, machine: usize, run: HookRun) {
        if run.hook != Hook::Status {
            self.tell(format!(
                "m{machine}: {} {} begins, epoch {}",
                run.service,
                run.hook.as_str(),
                run.epoch.0
            ));
        }
        self.machines[machine].hook_begins(&run);
        self.invariants.hook_began(self.now, machine, &run, &self.machines);
        self.demotes += u64::from(run.hook == Hook::Demote);
        self.begun.insert(run.hook, self.now);
        self.begin_to_write(machine, &run);
        let m = &self.machines[machine];
        if m.is_slow(&run) {
            return;
        }
        let took = self.tempo.hook(&mut self.rng, run.hook, m.services.len());
        let life = m.life;
        self.later(took, Happening::HookOver { machine, life, run: run.run, aborted: false });
    }

    pub(super) fn hook_over(&mut self, machine: usize, life: u64, run: RunId, aborted: bool) {
        let dice = self.rng.draw();
        let m = &mut self.machines[machine];
        let Some(run) = m.hooks.get(&run).cloned().filter(|_| m.life == life) else { return };
        let end = if aborted { HookEnd::Aborted } else { m.ending(&run, dice) };
        self.end_hook(machine, &run, end);
    }

    /// A hook that runs ends so.
    pub fn end_hook(&mut self, machine: usize, run: &HookRun, end: HookEnd) {
        self.machines[machine].hook_ended(run, &end);
        self.invariants.hook_ended(machine, self.machines[machine].life, run, &end);
        self.ended.insert((machine, run.hook), self.now);
        self.tell(format!("m{machine}: {} {} ended: {end:?}", run.service, run.hook.as_str()));
        self.input(machine, Input::HookFinished { run: run.run, ended: end });
    }

    fn spring(&mut self, machine: usize, effect: &Effect) {
        let seen = match effect {
            Effect::Send { message, .. } => match &message.body {
                Body::Vote(vote) if vote.granted => Trap::Vote,
                Body::Report(report) if report.acknowledged.is_some() => Trap::Acknowledgement,
                _ => return,
            },
            Effect::RunHook(run) if run.hook == Hook::Promote => Trap::Promote,
            Effect::RunHook(run) if run.hook == Hook::Demote => Trap::Demote,
            Effect::Answer { .. } => Trap::Answer,
            _ => return,
        };
        if self.trap == Some(seen) {
            self.trap = None;
            self.tell(format!("m{machine}: a trap springs at its {seen:?}"));
            let (delay, power) = (self.rng.between(0, 2 * MS), self.rng.percent(50));
            self.later(delay, Happening::Sprung { machine, power });
        }
    }
}
