//! Configuration that nobody would write, and somebody will.

use std::time::Duration;

use koi_plugin_api::{Hook, HookSet};

use crate::conformance::check::verdict::{Case, Expectation, judge};
use crate::conformance::harness::{Harness, TrialCall};
use crate::conformance::loaded_handler::LoadedHandler;
use crate::conformance::report::{Report, Verdict};
use crate::conformance::target::Target;

/// Characters of a value that is too long.
const LONG: usize = 64 * 1024;

type Settings = Vec<(String, String)>;

/// Tries them all. Hooks that change something run only where that can do no harm.
pub(crate) fn try_all(
    target: &Target,
    loaded: &LoadedHandler<'_>,
    harness: &Harness<'_>,
    config: &Settings,
    report: &mut Report,
) {
    report.part("odd configuration");
    let hooks = if target.is_harmless() { HookSet::ALL } else { [Hook::Status].into_iter().collect() };
    for (what, settings) in configurations(loaded, config) {
        if harness.interrupted() {
            return;
        }
        try_one(loaded, harness, report, what, &settings, hooks);
    }
}

fn configurations(loaded: &LoadedHandler<'_>, config: &Settings) -> Vec<(&'static str, Settings)> {
    let declared = loaded.facts().metadata.config.iter().map(|key| key.name.clone());
    let given = config.iter().map(|(key, _)| key.clone());
    let mut keys: Vec<String> = declared.chain(given).collect();
    keys.sort();
    keys.dedup();
    let all = |value: &str| keys.iter().map(|key| (key.clone(), value.to_owned())).collect::<Settings>();
    let mut unknown = config.clone();
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
        let context = harness.context(hook, loaded.home(), &config);
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
