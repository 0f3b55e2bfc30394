//! What a function of a plugin returned, in koi's terms.

use koi_plugin_api::native::abi;
use koi_plugin_api::{Hook, HookError, NamedProcess, Observed, Outcome, StatusReport};

use crate::backend::native::helper::protocol::FunctionResult;

/// A hook that the plugin does not have.
pub(crate) fn absent(hook: Hook) -> Outcome {
    done(hook, FunctionResult::default())
}

/// What a hook returned.
pub(crate) fn from_hook(hook: Hook, ended: FunctionResult) -> Result<Outcome, HookError> {
    let observed = match ended.code {
        abi::DONE => return Ok(done(hook, ended)),
        abi::UNSUPPORTED => return Ok(absent(hook)),
        abi::STATE_PROMOTED => Observed::Promoted,
        abi::STATE_STANDBY => Observed::Standby,
        abi::STATE_LIVE => Observed::Live,
        abi::STATE_STOPPED => Observed::Stopped,
        abi::STATE_FAILED if hook == Hook::Status => return Err(HookError::Failed(why(&ended))),
        _ => return Err(error(hook.as_str(), &ended)),
    };
    match hook {
        Hook::Status => Ok(report(observed, ended)),
        Hook::Start | Hook::Stop | Hook::Promote | Hook::Demote | Hook::Failed | Hook::Changed => {
            Err(error(hook.as_str(), &ended))
        }
    }
}

/// Whether `code` means something as an answer to `hook`; none: to `create`.
pub(crate) fn is_answer(hook: Option<Hook>, code: i32) -> bool {
    match code {
        abi::DONE | abi::RETRY | abi::FATAL | abi::MISCONFIGURED | abi::BROKEN => true,
        abi::UNSUPPORTED => hook.is_some(),
        abi::STATE_PROMOTED
        | abi::STATE_STANDBY
        | abi::STATE_LIVE
        | abi::STATE_STOPPED
        | abi::STATE_FAILED => hook == Some(Hook::Status),
        _ => false,
    }
}

/// Why `create` made no instance.
pub(crate) fn from_create(ended: &FunctionResult) -> HookError {
    match error("create", ended) {
        HookError::Failed(text) => HookError::Failed(format!("its instance could not be made: {text}")),
        other => other,
    }
}

fn done(hook: Hook, ended: FunctionResult) -> Outcome {
    match hook {
        Hook::Status => report(Observed::Healthy, ended),
        Hook::Start if !ended.processes.is_empty() => Outcome::Started(named(ended.processes)),
        Hook::Start | Hook::Stop | Hook::Promote | Hook::Demote | Hook::Failed | Hook::Changed => {
            Outcome::Done
        }
    }
}

fn named(processes: Vec<(i64, String)>) -> Vec<NamedProcess> {
    let name = |(id, path): (i64, String)| match path.is_empty() {
        true => NamedProcess::Id(id.to_string()),
        false => NamedProcess::File(path),
    };
    processes.into_iter().map(name).collect()
}

fn report(observed: Observed, ended: FunctionResult) -> Outcome {
    let FunctionResult { message, score, details, processes, .. } = ended;
    let processes = named(processes);
    Outcome::Status(StatusReport { observed, message, score, details, processes })
}

fn error(function: &str, ended: &FunctionResult) -> HookError {
    match ended.code {
        abi::RETRY | abi::BROKEN => HookError::Failed(why(ended)),
        abi::FATAL => HookError::Lasting(why(ended)),
        abi::MISCONFIGURED => HookError::Lasting(format!("misconfigured: {}", why(ended))),
        code => HookError::Failed(format!(
            "the plugin returned {code} from {function}, which means nothing there; it needs mending"
        )),
    }
}

fn why(ended: &FunctionResult) -> String {
    if ended.message.is_empty() { "the plugin did not say why".to_owned() } else { ended.message.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32) -> FunctionResult {
        FunctionResult { code, message: "m".into(), ..FunctionResult::default() }
    }

    #[test]
    fn each_code_has_its_meaning() {
        let of = |hook, code| {
            assert!(is_answer(Some(hook), code), "{hook:?} {code}");
            from_hook(hook, ended(code))
        };
        assert_eq!(of(Hook::Start, abi::DONE), Ok(Outcome::Done));
        assert_eq!(of(Hook::Start, abi::RETRY), Err(HookError::Failed("m".into())));
        assert_eq!(of(Hook::Start, abi::FATAL), Err(HookError::Lasting("m".into())));
        assert_eq!(of(Hook::Start, abi::MISCONFIGURED), Err(HookError::Lasting("misconfigured: m".into())));
        assert_eq!(of(Hook::Start, abi::UNSUPPORTED), Ok(Outcome::Done));
        assert_eq!(of(Hook::Status, abi::STATE_FAILED), Err(HookError::Failed("m".into())));
        let Ok(Outcome::Status(seen)) = of(Hook::Status, abi::UNSUPPORTED) else { panic!("a status") };
        assert_eq!((seen.observed, seen.message.as_str()), (Observed::Healthy, ""));
    }

    #[test]
    fn a_state_is_an_answer_to_status_only_and_a_stranger_is_none_at_all() {
        for (hook, code) in
            [(Hook::Start, abi::STATE_STANDBY), (Hook::Promote, abi::STATE_FAILED), (Hook::Status, 77)]
        {
            let Err(HookError::Failed(text)) = from_hook(hook, ended(code)) else {
                panic!("{hook:?} {code}")
            };
            let expected =
                format!("the plugin returned {code} from {}, which means nothing there", hook.as_str());
            assert!(text.starts_with(&expected), "{text}");
            assert!(!is_answer(Some(hook), code), "{hook:?} {code}");
        }
    }
}
