//! Asks before something is done.

use std::io::{BufRead, IsTerminal, stdin};

use crate::error::CommandError;
use crate::output::Out;

/// Says `what` is about to be done and `why` that should be thought about, and asks whether to go on.
///
/// # Errors
/// Nobody is there to be asked (exit 2, `remedy` says what to do), or the answer is no (exit 1, `declined` says what that means).
pub(crate) fn agreed(
    out: Out,
    what: &str,
    why: &str,
    (remedy, declined): (&str, &str),
) -> Result<(), CommandError> {
    if !stdin().is_terminal() {
        return Err(CommandError::usage(format!("{what}: nobody is there to be asked"), remedy));
    }
    out.note(what);
    out.note(&format!("{why} Go on? [y/N]"));
    let mut answer = String::new();
    // An end of input is no yes.
    let _ = stdin().lock().read_line(&mut answer);
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(CommandError::local(declined, "")),
    }
}
