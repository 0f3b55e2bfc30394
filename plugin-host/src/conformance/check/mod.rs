//! Tries all of a handler: `koi plugins check`.

mod describe;
mod hostile_config;
mod loading;
mod service;
mod stories;
pub(crate) mod verdict;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use koi_plugin_api::{Handler, Hook, HookError, HookSet, Observed, Outcome, Role};
use serde_json::json;

use crate::config::setting::ServiceConfig;
use crate::conformance::args::Args;
use crate::conformance::check::loading::{load, open};
use crate::conformance::check::stories::{Step, Story, stories};
use crate::conformance::check::verdict::{Case, Expectation, TrialState, judge};
use crate::conformance::error::TrialError;
use crate::conformance::exit;
use crate::conformance::harness::{CallEnd, CallReport, EPOCH, Harness, TrialCall};
use crate::conformance::interrupt::Interrupt;
use crate::conformance::loaded_handler::LoadedHandler;
use crate::conformance::report::{Report, Verdict, shown};
use crate::conformance::scratch::Scratch;
use crate::conformance::target::Target;
use crate::plugin::Kind;

/// The time of a call that is to be cut off.
const NO_TIME: Duration = Duration::from_millis(5);

/// A hook that was not done in time once is not waited for as long again.
const SHORTENED: Duration = Duration::from_secs(2);

/// The whole of it.
pub(crate) fn check(args: &Args, target: &Target) -> Result<u8, TrialError> {
    let interrupt = Interrupt::watch();
    let scratch = Scratch::new(target.kind(), None, &target.name)?;
    let mut report = Report::new(args);
    let mut unchecked = Vec::new();
    let mut facts = json!({ "file": target.path(), "kind": target.kind().as_str() });
    let mut code = exit::FAILED;
    report.part(&format!("loading {}", target.path().display()));
    if let Some(loaded) = load(target, &scratch, &mut report) {
        let metadata = &loaded.facts().metadata;
        facts = json!({
            "file": target.path(), "kind": target.kind().as_str(), "name": metadata.name, "version": metadata.version,
            "api": loaded.facts().api,
        });
        if let Some((handler, config)) = open(target, &loaded, &mut report, &mut unchecked) {
            let harness = Harness::new(target, args.timeout, interrupt)?;
            let mut check = Check::new(target, &loaded, &harness, handler, config, &mut report);
            if !args.really && check.runs_already() {
                code = exit::UNSAFE;
                unchecked.push(
                    "anything else: it runs already, and would be stopped; --really does it all the same"
                        .into(),
                );
            } else {
                check.all();
            }
            if harness.interrupted() {
                code = exit::INTERRUPTED;
                unchecked.push("the rest: interrupted".into());
            }
            check.close();
        }
        if target.kind() == Kind::Native && !target.is_service() {
            unchecked.push(
                "whether it does what it is for: a library is in no sandbox, its hooks ran as they are"
                    .into(),
            );
        }
    }
    report.finish(&unchecked, facts);
    Ok(match (code, report.failed()) {
        (exit::FAILED, failed) => u8::from(failed),
        (other, _) => other,
    })
}

/// The trial of one handler's hooks.
pub(crate) struct Check<'c> {
    pub(crate) target: &'c Target,
    pub(crate) loaded: &'c LoadedHandler<'c>,
    pub(crate) harness: &'c Harness<'c>,
    pub(crate) report: &'c mut Report,
    pub(crate) config: ServiceConfig,
    handler: Arc<dyn Handler>,
    hooks: HookSet,
    /// How long each hook took when it was left alone.
    took: HashMap<Hook, Duration>,
    /// Those that were not done in time.
    slow: HookSet,
    masterships: u64,
    /// What would be left behind if nothing else was called.
    state: TrialState,
}

/// What came before a call.
#[derive(Clone, Copy)]
struct Before {
    /// Something did not go well.
    upset: bool,
    /// The handler was made anew.
    reopened: bool,
}

