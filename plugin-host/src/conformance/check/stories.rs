//! The orders in which koi may call the hooks of a service, and what is to come of each call.

use koi_plugin_api::{Context, Failure, Hook, Role};

use crate::conformance::check::verdict::{Expectation, TrialState};

/// Calls that follow each other. Each story begins and ends with the service stopped.
pub(crate) struct Story {
    pub(crate) title: &'static str,
    pub(crate) steps: Vec<Step>,
    /// Each call finds a handler that was just made, as after a restart of koid.
    pub(crate) reopens: bool,
    /// Only for what can do no harm.
    pub(crate) only_harmless: bool,
}

/// One call.
pub(crate) struct Step {
    pub(crate) hook: Hook,
    /// What is particular about it; may be empty.
    pub(crate) what: &'static str,
    pub(crate) expected: Expectation,
    /// Makes its circumstances.
    pub(crate) circumstances: fn(&mut Context),
    /// The node has heard of a newer epoch.
    pub(crate) is_stale: bool,
}

fn ordinary(_: &mut Context) {}

impl Step {
    fn new(hook: Hook, what: &'static str, expected: Expectation) -> Step {
        Step { hook, what, expected, circumstances: ordinary, is_stale: false }
    }

    fn with(self, circumstances: fn(&mut Context)) -> Step {
        Step { circumstances, ..self }
    }
}

fn well(hook: Hook) -> Step {
    Step::new(hook, "", Expectation::Well)
}

fn and(hook: Hook, what: &'static str) -> Step {
    Step::new(hook, what, Expectation::Well)
}

fn status(state: TrialState) -> Step {
    let what = match state {
        TrialState::Stopped => "when it is stopped",
        TrialState::Started | TrialState::Recovered => "when it is started",
        TrialState::Promoted => "when it is promoted",
    };
    Step::new(Hook::Status, what, Expectation::Status(state))
}

/// All of them.
pub(crate) fn stories() -> Vec<Story> {
    let story = |title, steps| Story { title, steps, reopens: false, only_harmless: false };
    vec![
        story("its life", life()),
        Story { reopens: true, ..story("its life, koid restarted before each call", life()) },
        story("again and again", again()),
        story("failures", failures()),
        story("odd circumstances", circumstances()),
        Story { only_harmless: true, ..story("odder circumstances", odder_circumstances()) },
        story("cancelled in the middle", cancelled()),
        story("no time", no_time()),
    ]
}

fn life() -> Vec<Step> {
    vec![
        status(TrialState::Stopped),
        well(Hook::Start),
        status(TrialState::Started),
        well(Hook::Promote),
        status(TrialState::Promoted),
        well(Hook::Demote),
        status(TrialState::Started),
        well(Hook::Stop),
        status(TrialState::Stopped),
    ]
}

fn again() -> Vec<Step> {
    vec![
        and(Hook::Stop, "when it does not run"),
        and(Hook::Demote, "when it does not run"),
        well(Hook::Start),
        and(Hook::Start, "when it runs"),
        and(Hook::Demote, "when it was never promoted"),
        and(Hook::Changed, "when it runs"),
        and(Hook::Changed, "a second time"),
        status(TrialState::Started),
        well(Hook::Promote),
        and(Hook::Promote, "when it is promoted"),
        and(Hook::Changed, "when it is promoted"),
        status(TrialState::Promoted),
        well(Hook::Demote),
        and(Hook::Demote, "a second time"),
        status(TrialState::Started),
        well(Hook::Stop),
        and(Hook::Stop, "a second time"),
        status(TrialState::Stopped),
    ]
}

fn failures() -> Vec<Step> {
    let failed = |what, cause| Step::new(Hook::Failed, what, Expectation::Well).with(cause);
    vec![
        well(Hook::Start),
        failed("after a status that failed", |context| context.cause = cause(Hook::Status, false)),
        and(Hook::Stop, "after a failure"),
        and(Hook::Start, "after a failure"),
        status(TrialState::Started),
        well(Hook::Promote),
        failed("after a demote that was not done in time", |context| {
            context.cause = cause(Hook::Demote, true)
        }),
        and(Hook::Stop, "while it is promoted"),
        status(TrialState::Stopped),
        failed("after a start that failed", |context| context.cause = cause(Hook::Start, false)),
        well(Hook::Start),
        well(Hook::Promote),
        and(Hook::Start, "after a crash that left it promoted"),
        status(TrialState::Recovered),
        well(Hook::Demote),
        well(Hook::Stop),
    ]
}

