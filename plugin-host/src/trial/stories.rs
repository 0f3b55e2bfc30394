//! The orders in which koi may call the hooks of a service, and what is to come of each call.

use koi_plugin_api::{Context, Failure, Hook, Role};

use super::verdict::{Place, Want};

/// Calls that follow each other. Each story begins and ends with the service stopped.
pub(super) struct Story {
    pub(super) title: &'static str,
    pub(super) steps: Vec<Step>,
    /// Each call finds a handler that was just made, as after a restart of koid.
    pub(super) reopens: bool,
    /// Only for what can do no harm.
    pub(super) only_harmless: bool,
}

/// One call.
pub(super) struct Step {
    pub(super) hook: Hook,
    /// What is particular about it; may be empty.
    pub(super) what: &'static str,
    pub(super) want: Want,
    /// Makes its circumstances.
    pub(super) circumstances: fn(&mut Context),
    /// The node has heard of a newer epoch.
    pub(super) is_stale: bool,
}

fn ordinary(_: &mut Context) {}

impl Step {
    fn new(hook: Hook, what: &'static str, want: Want) -> Step {
        Step { hook, what, want, circumstances: ordinary, is_stale: false }
    }

    fn with(self, circumstances: fn(&mut Context)) -> Step {
        Step { circumstances, ..self }
    }
}

fn well(hook: Hook) -> Step {
    Step::new(hook, "", Want::Well)
}

fn and(hook: Hook, what: &'static str) -> Step {
    Step::new(hook, what, Want::Well)
}

fn status(place: Place) -> Step {
    let what = match place {
        Place::Stopped => "when it is stopped",
        Place::Started | Place::Recovered => "when it is started",
        Place::Promoted => "when it is promoted",
    };
    Step::new(Hook::Status, what, Want::Status(place))
}

/// All of them.
pub(super) fn stories() -> Vec<Story> {
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
        status(Place::Stopped),
        well(Hook::Start),
        status(Place::Started),
        well(Hook::Promote),
        status(Place::Promoted),
        well(Hook::Demote),
        status(Place::Started),
        well(Hook::Stop),
        status(Place::Stopped),
    ]
}

fn again() -> Vec<Step> {
    vec![
        and(Hook::Stop, "when it does not run"),
        and(Hook::Demote, "when it does not run"),
        well(Hook::Start),
        and(Hook::Start, "when it runs"),
        and(Hook::Demote, "when it was never promoted"),
        status(Place::Started),
        well(Hook::Promote),
        and(Hook::Promote, "when it is promoted"),
        status(Place::Promoted),
        well(Hook::Demote),
        and(Hook::Demote, "a second time"),
        status(Place::Started),
        well(Hook::Stop),
        and(Hook::Stop, "a second time"),
        status(Place::Stopped),
    ]
}

fn failures() -> Vec<Step> {
    let failed = |what, cause| Step::new(Hook::Failed, what, Want::Well).with(cause);
    vec![
        well(Hook::Start),
        failed("after a status that failed", |context| context.cause = cause(Hook::Status, false)),
        and(Hook::Stop, "after a failure"),
        and(Hook::Start, "after a failure"),
        status(Place::Started),
        well(Hook::Promote),
        failed("after a demote that was not done in time", |context| {
            context.cause = cause(Hook::Demote, true)
        }),
        and(Hook::Stop, "while it is promoted"),
        status(Place::Stopped),
        failed("after a start that failed", |context| context.cause = cause(Hook::Start, false)),
        well(Hook::Start),
        well(Hook::Promote),
        and(Hook::Start, "after a crash that left it promoted"),
        status(Place::Recovered),
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
        Step::new(Hook::Status, "before there was any master (epoch 0)", Want::Answer).with(before_all),
        and(Hook::Start, "at the seventh attempt").with(|context| context.attempt = 7),
        Step {
            is_stale: true,
            ..Step::new(Hook::Promote, "with an epoch that is out of date", Want::Answer)
        },
        Step { is_stale: true, ..and(Hook::Demote, "with an epoch that is out of date") },
        and(Hook::Demote, "with epoch 0").with(|context| context.epoch = 0),
        status(Place::Started),
        well(Hook::Stop),
    ]
}

/// What might confuse what the handler steers: another node's address, the last epoch that there can be.
fn odder_circumstances() -> Vec<Step> {
    let answer = |hook, what, circumstances| Step::new(hook, what, Want::Answer).with(circumstances);
    vec![
        answer(Hook::Start, "while another node is master", elsewhere),
        answer(Hook::Demote, "while another node is master", elsewhere),
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
    // The bench fills in when.
    cut_short("cancelled", Want::Cancelled(std::time::Duration::ZERO))
}

fn no_time() -> Vec<Step> {
    cut_short("with 5 ms", Want::CutOff)
}

/// Cuts off each hook, and then does what koi does about it.
fn cut_short(what: &'static str, want: Want) -> Vec<Step> {
    let cut = |hook| Step::new(hook, what, want);
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
        status(Place::Started),
        cut(Hook::Stop),
        and(Hook::Stop, "after that stop"),
        status(Place::Stopped),
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
                let is_cut =
                    |step: &Step| step.hook == hook && matches!(step.want, Want::Cancelled(_) | Want::CutOff);
                assert!(steps.iter().any(is_cut), "{title}: {}", hook.as_str());
            }
        }
    }
}
