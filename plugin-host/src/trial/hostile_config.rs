//! Configuration that nobody would write, and somebody will.

use std::time::Duration;

use koi_plugin_api::{Hook, HookSet};

use super::check::Check;
use super::harness::TrialCall;
use super::report::Verdict;
use super::verdict::{Case, Expectation, judge};

/// Characters of a value that is too long.
const LONG: usize = 64 * 1024;

type Settings = Vec<(String, String)>;

/// Tries them all. Hooks that change something run only where that can do no harm.
pub(super) fn try_all(check: &mut Check<'_>) {
    check.report.part("odd configuration");
    let hooks = if check.target.is_harmless() { HookSet::ALL } else { [Hook::Status].into_iter().collect() };
    for (what, settings) in configurations(check) {
        if check.harness.interrupted() {
            return;
        }
        try_one(check, what, &settings, hooks);
    }
}

fn configurations(check: &Check<'_>) -> Vec<(&'static str, Settings)> {
    let declared = check.loaded.facts().metadata.config.iter().map(|key| key.name.clone());
    let given = check.config.iter().map(|(key, _)| key.clone());
    let mut keys: Vec<String> = declared.chain(given).collect();
    keys.sort();
    keys.dedup();
    let all = |value: &str| keys.iter().map(|key| (key.clone(), value.to_owned())).collect::<Settings>();
    let mut unknown = check.config.clone();
    unknown.push(("koi-check-no-such-key".into(), "1".into()));
    let mut configurations = vec![("nothing set", Vec::new()), ("with an unknown key", unknown)];
    if !keys.is_empty() {
        configurations.push(("all values empty", all("")));
        configurations.push(("all values of 64 KiB", all(&"x".repeat(LONG))));
        configurations
            .push(("all values beyond ASCII", all("ünï¢ødé ☃ \u{1f980} \u{202e}\t'\"\\ %s {} $(x)")));
        configurations.push(("all values a negative number", all("-9223372036854775809")));
    }
    configurations
}

fn try_one(check: &mut Check<'_>, what: &str, settings: &Settings, hooks: HookSet) {
    let opened = check.loaded.settle(settings).and_then(|config| Ok((check.loaded.open(&config)?, config)));
    let (opened, config) = match opened {
        Ok(both) => both,
        Err(error) => {
            let said = format!("refused before any hook: {error}");
            check.report.add(Verdict::Ok, what, &said, Duration::ZERO);
            return;
        }
    };
    // Down again in the end.
    let order = [Hook::Start, Hook::Promote, Hook::Status, Hook::Demote, Hook::Failed, Hook::Stop];
    let own = check.loaded.facts().metadata.hooks;
    for hook in order.into_iter().filter(|hook| hooks.has(*hook) && own.has(*hook)) {
        let context = check.harness.context(hook, check.loaded.home(), &config);
        let timeout = context.timeout;
        let ran = check.harness.run(
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
        check.report.add(verdict, &format!("{}, {what}", hook.as_str()), &said, ran.took);
        if verdict == Verdict::Fail {
            check.report.log(&ran.lines);
        }
    }
    check.harness.close(opened.handler);
}
