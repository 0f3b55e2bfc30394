//! Who is master: when a mastership ends, and who gets the next (rules R6 and R9, classic.md §4).

use std::time::Duration;

use crate::event::Event;
use crate::mastership::Seen;
use crate::node::Node;
use crate::peers::Gone;
use crate::record::{MasterEntry, Record};
use crate::settings::DRIFT_PERCENT;
use crate::types::{NodeId, NodeState, Time, stretched};
use crate::view::Waiting;

/// What is to become of the record's master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays.
    Keep,
    /// It is to demote, in no hurry; why.
    Order(String),
    /// It holds nothing any more; why.
    Free(String),
    /// Nothing can be done before this.
    Wait(Box<Blocked>),
}

/// Whom to make master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Name(NodeId),
    Wait(Box<Blocked>),
}

/// Why nothing happens, and until when that is so by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blocked {
    pub(crate) what: String,
    pub(crate) node: Option<String>,
    pub(crate) until: Option<Time>,
    pub(crate) rule: Option<&'static str>,
    pub(crate) hint: String,
}

impl Blocked {
    fn new(what: impl Into<String>) -> Blocked {
        Blocked { what: what.into(), ..Blocked::default() }
    }

    fn of(mut self, node: &str) -> Blocked {
        self.node = Some(node.to_owned());
        self
    }

    fn until(mut self, until: Time) -> Blocked {
        self.until = Some(until);
        self
    }

    fn rule(mut self, rule: &'static str) -> Blocked {
        self.rule = Some(rule);
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Blocked {
        self.hint = hint.into();
        self
    }

    pub(crate) fn view(&self, now: Time) -> Waiting {
        Waiting {
            what: self.what.clone(),
            node: self.node.clone(),
            remaining: self.until.map(|until| until.since(now)),
            rule: self.rule,
            hint: self.hint.clone(),
        }
    }
}

impl Node {
    /// One decision: everything that the leader does by itself. It builds only on what counts.
    pub(crate) fn decide(&mut self, now: Time) {
        let Some(lead) = &mut self.lead else { return };
        lead.decide_at = Time::NEVER;
        let settled = lead.committed == self.durable.record.version;
        if !settled || !self.acting(now) {
            return;
        }
        let record = self.durable.record.clone();
        let mut next = record.clone();
        let mut wake = Time::NEVER;
        self.keep_marks(&mut next, now);
        self.carry_stops(&mut next, now);
        if next.maintenance {
            self.reseat(&mut next);
        } else {
            self.drop_target(&mut next, now);
            self.end_mastership(&mut next, &mut wake, now);
            if next.master.is_none() {
                self.begin_mastership(&mut next, &mut wake, now);
            }
        }
        if let Some(lead) = &mut self.lead {
            lead.decide_at = if wake > now { wake } else { Time::NEVER };
        }
        if next != record {
            self.propose(next, now);
        }
    }

    fn end_mastership(&mut self, next: &mut Record, wake: &mut Time, now: Time) {
        let Some(entry) = next.master.clone() else { return };
        match self.fate(&entry, next, now) {
            Fate::Keep => {}
            Fate::Order(reason) => {
                let Some(lead) = &mut self.lead else { return };
                if lead.ordered.as_ref().is_none_or(|(epoch, _)| *epoch != entry.epoch) {
                    lead.ordered = Some((entry.epoch, reason.clone()));
                    self.event(Event::MasterDropped { node: entry.name.clone(), epoch: entry.epoch, reason });
                    self.answer_runner(entry.node, now);
                }
            }
            Fate::Free(_) => next.master = None,
            Fate::Wait(blocked) => *wake = (*wake).min(blocked.until.unwrap_or(Time::NEVER)),
        }
    }

    fn begin_mastership(&mut self, next: &mut Record, wake: &mut Time, now: Time) {
        match self.choose(next, now) {
            Choice::Wait(blocked) => *wake = (*wake).min(blocked.until.unwrap_or(Time::NEVER)),
            Choice::Name(node) => {
                let name = self.name_of(node);
                let Some(lead) = &mut self.lead else { return };
                let Some(seen) = lead.runners.get(&node) else { return };
                // R9: greater than all before. With quorum off another half may have given more.
                let given = lead
                    .runners
                    .values()
                    .flat_map(|s| [s.summary.released, s.summary.holds.unwrap_or_default()]);
                let newest = given.chain([next.last_epoch]).max().unwrap_or(next.last_epoch);
                let epoch = if broken!(EpochStands) { newest } else { newest.next_in(lead.term) };
                next.last_epoch = epoch;
                next.master = Some(MasterEntry {
                    node,
                    session: seen.session,
                    epoch,
                    hold: self.settings.hold(seen.summary.grace),
                    in_maintenance: false,
                    unclean: false,
                    name,
                });
                if next.target == Some(node) {
                    next.target = None;
                }
                lead.cold = false;
                lead.ordered = None;
            }
        }
    }

