//! What the core waits for, in a sentence.

use koi_core::view::Waiting;

/// What is waited for, as one sentence with its details.
pub(crate) fn sentence(waiting: &Waiting) -> String {
    let mut text = waiting.reason.to_string();
    if let Some(remaining) = waiting.remaining {
        text.push_str(&format!(", {:.1} s more", remaining.as_secs_f32()));
    }
    if let Some(rule) = waiting.reason.rule() {
        text.push_str(&format!(" ({rule})"));
    }
    let hint = waiting.reason.hint();
    if !hint.is_empty() {
        text.push_str(&format!("; {hint}"));
    }
    text
}
