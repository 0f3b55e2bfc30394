//! Configuration that nobody would write, and somebody will.

use std::time::Duration;

use koi_plugin_api::{ConfigKind, Hook, HookSet};

use crate::config::setting::Setting;
use crate::conformance::check::verdict::{Case, Expectation, judge};
use crate::conformance::harness::{Harness, TrialCall};
use crate::conformance::loaded_handler::LoadedHandler;
use crate::conformance::report::{Report, Verdict};
use crate::conformance::target::Target;

/// Characters of a value that is too long.
const LONG: usize = 64 * 1024;

type Settings = Vec<Setting>;

/// Tries them all. Hooks that change something run only where that can do no harm.
pub(crate) fn try_all(
    target: &Target,
    loaded: &LoadedHandler<'_>,
    harness: &Harness<'_>,
    report: &mut Report,
) {
    report.part("odd configuration");
    let hooks = if target.is_harmless() { HookSet::LIFECYCLE } else { [Hook::Status].into_iter().collect() };
    for (what, settings) in configurations(loaded, &target.manifest.config) {
        if harness.interrupted() {
            return;
        }
        try_one(loaded, harness, report, what, &settings, hooks);
    }
}

fn configurations(loaded: &LoadedHandler<'_>, given: &Settings) -> Vec<(&'static str, Settings)> {
    let declared = &loaded.facts().metadata.config;
    let mut keys: Vec<&str> = declared.iter().map(|key| key.name.as_str()).collect();
    keys.extend(given.iter().map(|setting| setting.key.as_str()));
    keys.sort_unstable();
    keys.dedup();
    // koid lets no other value of a type through, and reads secrets itself.
    let takes_any = |name: &str| {
        let key = declared.iter().find(|key| key.name == name);
        key.is_none_or(|key| matches!(key.kind, ConfigKind::Any | ConfigKind::Text))
    };
    let all = |value: &str| {
        let odd = keys.iter().filter(|key| takes_any(key)).map(|key| Setting::said(key, value));
        let others = given.iter().filter(|setting| !takes_any(&setting.key)).cloned();
        odd.chain(others).collect::<Settings>()
    };
    let mut unknown = given.clone();
    unknown.push(Setting::said("koi-check-no-such-key", "1"));
    let mut configurations = vec![("nothing set", Vec::new()), ("with an unknown key", unknown)];
    if keys.iter().any(|key| takes_any(key)) {
        configurations.push(("all texts empty", all("")));
        configurations.push(("all texts of 64 KiB", all(&"x".repeat(LONG))));
        configurations
            .push(("all texts beyond ASCII", all("ünï¢ødé ☃ \u{1f980} \u{202e}\t'\"\\ %s {} $(x)")));
        configurations.push(("all texts a negative number", all("-9223372036854775809")));
    }
    configurations
}

fn try_one(
    loaded: &LoadedHandler<'_>,
    harness: &Harness<'_>,
    report: &mut Report,
    what: &str,
    settings: &Settings,
    hooks: HookSet,
) {
    let opened = loaded.settle(settings).and_then(|config| Ok((loaded.open(&config)?, config)));
    let (opened, config) = match opened {
        Ok(both) => both,
        Err(error) => {
            let said = format!("refused before any hook: {error}");
            report.add(Verdict::Ok, what, &said, Duration::ZERO);
            return;
        }
    };
    // Down again in the end.
    let order = [Hook::Start, Hook::Promote, Hook::Status, Hook::Demote, Hook::Failed, Hook::Stop];
    let own = loaded.facts().metadata.hooks;
    for hook in order.into_iter().filter(|hook| hooks.has(*hook) && own.has(*hook)) {
        let context = harness.context(hook, loaded.home(), &config.values);
        let timeout = context.timeout;
        let ran = harness.run(
            &opened.handler,
            TrialCall { hook, newest_epoch: context.epoch, context, cancel_after: None },
        );
        let case = Case {
            expected: Expectation::Answer,
            is_service: false,
            upset: true,
            moves: true,
            reopened: false,
            timeout,
        };
        let (verdict, said) = judge(case, &ran);
        report.add(verdict, &format!("{}, {what}", hook.as_str()), &said, ran.took);
        if verdict == Verdict::Fail {
            report.log(&ran.lines);
        }
    }
    harness.close(opened.handler);
}
