//! What took how long, and what that is compared with.

use std::time::Duration;

use koi_proto::api::ServiceState;
use serde_json::{Value, json};

use super::plan::{Bounds, Fault, Plan};
use crate::commands::cluster::chronicle::{Entry, Measured, Moment};
use crate::commands::cluster::promotion::{find, last_promoted};
use crate::render::cluster::promoted::{ceil_ms, ms};
use crate::render::layout::clock::span_of;

/// A part of what has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Phase {
    /// A word for programs.
    pub(crate) id: &'static str,
    /// For people.
    pub(crate) what: String,
    /// None: no node has told of its beginning and its end.
    pub(crate) took: Option<Measured>,
    pub(crate) bound: Option<Bound>,
}

/// What a time should not exceed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) at_most: Duration,
    /// Where that comes from.
    pub(crate) name: &'static str,
}

/// How a time compares with its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Within,
    /// A slower day, and it is exceeded.
    OverHalf,
    /// Surely so: by more than the measurement may be wrong.
    Exceeded,
    /// There is nothing to compare it with.
    Unbounded,
    NotMeasured,
}

impl Finding {
    /// A word for people and programs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Finding::Within => "ok",
            Finding::OverHalf => "over half",
            Finding::Exceeded => "EXCEEDED",
            Finding::Unbounded => "",
            Finding::NotMeasured => "not measured",
        }
    }
}

impl Phase {
    pub(crate) fn finding(&self) -> Finding {
        match (&self.took, &self.bound) {
            (None, _) => Finding::NotMeasured,
            (Some(_), None) => Finding::Unbounded,
            (Some(time), Some(bound)) if time.took.saturating_sub(time.within) > bound.at_most => {
                Finding::Exceeded
            }
            (Some(time), Some(bound)) if time.took > bound.at_most / 2 => Finding::OverHalf,
            (Some(_), Some(_)) => Finding::Within,
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "phase": self.id,
            "what": self.what,
            "took_ms": self.took.map(ms),
            "within_ms": self.took.map(|time| ceil_ms(time.within)),
            "bound": self.bound.as_ref().map(|bound| bound.name),
            "bound_ms": self.bound.as_ref().map(|bound| ceil_ms(bound.at_most)),
            "finding": self.finding().as_str(),
        })
    }

    /// `b demotes: 21ms (demote_grace 1.0s)`.
    pub(crate) fn sentence(&self) -> String {
        let took = self.took.map_or_else(|| "not measured".to_owned(), |time| span_of(time.took));
        match &self.bound {
            Some(bound) => format!("{}: {took} ({} {})", self.what, bound.name, span_of(bound.at_most)),
            None => format!("{}: {took}", self.what),
        }
    }
}

/// What the nodes tell of a fault that was brought about at `given`.
pub(crate) fn read(plan: &Plan, told: &[Entry], given: Moment) -> Vec<Phase> {
    let from = plan.from.as_str();
    if let (Some(restarting), Fault::ServiceFailure { service, patience }) =
        (find(told, from, "restarting"), &plan.fault)
        && find(told, from, "failed").is_none()
    {
        let restarted = find(told, from, "restarted");
        let took = restarted.map(|restarted| restarted.at.since(restarting.at));
        let at_most = Duration::from_millis(patience.restart_timeout_ms);
        return vec![
            phase("detection", detection(plan), Some(restarting.at.since(given)), None),
            phase(
                "restart",
                format!("{service} is restarted in place"),
                took,
                bound("restart_timeout", at_most),
            ),
        ];
    }
    moved(plan, told, given)
}

