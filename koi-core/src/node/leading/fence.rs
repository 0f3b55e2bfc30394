//! The fence of another node (rule R12): which node is turned off, when, and what that frees.
//!
//! A node is turned off when it keeps the cluster waiting beyond what time alone resolves. That stands in the record before anything is done. When
//! the node was seen to be off, the masterships that were meant are over, as if an operator had said `koi confirm-down`.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::concern::Concern;
use crate::contact::peers::Peer;
use crate::event::{Event, FencedMastership};
use crate::fence::{FenceId, FenceIntent, FenceOutcome, FenceRun};
use crate::group::GroupName;
use crate::io::Effect;
use crate::leader::fence::{ENDING, FenceState};
use crate::leader::placement::MasterDecision;
use crate::leader::reports::GroupReport;
use crate::message::FENCES_RULE;
use crate::node::group_ref::GroupRef;
use crate::node::handlers::LeadershipHandler;
use crate::node::node_ref::NodeRef;
use crate::reason::{DropReason, FenceCause, StepDownReason, WaitReason};
use crate::record::{MasterEntry, Record};
use crate::settings::DRIFT_PERCENT;
use crate::types::{NodeId, NodeState, Session, Time, stretched};

impl LeadershipHandler<'_> {
    /// Whether the record changes by a fence: nothing else is decided before that counts.
    pub(crate) fn tend_fence(&mut self, next: &mut Record, wake: &mut Time) -> bool {
        let Some(intent) = next.fence.clone() else { return self.begin_fence(next, wake) };
        let (now, Some(lead)) = (self.ctx.now, self.lead.as_mut()) else { return false };
        let state = lead.fencing().state(intent.id(), now);
        if intent.term != lead.term() && !matches!(state, FenceState::Over(_)) {
            // Whoever began it leads no more and kills it, or is dead. It may have turned the node off all the same.
            let over = lead.won() + stretched(intent.limit + ENDING, DRIFT_PERCENT);
            *wake = (*wake).min(over);
            if now >= over {
                next.fence = None;
            }
            return now >= over;
        }
        let spoilt = self.node().spoils(&intent);
        match state {
            FenceState::Standing => match spoilt {
                Some(_) => next.fence = None,
                None => {
                    self.start(&intent);
                    *wake = (*wake).min(now + intent.limit);
                }
            },
            FenceState::Runs(until) => {
                let why = spoilt.or_else(|| {
                    (now >= until).then(|| format!("it was not over after {} s", intent.limit.as_secs()))
                });
                *wake = (*wake).min(why.as_ref().map_or(until, |_| until + ENDING));
                if let Some(why) = why {
                    self.tell_fence_to_end(intent.id(), why);
                }
            }
            FenceState::Ends(gone) => *wake = (*wake).min(gone),
            FenceState::Over(outcome) => self.conclude(&intent, outcome, spoilt, next),
        }
        next.fence.is_none()
    }

    /// Puts a fence into the record, if there is a node to be fenced.
    fn begin_fence(&mut self, next: &mut Record, wake: &mut Time) -> bool {
        if self.ctx.settings.fences.is_empty() || next.maintenance || !self.node().may_fence() {
            return false;
        }
        if next.needs < FENCES_RULE {
            // Said before there is a node to be fenced: by then it says no more what it knows.
            let known = self.node().all_electors_know(FENCES_RULE);
            next.needs = if known { FENCES_RULE } else { next.needs };
            return known;
        }
        if self.node().should_resign() {
            // An unclean leader is fenced by another one.
            self.resign(StepDownReason::ToBeFenced);
            return false;
        }
        let nodes: BTreeSet<NodeId> = self.node().troublesome();
        let needed: Vec<FenceIntent> =
            nodes.into_iter().filter_map(|node| self.node().needed(node)).collect();
        let now = self.ctx.now;
        for intent in needed {
            let Some(lead) = self.lead.as_mut() else { return false };
            let due = lead.fencing().failed(intent.node).map_or(Time(0), |failed| failed.until());
            if due > now {
                *wake = (*wake).min(due);
                continue;
            }
            let intent = FenceIntent { number: lead.fencing_mut().next_number(), ..intent };
            if mutant!(FenceUncounted) {
                self.start(&intent);
            }
            next.fence = Some(intent);
            return true;
        }
        false
    }

    /// The intent counts: the fence begins.
    fn start(&mut self, intent: &FenceIntent) {
        let node = self.node();
        let (name, masterships) = (intent.name.clone(), node.masterships_meant(intent));
        let cause = node.fence_cause(intent);
        let Some(lead) = self.lead.as_mut() else { return };
        lead.fencing_mut().begin(intent.id(), intent.limit, self.ctx.now);
        self.ctx.event(Event::FenceBegun { node: name.clone(), cause, masterships });
        let run = FenceRun { id: intent.id(), name, limit: intent.limit };
        self.ctx.effect(Effect::FenceNode(Box::new(run)));
    }

    fn tell_fence_to_end(&mut self, id: FenceId, why: String) {
        if let Some(lead) = self.lead.as_mut() {
            lead.fencing_mut().end(why);
            self.ctx.effect(Effect::EndFence(id));
        }
    }

    /// The fence is over. Verified off is the word that the meant masterships are over, and no other.
    fn conclude(
        &mut self,
        intent: &FenceIntent,
        outcome: FenceOutcome,
        spoilt: Option<String>,
        next: &mut Record,
    ) {
        let now = self.ctx.now;
        let (node, cause) = (intent.name.clone(), self.node().fence_cause(intent));
        next.fence = None;
        let Some(lead) = self.lead.as_mut() else { return };
        lead.fencing_mut().forget();
        let failure = match outcome {
            FenceOutcome::Failed(why) => Some(why),
            FenceOutcome::Off => spoilt,
        };
        if let Some(why) = failure {
            let until = lead.fencing_mut().note_failure(intent.node, why.clone(), now);
            // What an operator has begun is an operator's to repeat.
            let again_in = (cause != FenceCause::ByHand).then(|| until.since(now));
            return self.ctx.event(Event::FenceFailed { node, why, again_in });
        }
        lead.fencing_mut().forgive(intent.node);
        // What it has reported last says nothing any more.
        lead.forget_runner(intent.node, intent.session);
        let masterships = self.node().masterships_meant(intent);
        for FencedMastership { group, .. } in &masterships {
            next.group_mut(group).end_mastership();
        }
        self.ctx.event(Event::FenceDone { node, masterships });
    }

    /// What came of a fence is known. It counts in the term in which it was begun (R12).
    pub(crate) fn fence_ended(&mut self, id: FenceId, outcome: FenceOutcome) {
        let Some(lead) = self.lead.as_mut() else { return };
        if id.term == lead.term() || mutant!(FenceOfAnyTerm) {
            lead.fencing_mut().ended(id, outcome);
        }
    }

    /// R12: whoever leads no more, or in another term, kills what it began.
    pub(crate) fn drop_fence(&mut self) {
        let running = self.lead.as_mut().and_then(|lead| lead.fencing_mut().forget());
        if let Some(id) = running.filter(|_| !mutant!(FenceGoesOn)) {
            self.ctx.effect(Effect::EndFence(id));
        }
    }
}

