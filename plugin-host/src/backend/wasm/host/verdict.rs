//! What a helper says of a hook's end, in koi's terms. Its texts are cut and cleaned: the guest may have written them itself.

use std::time::Duration;

use koi_plugin_api::{Hook, HookError, Observed, Outcome, StatusReport, for_people};

use crate::backend::wasm::confine::Layers;
use crate::backend::wasm::protocol::HookEnding;

/// Characters of a text that people read in a line of a table.
const MESSAGE_CHARS: usize = 300;

/// Characters of an error, which may say what to do.
const ERROR_CHARS: usize = 1100;

/// Details of a status that are kept.
const DETAILS: usize = 16;

/// Characters of the name of a detail.
const DETAIL_NAME_CHARS: usize = 64;

/// Details that koid adds to a status, by name: what does not confine the helper on this machine, and whether its grants let it do anything.
const CONTAINMENT: &str = "containment";
const GRANTS: &str = "grants";
/// What its programs have left running, and may.
pub(crate) const KEPT: &str = "kept";

/// What koid itself says in a service's status.
pub(crate) fn own_details(layers: Option<Layers>, dangerous: bool) -> Vec<(String, String)> {
    let lacking = layers.and_then(Layers::lacking).map(|lacking| (CONTAINMENT.to_owned(), lacking));
    let dangerous = dangerous.then(|| (GRANTS.to_owned(), "dangerous".to_owned()));
    lacking.into_iter().chain(dangerous).collect()
}

/// What a hook that a handler does not have gives. `own` is for a status.
pub(crate) fn not_there(hook: Hook, own: Vec<(String, String)>) -> Outcome {
    match hook {
        Hook::Status => Outcome::Status(StatusReport { details: own, ..Observed::Healthy.into() }),
        Hook::Start | Hook::Stop | Hook::Promote | Hook::Demote | Hook::Failed | Hook::Changed => {
            Outcome::Done
        }
    }
}

/// The result of a call that had `timeout`. `own` is for a status.
pub(crate) fn of(
    hook: Hook,
    ending: HookEnding,
    timeout: Duration,
    own: Vec<(String, String)>,
) -> Result<Outcome, HookError> {
    let text = |text: String| for_people(&text, ERROR_CHARS);
    match ending {
        HookEnding::Done => Ok(not_there(hook, own)),
        HookEnding::Status { observed, message, score, details, .. } if hook == Hook::Status => {
            let of_people = |(name, value): (String, String)| {
                (for_people(&name, DETAIL_NAME_CHARS), for_people(&value, MESSAGE_CHARS))
            };
            // koid's own word, and not the guest's.
            let said =
                details.into_iter().filter(|(name, _)| ![CONTAINMENT, GRANTS, KEPT].contains(&&**name));
            Ok(Outcome::Status(StatusReport {
                observed: match observed {
                    1 => Observed::Promoted,
                    2 => Observed::Standby,
                    3 => Observed::Live,
                    4 => Observed::Stopped,
                    _ => Observed::Healthy,
                },
                message: for_people(&message, MESSAGE_CHARS),
                score,
                details: said.take(DETAILS).map(of_people).chain(own).collect(),
                // They depend on the grants.
                processes: Vec::new(),
            }))
        }
        HookEnding::Status { .. } => {
            Err(HookError::Failed(format!("the plugin's process answered {} with a status", hook.as_str())))
        }
        HookEnding::Failed(why) => Err(HookError::Failed(text(why))),
        HookEnding::Lasting(why) => Err(HookError::Lasting(text(why))),
        HookEnding::CannotRun(why) => Err(HookError::CannotRun(text(why))),
        HookEnding::TimedOut => Err(HookError::TimedOut(format!("not done within {timeout:?}, ended"))),
        HookEnding::Aborted => Err(HookError::Aborted),
    }
}
