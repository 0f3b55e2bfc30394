//! What a script's exit means (docs/from-classic.md).

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use koi_plugin_api::{Hook, HookError, Observed, Outcome, StatusReport};
use nix::sys::signal::Signal;

use crate::output::Said;

/// Trying again on this node is pointless.
const FATAL: i32 = 94;
/// So it is anywhere, until the configuration is mended.
const MISCONFIGURED: i32 = 95;

/// A hook whose script is not there: success at once. Not so what takes down: it is only asked for where it was there, and without it
/// nobody knows that anything is down.
pub(crate) fn absent(hook: Hook, script: &Path) -> Result<Outcome, HookError> {
    match hook {
        Hook::Status => Ok(Outcome::Status(Observed::Healthy.into())),
        Hook::Start | Hook::Promote | Hook::Failed | Hook::Changed => Ok(Outcome::Done),
        Hook::Stop | Hook::Demote => {
            Err(HookError::CannotRun(format!("{} isn't there any more; put it back", script.display())))
        }
    }
}

/// The outcome of a script that ended by itself. `out` is what it said on standard output, `last_word` what it said
/// last, for people.
pub(crate) fn verdict(
    hook: Hook,
    exit: ExitStatus,
    out: &Said,
    last_word: &str,
) -> Result<Outcome, HookError> {
    match (hook, exit.code()) {
        (Hook::Status, Some(code)) => match observed(code) {
            Some(observed) => {
                let score = out.score.as_deref().filter(|_| observed == Observed::Standby);
                let score = score.and_then(|s| s.parse().ok());
                let (message, processes) = (out.last.clone(), out.processes.clone());
                let details = Vec::new();
                Ok(Outcome::Status(StatusReport { observed, message, score, details, processes }))
            }
            None => Err(failed(exit, last_word)),
        },
        (Hook::Start, Some(0)) if !out.processes.is_empty() => Ok(Outcome::Started(out.processes.clone())),
        (_, Some(0)) => Ok(Outcome::Done),
        _ => Err(failed(exit, last_word)),
    }
}

fn observed(code: i32) -> Option<Observed> {
    match code {
        0 => Some(Observed::Healthy),
        90 => Some(Observed::Promoted),
        91 => Some(Observed::Standby),
        92 => Some(Observed::Stopped),
        93 => Some(Observed::Live),
        _ => None,
    }
}

fn failed(exit: ExitStatus, last_word: &str) -> HookError {
    let said = |what: String| with_last_word(what, last_word);
    match exit.code() {
        Some(FATAL) => HookError::Lasting(said(format!("exit code {FATAL}, fatal"))),
        Some(MISCONFIGURED) => HookError::Lasting(said(format!("exit code {MISCONFIGURED}, misconfigured"))),
        Some(_) | None => HookError::Failed(said(described(exit))),
    }
}

/// `what`, and the script's last word if it had one.
pub(crate) fn with_last_word(what: String, last_word: &str) -> String {
    if last_word.is_empty() { what } else { format!("{what}: {last_word}") }
}

fn described(exit: ExitStatus) -> String {
    match (exit.code(), exit.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("killed by signal {number} ({signal})"),
            Err(_) => format!("killed by signal {number}"),
        },
        (None, None) => exit.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn a_script_that_takes_down_and_is_gone_has_taken_nothing_down() {
        let script = Path::new("/srv/services/web/demote");
        for hook in [Hook::Demote, Hook::Stop] {
            let gone = absent(hook, script).unwrap_err();
            assert!(
                matches!(&gone, HookError::CannotRun(why) if why.contains("web/demote isn't there")),
                "{gone:?}"
            );
        }
        for hook in [Hook::Start, Hook::Promote, Hook::Failed] {
            assert_eq!(absent(hook, script), Ok(Outcome::Done));
        }
    }

    #[test]
    fn only_status_has_more_than_one_good_exit() {
        let said = Said::default();
        assert_eq!(verdict(Hook::Start, exit(0), &said, ""), Ok(Outcome::Done));
        let refused = verdict(Hook::Start, exit(91), &said, "no space left");
        assert_eq!(refused, Err(HookError::Failed("exit code 91: no space left".into())));
    }

    #[test]
    fn two_exits_say_that_another_try_is_pointless() {
        let said = Said::default();
        for hook in Hook::ALL {
            let lasting = |code| verdict(hook, exit(code), &said, "no licence");
            assert_eq!(lasting(94), Err(HookError::Lasting("exit code 94, fatal: no licence".into())));
            assert_eq!(
                lasting(95),
                Err(HookError::Lasting("exit code 95, misconfigured: no licence".into()))
            );
            assert!(matches!(lasting(96), Err(HookError::Failed(_))));
        }
    }

    #[test]
    fn a_score_counts_for_a_standby_only() {
        let said = Said { last: "in sync".into(), score: Some("-7".into()), ..Said::default() };
        let score_of = |code| match verdict(Hook::Status, exit(code), &said, "") {
            Ok(Outcome::Status(report)) => report.score,
            other => panic!("{other:?}"),
        };
        assert_eq!([0, 90, 91, 93].map(score_of), [None, None, Some(-7), None]);
    }

    #[test]
    fn a_score_has_64_bits() {
        let score_of = |text: &str| {
            let said = Said { score: Some(text.into()), ..Said::default() };
            match verdict(Hook::Status, exit(91), &said, "") {
                Ok(Outcome::Status(report)) => report.score,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(score_of("9223372036854775807"), Some(i64::MAX));
        assert_eq!(score_of("-9223372036854775808"), Some(i64::MIN));
        for none in ["9223372036854775808", "1.5", "0/16B3748", ""] {
            assert_eq!(score_of(none), None, "{none}");
        }
    }

    #[test]
    fn a_signal_has_number_and_name() {
        assert_eq!(described(ExitStatus::from_raw(11)), "killed by signal 11 (SIGSEGV)");
    }
}