impl NodeRef<'_> {
    /// A leader may begin fences: it has a quorum, and has had the time to hear everyone.
    fn may_fence(&self) -> bool {
        let settled =
            self.lead.as_ref().is_some_and(|lead| self.now >= lead.won() + self.settings.election_timeout());
        self.settings.quorum > 0 && settled && self.now >= self.listen_until
    }

    /// This leader is to be fenced itself, and another elector could lead.
    fn should_resign(&self) -> bool {
        let Some(lead) = self.lead else { return false };
        let heard = |id: &NodeId| {
            *id != self.id && lead.acknowledged_within(*id, self.settings.leader_lease, self.now)
        };
        self.steps_back() && self.is_stuck(self.id) && self.durable.record.members.iter().any(heard)
    }

    /// Its own node could not stop what it had promoted, and others know how to turn it off: it lets them lead.
    pub(crate) fn steps_back(&self) -> bool {
        self.settings.fences.contains_key(&self.settings.name) && self.runners.unclean()
    }

    /// By which name a node is fenced, and how long that may take; none: it has no fence. What it is master of says by which name it was that.
    pub(crate) fn fence_of(&self, node: NodeId) -> Option<(String, Duration)> {
        if self.settings.fences.is_empty() {
            return None;
        }
        let entry = self.durable.record.masters().find(|(_, entry)| entry.node == node);
        let name = entry.map_or_else(|| self.name_of(node), |(_, entry)| entry.name.clone());
        let limit = self.settings.fences.get(&name).copied()?;
        Some((name, limit))
    }

    /// The nodes that may have to be fenced.
    fn troublesome(&self) -> BTreeSet<NodeId> {
        let masters = self.durable.record.masters().map(|(_, entry)| entry.node);
        let unclean = self.latest_reports().filter(|(_, seen)| seen.summaries.values().any(|s| s.unclean));
        masters.chain(unclean.map(|(id, _)| id)).filter(|id| *id != self.id).collect()
    }

    /// The fence of a node that keeps the cluster waiting beyond what time alone resolves; none: it does not, or must not be fenced now.
    fn needed(&self, node: NodeId) -> Option<FenceIntent> {
        let (name, limit) = self.fence_of(node)?;
        let unbidden = self
            .known_groups()
            .iter()
            .any(|group| self.group(group).recent_report(node).is_some_and(|seen| seen.is_unbidden()));
        let keeps_waiting = unbidden || self.is_stuck(node);
        if !keeps_waiting || !self.may_be_turned_off(node, &name) || self.missing_without(node).is_some() {
            return None;
        }
        // What is well there moves away first.
        let well = |(group, entry): (&GroupName, &MasterEntry)| {
            entry.node == node && !self.group(group).stuck(entry) && self.group(group).speaks_for(entry)
        };
        if self.durable.record.masters().any(well) {
            return None;
        }
        Some(self.intent(node, (name, limit), |group, entry| self.group(group).stuck(entry)))
    }

    /// The fence of a node, which frees these of its masterships.
    pub(crate) fn intent(
        &self,
        node: NodeId,
        (name, limit): (String, Duration),
        frees: impl Fn(&GroupName, &MasterEntry) -> bool,
    ) -> FenceIntent {
        let session = self.newest_run(node);
        let meant = |(group, entry): &(&GroupName, &MasterEntry)| {
            entry.node == node
                && entry.name == name
                && self.group(group).succeeds(session, entry)
                && frees(group, entry)
        };
        let epochs: BTreeSet<_> =
            self.durable.record.masters().filter(meant).map(|(_, entry)| entry.epoch).collect();
        let term = self.lead.as_ref().map(|lead| lead.term()).unwrap_or_default();
        FenceIntent { node, session, epochs, limit, term, number: 0, name }
    }

    /// The newest run of a node that this one knows of.
    fn newest_run(&self, node: NodeId) -> Session {
        let named = self.durable.record.masters().filter(|(_, entry)| entry.node == node);
        let runs = self.peers.runs(node).map(|run| run.session);
        runs.chain(named.map(|(_, entry)| entry.session)).max().unwrap_or_default()
    }

    /// Nobody who answers to this name is heard, nor the node, unless it is the node by that name, and says that it is unclean.
    pub(crate) fn may_be_turned_off(&self, node: NodeId, name: &str) -> bool {
        if mutant!(HeardFenced) {
            return node != self.id;
        }
        let namesake = |(id, peer): (NodeId, &Peer)| id != node && peer.info.name == name && self.hears(id);
        let answers = node == self.id || name == self.settings.name || self.peers.iter().any(namesake);
        // Of two machines with its id, who knows which one the fence turns off.
        !answers
            && !self.is_twice(node)
            && (!self.hears(node) || self.says_unclean(node) && self.name_of(node) == name)
    }

    /// The electors that are missing if this node is turned off: those who acknowledge now are no quorum without it. It would be off, and what
    /// that frees could never count.
    pub(crate) fn missing_without(&self, node: NodeId) -> Option<BTreeSet<NodeId>> {
        let lead = self.lead.as_ref()?;
        if !self.knows_members() {
            return None;
        }
        let there = |id: &NodeId| {
            *id != node
                && (*id == self.id || lead.acknowledged_within(*id, self.settings.leader_lease, self.now))
        };
        let record = &self.durable.record;
        let all = record.members.iter().chain(record.change.iter().filter_map(|change| change.add.as_ref()));
        let (there, missing): (BTreeSet<NodeId>, BTreeSet<NodeId>) = all.partition(|id| there(id));
        (!self.quorum().is_met_by(&there)).then_some(missing)
    }

    /// Some run of this node was heard lately.
    fn hears(&self, node: NodeId) -> bool {
        let lately = self.lately();
        let heard =
            |run: &Peer| run.gone.is_none() && run.heard > Time(0) && self.now.since(run.heard) <= lately;
        self.peers.runs(node).any(heard)
    }

    /// It reports, and says itself that it could not stop what it had promoted.
    fn says_unclean(&self, node: NodeId) -> bool {
        self.seen_lately(node).is_some_and(|seen| seen.summaries.values().any(|summary| summary.unclean))
    }

    /// Fences that have failed, and electors that keep all from being begun.
    pub(crate) fn look_at_fences(&self, concerns: &mut Vec<Concern>) {
        let Some(lead) = self.lead else { return };
        for (node, failed) in lead.fencing().failures() {
            let (times, why) = (failed.times(self.now), failed.why.clone());
            // One that is back and well needs none.
            if times > 0 && (self.is_stuck(node) || !self.hears(node)) {
                concerns.push(Concern::FenceFailed { node: self.name_of(node), times, why });
            }
        }
        if !self.settings.fences.is_empty() && self.settings.quorum > 0 {
            let nodes = self.lacking(FENCES_RULE);
            let around = self.durable.record.needs < FENCES_RULE && self.may_fence() && !nodes.is_empty();
            concerns.extend(around.then_some(Concern::FencesUnknown { nodes }));
        }
    }

    /// Fences that do nothing, and nodes that have none.
    pub(crate) fn advise_of_fences(&self, advice: &mut Vec<String>) {
        let fences = &self.settings.fences;
        if fences.is_empty() {
            return;
        }
        if self.settings.quorum == 0 || self.electors_known() == 2 {
            advice.push(
                "[fence] turns nothing off: that takes a leader with a quorum when a node is lost; a third elector is the remedy"
                    .to_owned(),
            );
        }
        if !self.may_fence() {
            return;
        }
        let runners = self.peers.iter().filter(|(_, p)| p.info.runner).map(|(id, _)| self.name_of(id));
        let runners: BTreeSet<String> =
            runners.chain(self.settings.runner.then(|| self.settings.name.clone())).collect();
        let known =
            |name: &&String| runners.contains(*name) || self.durable.names.values().any(|n| n == *name);
        let strange: Vec<&str> = fences.keys().filter(|name| !known(name)).map(String::as_str).collect();
        let without: Vec<&str> =
            runners.iter().filter(|name| !fences.contains_key(*name)).map(String::as_str).collect();
        let own = &self.settings.name;
        if !strange.is_empty() {
            let strange = strange.join(", ");
            advice.push(format!(
                "[fence.nodes] in the koi.toml of {own} names {strange}, and no node of that name was heard: the name there must be node.name"
            ));
        }
        if !without.is_empty() {
            let without = without.join(", ");
            advice.push(format!(
                "{own} cannot turn off {without}: there is no [fence.nodes.NAME] of that name in its koi.toml"
            ));
        }
    }

    /// Why a fence that stands is not to begin, go on or count.
    fn spoils(&self, intent: &FenceIntent) -> Option<String> {
        let name = &intent.name;
        if self.durable.record.maintenance {
            return Some("maintenance mode has begun".to_owned());
        }
        if mutant!(FenceOfAnotherRun) {
            return None;
        }
        if self.newest_run(intent.node) > intent.session {
            return Some(format!("{name} was started again meanwhile"));
        }
        (!self.may_be_turned_off(intent.node, name)).then(|| format!("{name} is heard again"))
    }

    /// What is over once the node is off: the masterships that were meant, as far as they still stand.
    fn masterships_meant(&self, intent: &FenceIntent) -> Vec<FencedMastership> {
        let meant = |(group, entry): &(&GroupName, &MasterEntry)| {
            let exactly =
                intent.epochs.contains(&entry.epoch) && self.group(group).succeeds(intent.session, entry);
            entry.node == intent.node && entry.name == intent.name && (exactly || mutant!(FenceFreesAll))
        };
        let all = self.durable.record.masters().filter(meant);
        all.map(|(group, entry)| FencedMastership { group: group.clone(), epoch: entry.epoch }).collect()
    }

    fn fence_cause(&self, intent: &FenceIntent) -> FenceCause {
        let masters =
            || self.durable.record.masters().filter(|(_, entry)| intent.epochs.contains(&entry.epoch));
        if masters().any(|(_, entry)| entry.unclean) || self.says_unclean(intent.node) {
            FenceCause::Unclean
        } else if masters().any(|(_, entry)| entry.in_maintenance) {
            FenceCause::LostInMaintenance
        } else {
            FenceCause::ByHand
        }
    }

    /// A mastership of this node keeps the cluster waiting beyond what time alone resolves.
    fn is_stuck(&self, node: NodeId) -> bool {
        let mut masters = self.durable.record.masters().filter(|(_, entry)| entry.node == node);
        masters.any(|(group, entry)| self.group(group).stuck(entry))
    }

    /// It is heard, says that it is unclean, keeps the cluster waiting by that, and can be turned off.
    fn will_be_fenced(&self, node: NodeId) -> bool {
        self.settings.quorum > 0
            && self.fence_of(node).is_some()
            && self.says_unclean(node)
            && self.is_stuck(node)
    }

    /// The node is being fenced, or will be: it is newly made master of nothing.
    pub(crate) fn is_fenced(&self, node: NodeId) -> bool {
        if mutant!(FencedIsCandidate) {
            return false;
        }
        let same = |intent: &FenceIntent| intent.node == node || intent.name == self.name_of(node);
        self.durable.record.fence.as_ref().is_some_and(same) || self.will_be_fenced(node)
    }
}

