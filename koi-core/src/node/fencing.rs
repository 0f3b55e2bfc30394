//! `koi fence`: what an operator may have turned off (rule R12).

use std::time::Duration;

use crate::io::{Answered, CommandError};
use crate::message::FENCES_RULE;
use crate::node::commands::Change;
use crate::node::handlers::CommandHandler;
use crate::node::node_ref::NodeRef;
use crate::reason::{NotNowReason, UnsafeReason};
use crate::record::Record;
use crate::types::NodeId;

impl CommandHandler<'_> {
    /// A fence that an operator wants has a number of its own, and does not wait for one that has failed.
    pub(super) fn number_fence(&mut self, next: &mut Record) {
        let (Some(lead), Some(fence)) = (self.lead.as_mut(), next.fence.as_mut()) else { return };
        if self.durable.record.fence.is_none() {
            fence.number = lead.fencing_mut().next_number();
            lead.fencing_mut().forgive(fence.node);
        }
    }
}

impl NodeRef<'_> {
    /// The record with the fence of this node in it. It frees whatever this node is master of.
    pub(super) fn fence_by_hand(&self, node: &str) -> Change {
        self.intent_by_hand(node, "is being")
    }

    fn intent_by_hand(&self, node: &str, verb: &str) -> Change {
        let id = self.resolve_dead(node)?;
        let (name, limit) = self.may_be_fenced_by_hand(id)?;
        let intent = self.intent(id, (name.clone(), limit), |_, _| true);
        let message = match intent.epochs.is_empty() {
            true => format!("{name} {verb} turned off by its fence; it is master of nothing"),
            false => format!(
                "{name} {verb} turned off by its fence; once it is off, what it was master of is free"
            ),
        };
        let next = Record { fence: Some(intent), ..self.durable.record.clone() };
        Ok((next, Answered { message, steps: Vec::new() }))
    }

    /// By which name it is fenced, and how long that may take.
    fn may_be_fenced_by_hand(&self, node: NodeId) -> Result<(String, Duration), CommandError> {
        if self.settings.quorum == 0 {
            return Err(NotNowReason::FenceNeedsQuorum.into());
        }
        let Some((name, limit)) = self.fence_of(node) else {
            let leader = self.settings.name.clone();
            return Err(NotNowReason::NoFence { node: self.name_of(node), leader }.into());
        };
        if self.durable.record.maintenance {
            return Err(NotNowReason::Maintenance.into());
        }
        if !self.may_be_turned_off(node, &name) {
            return Err(CommandError::Unsafe(UnsafeReason::FencedAnswers { node: name }));
        }
        if let Some(missing) = self.missing_without(node) {
            let missing = self.names_of(&missing);
            return Err(CommandError::Unsafe(UnsafeReason::QuorumLost { afterwards: true, missing }));
        }
        if self.durable.record.needs < FENCES_RULE {
            return Err(NotNowReason::FencesUnknown { nodes: self.lacking(FENCES_RULE) }.into());
        }
        if let Some(fence) = &self.durable.record.fence {
            return Err(NotNowReason::FenceRuns { node: fence.name.clone() }.into());
        }
        Ok((name, limit))
    }

    /// `koi fence --dry-run`.
    pub(super) fn rehearse_fence(&self, node: &str) -> Result<Answered, CommandError> {
        if !self.acting() {
            return Err(CommandError::NotLeader { leader: self.known_leader() });
        }
        let (next, answered) = self.intent_by_hand(node, "would be")?;
        let Some(intent) = next.fence else { return Ok(answered) };
        let name = &intent.name;
        let mut steps = vec![
            format!("the fence of {name} is noted on the disks of a quorum of electors"),
            format!(
                "{} turns {name} off, and looks whether it is off, within {} s",
                self.settings.name,
                intent.limit.as_secs()
            ),
        ];
        let meant = self.durable.record.masters().filter(|(_, entry)| intent.epochs.contains(&entry.epoch));
        steps.extend(meant.map(|(group, entry)| {
            format!(
                "the mastership of {group} with epoch {} is over, and another node may have the next",
                entry.epoch.0
            )
        }));
        Ok(Answered { message: answered.message, steps })
    }
}