    /// R6: marks the master entry while its node may stay promoted without a lease.
    fn keep_marks(&mut self, next: &mut Record, now: Time) {
        let maintenance = next.maintenance;
        let Some(entry) = &mut next.master else { return };
        let Some(lead) = &mut self.lead else { return };
        // R7: it left, or was restarted, and could not take everything down. No time that passes makes that better.
        let peer = self.peers.get(entry.node).filter(|p| p.session >= entry.session);
        entry.unclean |= peer.is_some_and(|p| p.gone == Some(Gone::Left(None)));
        let Some(seen) = lead.runners.get(&entry.node).filter(|s| s.session >= entry.session) else { return };
        entry.unclean |= seen.summary.unclean;
        if seen.session > entry.session {
            return;
        }
        // A grace or a lease that was raised since: the hold time first, then the leases (fine print).
        entry.hold = entry.hold.max(self.settings.hold(seen.summary.grace));
        if entry.unclean && !seen.summary.unclean && seen.summary.promotable {
            entry.unclean = false;
        }
        if entry.in_maintenance && !maintenance && seen.applied >= lead.act_since {
            // It acts on a version with maintenance off: its hold time is counted anew from this report.
            entry.in_maintenance = false;
            let from = match lead.granted {
                Some((epoch, at)) if epoch == entry.epoch => at.max(now),
                _ => now,
            };
            lead.granted = Some((entry.epoch, from));
        }
    }

    /// A machine that was stopped by hand stays so when it comes back with a new disk: by then its name is all that is left.
    fn carry_stops(&self, next: &mut Record, now: Time) {
        let silent = |id: &NodeId| self.peers.get(*id).filter(|p| now.since(p.heard) > self.lately());
        let moved = next.stopped.iter().find_map(|old| {
            let name = &silent(old)?.card.name;
            // It has answered this leader: an old datagram of an earlier identity does not count.
            let there = |id| id != *old && self.seen_lately(id, now).is_some();
            let heir = self.peers.iter().find(|(id, p)| p.card.name == *name && there(*id));
            heir.map(|(id, _)| (*old, id))
        });
        if let Some((old, heir)) = moved {
            next.stopped.remove(&old);
            next.stopped.insert(heir);
        }
    }

    /// In maintenance a restarted master adopts what its earlier run left running, and is given a new mastership over it.
    fn reseat(&mut self, next: &mut Record) {
        let Some(lead) = &self.lead else { return };
        let Some(entry) = &mut next.master else { return };
        let Some(seen) = lead.runners.get(&entry.node) else { return };
        if seen.session > entry.session && seen.summary.holds.is_some() {
            entry.session = seen.session;
            entry.epoch = next.last_epoch.next_in(lead.term);
            next.last_epoch = entry.epoch;
        }
    }

    /// A target that cannot become master is none any more; normal choice goes on.
    fn drop_target(&mut self, next: &mut Record, now: Time) {
        let Some(target) = next.target else { return };
        let reason = match self.seen_lately(target, now) {
            None if self.settling(now).is_some() => return,
            None => "it is not there".to_owned(),
            Some(s) if s.summary.leaving => "it is stopping".to_owned(),
            Some(s) if s.summary.state == NodeState::Failed => format!("it has failed: {}", s.summary.reason),
            Some(_) if next.stopped.contains(&target) => "it was stopped by hand".to_owned(),
            Some(_) if next.master.as_ref().is_some_and(|m| m.node == target) => {
                next.target = None;
                return;
            }
            Some(_) => return,
        };
        next.target = None;
        let node = self.name_of(target);
        self.event(Event::TargetDropped { node, reason });
    }

    /// A runner's report in this term, if it is recent.
    pub(crate) fn seen_lately(&self, node: NodeId, now: Time) -> Option<&Seen> {
        let lead = self.lead.as_ref()?;
        let current = |s: &&Seen| {
            node == self.id
                || self.peers.get(node).is_some_and(|p| p.session == s.session && p.gone.is_none())
        };
        lead.runners.get(&node).filter(|s| now.since(s.at) <= self.lately()).filter(current)
    }