impl<'c> Check<'c> {
    fn new(
        target: &'c Target,
        loaded: &'c LoadedHandler<'c>,
        harness: &'c Harness<'c>,
        handler: Arc<dyn Handler>,
        config: ServiceConfig,
        report: &'c mut Report,
    ) -> Check<'c> {
        let hooks = loaded.facts().metadata.hooks;
        Check {
            target,
            loaded,
            harness,
            report,
            config,
            handler,
            hooks,
            took: HashMap::new(),
            slow: HookSet::default(),
            masterships: 0,
            state: TrialState::Stopped,
        }
    }

    /// Whether a first look says that somebody else has started it.
    fn runs_already(&mut self) -> bool {
        if !self.target.is_service() || !self.hooks.has(Hook::Status) {
            return false;
        }
        self.report.part("a first look");
        let handler = self.handler.clone();
        let context = self.harness.context(Hook::Status, self.loaded.home(), &self.config.values);
        let order =
            TrialCall { hook: Hook::Status, newest_epoch: context.epoch, context, cancel_after: None };
        let ran = self.harness.run(&handler, order);
        let case = Case {
            expected: Expectation::Answer,
            is_service: true,
            upset: false,
            moves: true,
            reopened: false,
            timeout: self.harness.timeout(Hook::Status),
        };
        let (verdict, said) = judge(case, &ran);
        self.report.add(verdict, "status", &said, ran.took);
        let CallEnd::Result(Ok(Outcome::Status(report))) = &ran.end else { return false };
        matches!(report.observed, Observed::Promoted | Observed::Standby | Observed::Live)
            && [Hook::Start, Hook::Stop].iter().any(|hook| self.hooks.has(*hook))
    }

    fn all(&mut self) {
        for story in stories() {
            let skipped = (story.only_harmless && !self.target.is_harmless())
                // Of the others no call can find anything of an earlier one.
                || (story.reopens && self.target.kind() != Kind::Native);
            if !skipped && !self.harness.interrupted() {
                self.tell(&story);
            }
        }
        if !self.harness.interrupted() {
            hostile_config::try_all(self.target, self.loaded, self.harness, self.report);
        }
        self.tidy_up();
    }

    fn tell(&mut self, story: &Story) {
        self.report.part(story.title);
        let mut upset = false;
        // A status after nothing says nothing new.
        let mut moved = true;
        for step in &story.steps {
            if self.harness.interrupted() {
                return;
            }
            let is_look = matches!(step.expected, Expectation::Status(_));
            if !self.hooks.has(step.hook) || (is_look && !moved) {
                continue;
            }
            moved = !is_look;
            if story.reopens && !self.reopen() {
                return;
            }
            let verdict = self.step(step, Before { upset, reopened: story.reopens });
            upset |= match step.expected {
                Expectation::Well => verdict != Verdict::Ok,
                // Who may refuse leaves open where the service is.
                Expectation::Answer => true,
                Expectation::Status(_) | Expectation::Cancelled(_) | Expectation::CutOff => false,
            };
            if matches!(step.expected, Expectation::Well) && verdict == Verdict::Ok && step.hook == Hook::Stop
            {
                upset = false;
            }
        }
    }

    fn reopen(&mut self) -> bool {
        match self.loaded.open(&self.config) {
            Ok(opened) => {
                let before = std::mem::replace(&mut self.handler, opened.handler);
                self.harness.close(before);
                true
            }
            Err(error) => {
                self.report.add(Verdict::Fail, "open", &error.to_string(), Duration::ZERO);
                false
            }
        }
    }

    /// One call, and what is said of it.
    fn step(&mut self, step: &Step, before: Before) -> Verdict {
        let order = self.order(step);
        let expected = match step.expected {
            Expectation::Cancelled(_) => Expectation::Cancelled(order.cancel_after.unwrap_or_default()),
            other => other,
        };
        let case = Case {
            expected,
            is_service: self.target.is_service(),
            upset: before.upset,
            moves: self.moves(step.expected),
            reopened: before.reopened,
            timeout: order.context.timeout,
        };
        let handler = self.handler.clone();
        let ran = self.harness.run(&handler, order);
        self.follow(step.hook, expected, &ran);
        self.say(step, case, &ran)
    }

    fn say(&mut self, step: &Step, case: Case, ran: &CallReport) -> Verdict {
        let (verdict, mut said) = judge(case, ran);
        let whole = self.harness.timeout(step.hook);
        if case.expected != Expectation::CutOff && case.timeout < whole && is_late(ran) {
            let (given, whole) = (shown(case.timeout), shown(whole));
            said.push_str(&format!(" (it was late before: from then on it gets {given}, not {whole})"));
        }
        let what = [step.hook.as_str(), step.what].join(" ");
        self.report.add(verdict, what.trim(), &said, ran.took);
        if verdict == Verdict::Fail {
            self.report.log(&ran.lines);
        }
        verdict
    }

    fn order(&mut self, step: &Step) -> TrialCall {
        let mut context = self.harness.context(step.hook, self.loaded.home(), &self.config.values);
        if step.hook == Hook::Promote {
            self.masterships += 1;
        }
        context.epoch = EPOCH * (self.masterships + 1);
        (context.role, context.node_state) = match (step.hook, step.expected) {
            (Hook::Promote, _) | (_, Expectation::Status(TrialState::Promoted)) => {
                (Role::Promoted, "Master".into())
            }
            (Hook::Stop, _) | (_, Expectation::Status(TrialState::Stopped)) => (Role::None, "Stopped".into()),
            _ => (Role::Standby, "Slave".into()),
        };
        if context.role == Role::Promoted {
            context.master = Some((context.node.clone(), "127.0.0.1".into()));
        }
        if self.slow.has(step.hook) {
            context.timeout = context.timeout.min(SHORTENED);
        }
        if step.expected == Expectation::CutOff {
            context.timeout = NO_TIME;
        }
        (step.circumstances)(&mut context);
        let newest_epoch = context.epoch.saturating_add(if step.is_stale { EPOCH } else { 0 });
        let half = self.took.get(&step.hook).copied().unwrap_or_default() / 2;
        let cancel_after = matches!(step.expected, Expectation::Cancelled(_)).then_some(half);
        TrialCall { hook: step.hook, context, newest_epoch, cancel_after }
    }

    /// Keeps account of where the service is, at worst, and of how long hooks take.
    fn follow(&mut self, hook: Hook, expected: Expectation, ran: &CallReport) {
        let well = matches!(ran.end, CallEnd::Result(Ok(_)));
        if expected == Expectation::Well {
            self.took.insert(hook, ran.took);
        }
        if is_late(ran) && expected != Expectation::CutOff {
            self.slow = self.slow.with(hook);
        }
        self.state = match (hook, well) {
            (Hook::Start, _) if self.state == TrialState::Stopped => TrialState::Started,
            (Hook::Promote, _) => TrialState::Promoted,
            (Hook::Demote, true) if self.state == TrialState::Promoted => TrialState::Started,
            (Hook::Stop, true) => TrialState::Stopped,
            _ => self.state,
        };
    }

    /// Whether it has the hooks without which a status cannot change.
    fn moves(&self, expected: Expectation) -> bool {
        match expected {
            Expectation::Status(TrialState::Stopped) => self.hooks.has(Hook::Stop),
            Expectation::Status(TrialState::Started | TrialState::Recovered) => self.hooks.has(Hook::Start),
            Expectation::Status(TrialState::Promoted) => self.hooks.has(Hook::Promote),
            Expectation::Well | Expectation::Answer | Expectation::Cancelled(_) | Expectation::CutOff => true,
        }
    }

    /// Takes down what an interrupted story has left.
    fn tidy_up(&mut self) {
        let needed: &[Hook] = match self.state {
            TrialState::Stopped => return,
            TrialState::Started | TrialState::Recovered => &[Hook::Stop],
            TrialState::Promoted => &[Hook::Demote, Hook::Stop],
        };
        self.report.part("taking it down");
        for hook in needed.iter().copied() {
            if !self.hooks.has(hook) {
                continue;
            }
            let step =
                Step { hook, what: "", expected: Expectation::Well, circumstances: |_| {}, is_stale: false };
            self.step(&step, Before { upset: true, reopened: false });
        }
    }

    fn close(self) {
        self.harness.close(self.handler);
    }
}

/// Whether its time was over before it was done.
fn is_late(ran: &CallReport) -> bool {
    match &ran.end {
        CallEnd::Result(result) => matches!(result, Err(HookError::TimedOut(_))),
        CallEnd::Hung | CallEnd::Panicked => true,
    }
}