fn cause(hook: Hook, timed_out: bool) -> Option<Failure> {
    Some(Failure { hook, message: "so that `failed` has something to look at".into(), timed_out })
}

fn circumstances() -> Vec<Step> {
    let before_all = |context: &mut Context| {
        (context.epoch, context.master, context.role) = (0, None, Role::None);
    };
    vec![
        Step::new(Hook::Status, "before there was any master (epoch 0)", Expectation::Answer)
            .with(before_all),
        and(Hook::Start, "at the seventh attempt").with(|context| context.attempt = 7),
        Step {
            is_stale: true,
            ..Step::new(Hook::Promote, "with an epoch that is out of date", Expectation::Answer)
        },
        Step { is_stale: true, ..and(Hook::Demote, "with an epoch that is out of date") },
        and(Hook::Demote, "with epoch 0").with(|context| context.epoch = 0),
        status(TrialState::Started),
        well(Hook::Stop),
    ]
}

/// What might confuse what the handler steers: another node's address, the last epoch that there can be.
fn odder_circumstances() -> Vec<Step> {
    let answer = |hook, what, circumstances| Step::new(hook, what, Expectation::Answer).with(circumstances);
    vec![
        answer(Hook::Start, "while another node is master", elsewhere),
        answer(Hook::Demote, "while another node is master", elsewhere),
        answer(Hook::Changed, "while another node is master", elsewhere),
        answer(Hook::Promote, "with the greatest epoch of all", |context| context.epoch = u64::MAX),
        answer(Hook::Status, "of a node with a long name and a master without an address", |context| {
            context.node = "node-".repeat(51);
            context.master = Some(("mästare-☃".into(), String::new()));
        }),
        answer(Hook::Demote, "", ordinary),
        answer(Hook::Stop, "", ordinary),
    ]
}

fn elsewhere(context: &mut Context) {
    // RFC 5737: nobody's.
    context.master = Some(("elsewhere".into(), "192.0.2.1".into()));
}

fn cancelled() -> Vec<Step> {
    // The harness fills in when.
    cut_short("cancelled", Expectation::Cancelled(std::time::Duration::ZERO))
}

fn no_time() -> Vec<Step> {
    cut_short("with 5 ms", Expectation::CutOff)
}

/// Cuts off each hook, and then does what koi does about it.
fn cut_short(what: &'static str, expected: Expectation) -> Vec<Step> {
    let cut = |hook| Step::new(hook, what, expected);
    vec![
        cut(Hook::Start),
        and(Hook::Stop, "after that start"),
        well(Hook::Start),
        cut(Hook::Promote),
        and(Hook::Demote, "after that promote"),
        well(Hook::Promote),
        cut(Hook::Demote),
        and(Hook::Demote, "after that demote"),
        cut(Hook::Status),
        cut(Hook::Changed),
        status(TrialState::Started),
        cut(Hook::Stop),
        and(Hook::Stop, "after that stop"),
        status(TrialState::Stopped),
        cut(Hook::Failed),
        well(Hook::Stop),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_story_leaves_the_service_stopped() {
        for story in stories() {
            let taken_down =
                story.steps.iter().rev().find(|step| step.hook != Hook::Status).map(|step| step.hook);
            assert_eq!(taken_down, Some(Hook::Stop), "{}", story.title);
        }
    }

    #[test]
    fn every_hook_is_cut_off_in_every_way() {
        for (title, steps) in [("cancelled", cancelled()), ("no time", no_time())] {
            for hook in Hook::ALL {
                let is_cut = |step: &Step| {
                    step.hook == hook
                        && matches!(step.expected, Expectation::Cancelled(_) | Expectation::CutOff)
                };
                assert!(steps.iter().any(is_cut), "{title}: {}", hook.as_str());
            }
        }
    }
}