    /// What is to become of the record's master (R6).
    pub(crate) fn fate(&self, entry: &MasterEntry, record: &Record, now: Time) -> Fate {
        if let Some(reason) = self.released(entry) {
            return Fate::Free(reason);
        }
        let Some(lead) = &self.lead else { return Fate::Keep };
        match lead.runners.get(&entry.node) {
            Some(seen) if seen.session == entry.session && now.since(seen.at) <= self.lately() => {
                self.reason_to_drop(entry, seen, record, now).map_or(Fate::Keep, Fate::Order)
            }
            Some(seen) if seen.session > entry.session && now.since(seen.at) <= self.lately() => {
                Fate::Wait(Box::new(restarted(entry, seen)))
            }
            _ => self.lost(entry, now),
        }
    }

    /// Whether this mastership's node, or its guardian, has said that it holds nothing of it any more.
    fn released(&self, entry: &MasterEntry) -> Option<String> {
        if let Some(peer) = self.peers.get(entry.node).filter(|p| p.session == entry.session) {
            match peer.gone {
                Some(Gone::Dead { all_down: true }) => {
                    return Some("its guardian says that all is down".to_owned());
                }
                Some(Gone::Left(Some(epoch))) if epoch >= entry.epoch => {
                    return Some("it said farewell".to_owned());
                }
                Some(Gone::Dead { all_down: false } | Gone::Left(_)) | None => {}
            }
        }
        let seen = self.lead.as_ref()?.runners.get(&entry.node)?;
        if seen.session == entry.session && seen.summary.released >= entry.epoch {
            return Some("it is released".to_owned());
        }
        let restarted_clean =
            seen.session > entry.session && !seen.summary.up && seen.summary.holds.is_none();
        restarted_clean.then(|| "it was restarted, and nothing is promoted there".to_owned())
    }

    fn reason_to_drop(&self, entry: &MasterEntry, seen: &Seen, record: &Record, now: Time) -> Option<String> {
        let summary = &seen.summary;
        if summary.leaving {
            return Some("it is stopping".to_owned());
        }
        if record.stopped.contains(&entry.node) {
            return Some("it was stopped by hand".to_owned());
        }
        if summary.state == NodeState::Failed {
            return Some(format!("it has failed: {}", summary.reason));
        }
        let target = record.target.filter(|t| *t != entry.node);
        if let Some(target) = target.filter(|t| self.is_candidate(*t, record, now)) {
            return Some(format!("{} is to be master", self.name_of(target)));
        }
        if record.manual && record.target.is_none() {
            return Some("it was demoted by hand".to_owned());
        }
        // R7 alone ends a mastership over a disk; one under which nothing could ever be promoted has not begun.
        if let Some(why) = summary.unfit.as_ref().filter(|_| !summary.up && summary.services > 0) {
            return Some(format!("it cannot promote anything: {why}"));
        }
        // Its earlier reports may have been on their way before it knew of its mastership.
        (!summary.promotable).then(|| format!("it is {}, not promotable", summary.state.word()))
    }

    /// The master is silent: only time, its own word or an operator ends its mastership.
    fn lost(&self, entry: &MasterEntry, now: Time) -> Fate {
        let attest = format!("if it is surely down: koi confirm-down {}", entry.name);
        let wait = |what: String| Blocked::new(what).of(&entry.name).rule("R6").hint(attest.clone());
        if entry.in_maintenance && !broken!(MaintenanceTakenOver) {
            let what = format!("{} was master in maintenance mode, and may still be promoted", entry.name);
            return Fate::Wait(Box::new(wait(what)));
        }
        if entry.unclean {
            let what = format!("{} could not stop what it had promoted", entry.name);
            return Fate::Wait(Box::new(wait(what)));
        }
        let Some(lead) = &self.lead else { return Fate::Keep };
        let own = lead.granted.filter(|(epoch, _)| *epoch == entry.epoch).map(|(_, at)| at);
        let last = if broken!(InheritanceIgnored) {
            own.unwrap_or(Time(0))
        } else {
            own.max(lead.inherited).unwrap_or(lead.won)
        };
        let hold = if broken!(TakeoverWithoutGrace) { self.settings.master_lease } else { entry.hold };
        let over = last + stretched(hold, DRIFT_PERCENT);
        let over = if broken!(TakeoverAtOnce) { now } else { over };
        if now >= over {
            return Fate::Free("its lease and its grace are over".to_owned());
        }
        let what =
            format!("{} is silent, and may be promoted until its lease and its grace are over", entry.name);
        Fate::Wait(Box::new(wait(what).until(over)))
    }