impl GroupRef<'_> {
    /// This mastership keeps the cluster waiting, and no time that passes ends it: its node could not stop what it had promoted, or went silent
    /// in maintenance.
    fn stuck(&self, entry: &MasterEntry) -> bool {
        let recent = |seen: &GroupReport<'_>| self.now.since(seen.at) <= self.lately();
        if let Some(seen) = self.report_of(entry.node, entry.session).filter(recent) {
            let wanted_back = self.placement().is_some_and(|p| p.wanted_back() == Some(entry.epoch));
            let released = seen.summary.released >= entry.epoch;
            return seen.summary.unclean
                && !released
                && (wanted_back || seen.summary.state == NodeState::Failed);
        }
        match self.fate(entry, self.of(&self.durable.record)) {
            MasterDecision::Wait(wait) => matches!(
                wait.reason,
                WaitReason::MasterUnclean { .. }
                    | WaitReason::MasterInMaintenance { .. }
                    | WaitReason::RestartedUnclean { .. }
            ),
            MasterDecision::Keep | MasterDecision::Order(_) | MasterDecision::Free => false,
        }
    }

    /// A node that is to be fenced gives back what is well there, where another one can take it.
    pub(crate) fn makes_way(&self, entry: &MasterEntry) -> Option<DropReason> {
        if self.settings.fences.is_empty() || self.stuck(entry) {
            return None;
        }
        let others = self.best_candidate(self.of(&self.durable.record), Some(entry.node)).is_some();
        (others && self.will_be_fenced(entry.node)).then_some(DropReason::ToBeFenced)
    }
}