/// The role has moved to another node.
fn moved(plan: &Plan, told: &[Entry], given: Moment) -> Vec<Phase> {
    let Plan { from, bounds, fault, .. } = plan;
    let Bounds { leader_lease, master_lease, demote_grace } = *bounds;
    let granted = told.iter().find(|entry| entry.event.kind == "lease-gained" && entry.event.node != *from);
    let to = granted.map_or(plan.to.as_str(), |granted| granted.event.node.as_str());
    let seen = match fault {
        Fault::SwitchOver => told.iter().find(|entry| {
            let goes_down =
                entry.event.state == Some(ServiceState::Demoting) || entry.event.kind == "lease-released";
            entry.event.node == *from && goes_down
        }),
        Fault::DaemonCrash { .. } => {
            told.iter().find(|entry| entry.event.kind == "node-dead" && entry.event.node != *from)
        }
        Fault::ServiceFailure { .. } => find(told, from, "failed"),
    };
    let released = find(told, from, "lease-released");
    let between = |from: Option<&Entry>, to: Option<&Entry>| Some(to?.at.since(from?.at));
    let since = |entry: Option<&Entry>| Some(entry?.at.since(given));
    let lease = bound("master_lease", master_lease);
    let mut phases = match fault {
        Fault::SwitchOver => vec![phase("detection", detection(plan), since(seen), lease)],
        // A status is due when it is due.
        Fault::ServiceFailure { .. } => vec![phase("detection", detection(plan), since(seen), None)],
        Fault::DaemonCrash { .. } => vec![phase("detection", detection(plan), since(seen), lease)],
    };
    match fault {
        // Of a dead daemon's demotion nobody tells but by what follows.
        Fault::DaemonCrash { .. } => phases.push(phase(
            "demotion-and-grant",
            format!("its guardian demotes, and {to} is granted the role"),
            between(seen, granted),
            bound("demote_grace + leader_lease", demote_grace + leader_lease),
        )),
        Fault::SwitchOver | Fault::ServiceFailure { .. } => {
            let down = if matches!(fault, Fault::SwitchOver) { "demotes" } else { "takes its services down" };
            phases.push(phase(
                "demotion",
                format!("{from} {down}"),
                between(seen, released),
                bound("demote_grace", demote_grace),
            ));
            let grant = between(released, granted);
            phases.push(phase(
                "grant",
                format!("{to} is granted the role"),
                grant,
                bound("leader_lease", leader_lease),
            ));
        }
    }
    let promoted = granted.map(|granted| last_promoted(told, granted));
    phases.push(phase("promotion", format!("{to} promotes its services"), between(granted, promoted), None));
    // What was only due later was no time without a master.
    let begin =
        if matches!(fault, Fault::ServiceFailure { .. }) { seen.map(|seen| seen.at) } else { Some(given) };
    let until_granted = begin.zip(granted).map(|(begin, granted)| granted.at.since(begin));
    let in_all = bound("master_lease + demote_grace", master_lease + demote_grace);
    phases.push(phase("takeover", format!("until {to} may promote"), until_granted, in_all));
    phases
}

fn detection(plan: &Plan) -> String {
    let from = &plan.from;
    match &plan.fault {
        Fault::SwitchOver => format!("{from} is told"),
        Fault::DaemonCrash { .. } => format!("the others know that koid of {from} is dead"),
        Fault::ServiceFailure { service, .. } => format!("the failure of {service} is seen"),
    }
}

fn phase(id: &'static str, what: String, took: Option<Measured>, bound: Option<Bound>) -> Phase {
    Phase { id, what, took, bound }
}

fn bound(name: &'static str, at_most: Duration) -> Option<Bound> {
    Some(Bound { at_most, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(took_ms: u64) -> Phase {
        let within = Duration::from_millis(2);
        let measured = Measured { took: Duration::from_millis(took_ms), within };
        phase(
            "demotion",
            "b demotes".to_owned(),
            Some(measured),
            bound("demote_grace", Duration::from_secs(1)),
        )
    }

    #[test]
    fn a_bound_is_exceeded_when_that_is_sure() {
        let found = [400, 600, 1_001, 1_003].map(|ms| took(ms).finding());
        assert_eq!(found, [Finding::Within, Finding::OverHalf, Finding::OverHalf, Finding::Exceeded]);
        let unmeasured = Phase { took: None, ..took(1) };
        assert_eq!(unmeasured.finding(), Finding::NotMeasured);
        assert_eq!(Phase { bound: None, ..took(1) }.finding(), Finding::Unbounded);
    }
}