    /// Whom to make master now (R9).
    pub(crate) fn choose(&self, record: &Record, now: Time) -> Choice {
        let wait = |blocked: Blocked| Choice::Wait(Box::new(blocked));
        if record.manual && record.target.is_none() {
            let hint = "koi promote NODE, or koi elect";
            return wait(Blocked::new("the master was demoted by hand, and none is chosen").hint(hint));
        }
        if let Some(blocked) = self.settling(now) {
            return wait(blocked);
        }
        if let Some(blocked) = self.starting(record, now) {
            return wait(blocked);
        }
        let best = record.target.filter(|t| self.is_candidate(*t, record, now));
        let Some(best) = best.or_else(|| self.best_candidate(record, None, now)) else {
            return wait(self.resting(record, now).unwrap_or_else(|| self.no_candidate()));
        };
        if let Some(blocked) = self.still_up(best, now) {
            return wait(blocked);
        }
        Choice::Name(best)
    }

    /// Scar 7: a new leader learns how everyone is before it decides anything.
    fn settling(&self, now: Time) -> Option<Blocked> {
        let lead = self.lead.as_ref()?;
        let until = lead.won + self.settings.election_timeout();
        if now >= until {
            return None;
        }
        let lately = self.lately();
        let awaited = self.peers.iter().find(|(id, p)| {
            p.card.runner
                && p.gone.is_none()
                && now.since(p.heard) <= lately
                && !lead.runners.contains_key(id)
        });
        let (_, peer) = awaited?;
        let what = format!("the new leader has not heard yet how {} is", peer.card.name);
        Some(Blocked::new(what).of(&peer.card.name).until(until))
    }

    /// A starting cluster waits for better candidates, until all are there.
    fn starting(&self, record: &Record, now: Time) -> Option<Blocked> {
        let lead = self.lead.as_ref().filter(|l| l.cold)?;
        let until = lead.won + self.settings.initial_promotion_delay;
        if now >= until || record.target.is_some() {
            return None;
        }
        let electors = usize::from(self.settings.electors.count());
        let missing = electors.saturating_sub(self.electors_seen(now));
        let unready =
            lead.runners.iter().find(|(id, s)| !s.summary.promotable && !record.stopped.contains(id));
        let what = match unready {
            _ if electors == 0 => {
                "the cluster is starting; how many electors it has is not configured".to_owned()
            }
            _ if missing > 0 => {
                format!("the cluster is starting; {missing} of {electors} electors are missing")
            }
            Some((id, s)) => {
                format!("the cluster is starting; {} is {}", self.name_of(*id), s.summary.state.word())
            }
            None => return None,
        };
        Some(Blocked::new(what).until(until).hint("it is cut short by `koi promote NODE`"))
    }

    /// Electors heard from now, this node included.
    pub(crate) fn electors_seen(&self, now: Time) -> usize {
        let others = self.peers.iter().filter(|(_, p)| {
            p.card.elector
                && p.gone.is_none()
                && self.settings.electors.admits(&p.card.name)
                && now.since(p.heard) <= self.lately()
        });
        usize::from(self.settings.elector) + others.count()
    }

    /// None is chosen while another runner still has something promoted: the old master must be down first.
    fn still_up(&self, but: NodeId, now: Time) -> Option<Blocked> {
        let lead = self.lead.as_ref()?;
        let hold = self.patience();
        let (id, seen) = lead.runners.iter().find(|(id, s)| {
            // An unclean node that is not the record's master any more was attested to be down; not one that never was.
            let attested = s.summary.unclean && !unbidden(s);
            **id != but && s.summary.up && !attested && now.since(s.at) <= hold
        })?;
        let name = self.name_of(*id);
        if unbidden(seen) {
            let what =
                format!("{name} is no master, and its status calls it promoted: {}", seen.summary.reason);
            let hint = format!("mend that, and say `koi recover {name}`; or stop koid on {name}");
            return Some(Blocked::new(what).of(&name).rule("R7").hint(hint));
        }
        let what = format!("{name} still has something promoted ({})", seen.summary.state.word());
        Some(Blocked::new(what).of(&name).rule("R6"))
    }

