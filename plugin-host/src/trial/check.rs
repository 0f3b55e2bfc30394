//! Tries all of a handler: `koi plugins check`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use koi_plugin_api::{Handler, Hook, HookError, HookSet, Observed, Outcome, Role};
use serde_json::json;

use super::args::Args;
use super::bench::{Bench, EPOCH, End, Order, Ran};
use super::error::TrialError;
use super::interrupt::Interrupt;
use super::loading::{load, open};
use super::report::{Report, Verdict, shown};
use super::scratch::Scratch;
use super::stories::{Step, Story, stories};
use super::subject::Subject;
use super::target::Target;
use super::verdict::{Case, Place, Want, judge};
use super::{exit, odd};
use crate::plugin::Kind;

/// The time of a call that is to be cut off.
const NO_TIME: Duration = Duration::from_millis(5);

/// A hook that was not done in time once is not waited for as long again.
const SHORTENED: Duration = Duration::from_secs(2);

/// The whole of it.
pub(super) fn check(args: &Args, target: &Target) -> Result<u8, TrialError> {
    let interrupt = Interrupt::watch();
    let scratch = Scratch::new(target.kind(), None, &target.name)?;
    let mut report = Report::new(args);
    let mut unchecked = Vec::new();
    let mut facts = json!({ "file": target.path(), "kind": target.kind().as_str() });
    let mut code = exit::FAILED;
    report.part(&format!("loading {}", target.path().display()));
    if let Some(subject) = load(target, &scratch, &mut report) {
        let metadata = &subject.facts().metadata;
        facts = json!({
            "file": target.path(), "kind": target.kind().as_str(), "name": metadata.name, "version": metadata.version,
            "api": subject.facts().api,
        });
        if let Some((handler, config)) = open(target, &subject, &mut report, &mut unchecked) {
            let bench = Bench::new(target, args.timeout, interrupt)?;
            let mut check = Check::new(target, &subject, &bench, handler, config, &mut report);
            if !args.really && check.runs_already() {
                code = exit::UNSAFE;
                unchecked.push(
                    "anything else: it runs already, and would be stopped; --really does it all the same"
                        .into(),
                );
            } else {
                check.all();
            }
            if bench.interrupted() {
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
pub(super) struct Check<'c> {
    pub(super) target: &'c Target,
    pub(super) subject: &'c Subject<'c>,
    pub(super) bench: &'c Bench<'c>,
    pub(super) report: &'c mut Report,
    pub(super) config: Vec<(String, String)>,
    handler: Arc<dyn Handler>,
    hooks: HookSet,
    /// How long each hook took when it was left alone.
    took: HashMap<Hook, Duration>,
    /// Those that were not done in time.
    slow: HookSet,
    masterships: u64,
    /// What would be left behind if nothing else was called.
    place: Place,
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
        subject: &'c Subject<'c>,
        bench: &'c Bench<'c>,
        handler: Arc<dyn Handler>,
        config: Vec<(String, String)>,
        report: &'c mut Report,
    ) -> Check<'c> {
        let hooks = subject.facts().metadata.hooks;
        Check {
            target,
            subject,
            bench,
            report,
            config,
            handler,
            hooks,
            took: HashMap::new(),
            slow: HookSet::default(),
            masterships: 0,
            place: Place::Stopped,
        }
    }

    /// Whether a first look says that somebody else has started it.
    fn runs_already(&mut self) -> bool {
        if !self.target.is_service() || !self.hooks.has(Hook::Status) {
            return false;
        }
        self.report.part("a first look");
        let handler = self.handler.clone();
        let context = self.bench.context(Hook::Status, self.subject.home(), &self.config);
        let order = Order { hook: Hook::Status, newest_epoch: context.epoch, context, cancel_after: None };
        let ran = self.bench.run(&handler, order);
        let case = Case {
            want: Want::Answer,
            is_service: true,
            upset: false,
            moves: true,
            reopened: false,
            timeout: self.bench.timeout(Hook::Status),
        };
        let (verdict, said) = judge(case, &ran);
        self.report.add(verdict, "status", &said, ran.took);
        let End::Result(Ok(Outcome::Status(report))) = &ran.end else { return false };
        matches!(report.observed, Observed::Promoted | Observed::Standby | Observed::Live)
            && [Hook::Start, Hook::Stop].iter().any(|hook| self.hooks.has(*hook))
    }

    fn all(&mut self) {
        for story in stories() {
            let skipped = (story.only_harmless && !self.target.is_harmless())
                // Of the others no call can find anything of an earlier one.
                || (story.reopens && self.target.kind() != Kind::Native);
            if !skipped && !self.bench.interrupted() {
                self.tell(&story);
            }
        }
        if !self.bench.interrupted() {
            odd::odd_configurations(self);
        }
        self.tidy_up();
    }

    fn tell(&mut self, story: &Story) {
        self.report.part(story.title);
        let mut upset = false;
        // A status after nothing says nothing new.
        let mut moved = true;
        for step in &story.steps {
            if self.bench.interrupted() {
                return;
            }
            let is_look = matches!(step.want, Want::Status(_));
            if !self.hooks.has(step.hook) || (is_look && !moved) {
                continue;
            }
            moved = !is_look;
            if story.reopens && !self.reopen() {
                return;
            }
            let verdict = self.step(step, Before { upset, reopened: story.reopens });
            upset |= match step.want {
                Want::Well => verdict != Verdict::Ok,
                // Who may refuse leaves open where the service is.
                Want::Answer => true,
                Want::Status(_) | Want::Cancelled(_) | Want::CutOff => false,
            };
            if matches!(step.want, Want::Well) && verdict == Verdict::Ok && step.hook == Hook::Stop {
                upset = false;
            }
        }
    }

    fn reopen(&mut self) -> bool {
        match self.subject.open(&self.config) {
            Ok(opened) => {
                let before = std::mem::replace(&mut self.handler, opened.handler);
                self.bench.close(before);
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
        let want = match step.want {
            Want::Cancelled(_) => Want::Cancelled(order.cancel_after.unwrap_or_default()),
            other => other,
        };
        let case = Case {
            want,
            is_service: self.target.is_service(),
            upset: before.upset,
            moves: self.moves(step.want),
            reopened: before.reopened,
            timeout: order.context.timeout,
        };
        let handler = self.handler.clone();
        let ran = self.bench.run(&handler, order);
        self.follow(step.hook, want, &ran);
        self.say(step, case, &ran)
    }

    fn say(&mut self, step: &Step, case: Case, ran: &Ran) -> Verdict {
        let (verdict, mut said) = judge(case, ran);
        let whole = self.bench.timeout(step.hook);
        if case.want != Want::CutOff && case.timeout < whole && is_late(ran) {
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

    fn order(&mut self, step: &Step) -> Order {
        let mut context = self.bench.context(step.hook, self.subject.home(), &self.config);
        if step.hook == Hook::Promote {
            self.masterships += 1;
        }
        context.epoch = EPOCH * (self.masterships + 1);
        (context.role, context.node_state) = match (step.hook, step.want) {
            (Hook::Promote, _) | (_, Want::Status(Place::Promoted)) => (Role::Promoted, "Master".into()),
            (Hook::Stop, _) | (_, Want::Status(Place::Stopped)) => (Role::None, "Stopped".into()),
            _ => (Role::Standby, "Slave".into()),
        };
        if context.role == Role::Promoted {
            context.master = Some((context.node.clone(), "127.0.0.1".into()));
        }
        if self.slow.has(step.hook) {
            context.timeout = context.timeout.min(SHORTENED);
        }
        if step.want == Want::CutOff {
            context.timeout = NO_TIME;
        }
        (step.circumstances)(&mut context);
        let newest_epoch = context.epoch.saturating_add(if step.is_stale { EPOCH } else { 0 });
        let half = self.took.get(&step.hook).copied().unwrap_or_default() / 2;
        let cancel_after = matches!(step.want, Want::Cancelled(_)).then_some(half);
        Order { hook: step.hook, context, newest_epoch, cancel_after }
    }

    /// Keeps account of where the service is, at worst, and of how long hooks take.
    fn follow(&mut self, hook: Hook, want: Want, ran: &Ran) {
        let well = matches!(ran.end, End::Result(Ok(_)));
        if want == Want::Well {
            self.took.insert(hook, ran.took);
        }
        if is_late(ran) && want != Want::CutOff {
            self.slow = self.slow.with(hook);
        }
        self.place = match (hook, well) {
            (Hook::Start, _) if self.place == Place::Stopped => Place::Started,
            (Hook::Promote, _) => Place::Promoted,
            (Hook::Demote, true) if self.place == Place::Promoted => Place::Started,
            (Hook::Stop, true) => Place::Stopped,
            _ => self.place,
        };
    }

    /// Whether it has the hooks without which a status cannot change.
    fn moves(&self, want: Want) -> bool {
        match want {
            Want::Status(Place::Stopped) => self.hooks.has(Hook::Stop),
            Want::Status(Place::Started | Place::Recovered) => self.hooks.has(Hook::Start),
            Want::Status(Place::Promoted) => self.hooks.has(Hook::Promote),
            Want::Well | Want::Answer | Want::Cancelled(_) | Want::CutOff => true,
        }
    }

    /// Takes down what an interrupted story has left.
    fn tidy_up(&mut self) {
        let needed: &[Hook] = match self.place {
            Place::Stopped => return,
            Place::Started | Place::Recovered => &[Hook::Stop],
            Place::Promoted => &[Hook::Demote, Hook::Stop],
        };
        self.report.part("taking it down");
        for hook in needed.iter().copied() {
            if !self.hooks.has(hook) {
                continue;
            }
            let step = Step { hook, what: "", want: Want::Well, circumstances: |_| {}, is_stale: false };
            self.step(&step, Before { upset: true, reopened: false });
        }
    }

    fn close(self) {
        self.bench.close(self.handler);
    }
}

/// Whether its time was over before it was done.
fn is_late(ran: &Ran) -> bool {
    match &ran.end {
        End::Result(result) => matches!(result, Err(HookError::TimedOut(_))),
        End::Hung | End::Panicked => true,
    }
}