    /// Every candidate has been master in vain of late: the next try waits.
    fn resting(&self, record: &Record, now: Time) -> Option<Blocked> {
        let lead = self.lead.as_ref()?;
        let candidates = lead.runners.iter().filter(|(id, _)| self.is_candidate(**id, record, now));
        let (until, id) = candidates.map(|(id, s)| (self.rests_until(*id, s, now), *id)).min()?;
        let name = self.name_of(id);
        let what = format!("{name} has been master in vain of late, and rests before the next try");
        let hint = format!("koi promote {name} does not wait; koi failures");
        (until > now).then(|| Blocked::new(what).of(&name).until(until).hint(hint))
    }

    fn no_candidate(&self) -> Blocked {
        let Some(lead) = &self.lead else { return Blocked::default() };
        if lead.runners.is_empty() {
            return Blocked::new("no runner is there")
                .hint("start koid on a machine with node.runner = true");
        }
        let mut why: Vec<String> = lead
            .runners
            .iter()
            .map(|(id, s)| format!("{} is {}", self.name_of(*id), s.summary.state.word()))
            .collect();
        why.truncate(5);
        Blocked::new(format!("no runner can be promoted: {}", why.join(", ")))
            .hint("koi status NODE says what each waits for")
    }

    /// Could be promoted now (classic.md §4), leaving failures aside.
    pub(crate) fn is_candidate(&self, node: NodeId, record: &Record, now: Time) -> bool {
        let Some(lead) = &self.lead else { return false };
        self.seen_lately(node, now).is_some_and(|seen| {
            let s = &seen.summary;
            s.promotable
                && !s.leaving
                && !s.unclean
                && !s.maintenance
                && !record.stopped.contains(&node)
                // A new master must write its mark (R8). One that is promoted has done so.
                && (s.unfit.is_none() || s.up)
                && !self.is_deaf(node, now)
                // It must have left maintenance, as far as it was ever on.
                && seen.applied >= lead.act_since
        })
    }

    /// R9: already promoted, then the promotion score (no opinion counts as 0), then uptime; ties by who was seen last.
    pub(crate) fn best_candidate(&self, record: &Record, but: Option<NodeId>, now: Time) -> Option<NodeId> {
        let lead = self.lead.as_ref()?;
        let others = || lead.runners.iter().filter(move |(id, _)| Some(**id) != but);
        let candidates = || others().filter(|(id, _)| self.is_candidate(**id, record, now));
        let calm = |id: &NodeId, s: &Seen| self.is_calm(*id, s, now);
        let any_calm = candidates().any(|(id, s)| calm(id, s));
        let rests = |id: &NodeId, s: &Seen| self.rests_until(*id, s, now) > now;
        let key = |id: NodeId, s: &Seen| {
            let promoted = s.summary.state == NodeState::Master || s.summary.holds.is_some();
            // Seconds, so that a report's way does not decide between nodes that started together.
            let uptime: Duration = s.uptime + now.since(s.at);
            (promoted, s.summary.score.unwrap_or(0), uptime.as_secs(), s.at, id)
        };
        candidates()
            .filter(|(id, s)| (calm(id, s) || !any_calm) && !rests(id, s))
            .max_by_key(|(id, s)| key(**id, s))
            .map(|(id, _)| *id)
    }

    /// A leader that leaves has handed the mastership over, or there is nobody to take it.
    pub(crate) fn handed_over(&self) -> bool {
        let Some(lead) = &self.lead else { return true };
        let record = &self.durable.record;
        let own = record.master.as_ref().is_some_and(|m| m.node == self.id);
        let others = lead.runners.iter().any(|(id, s)| *id != self.id && s.summary.promotable);
        let idle = record.master.is_none() && others && !record.manual && !record.maintenance;
        lead.committed == record.version && !own && !idle
    }

    pub(crate) fn name_of(&self, node: NodeId) -> String {
        if node == self.id {
            return self.settings.name.clone();
        }
        match self.peers.get(node) {
            Some(peer) if !peer.card.name.is_empty() => peer.card.name.clone(),
            _ => node.to_string(),
        }
    }
}

/// R7: its status calls something promoted, and no mastership ever gave it the right to that.
fn unbidden(seen: &Seen) -> bool {
    seen.summary.unclean && seen.summary.suspect && seen.summary.holds.is_none()
}

fn restarted(entry: &MasterEntry, seen: &Seen) -> Blocked {
    if seen.summary.unclean {
        let hint = format!("mend it and say `koi recover {0}`, or `koi confirm-down {0}`", entry.name);
        return Blocked::new(format!("{} could not stop what it had promoted", entry.name))
            .of(&entry.name)
            .rule("R7")
            .hint(hint);
    }
    Blocked::new(format!("{} was restarted and takes down what its earlier run left", entry.name))
        .of(&entry.name)
        .rule("R8")
}
