//! What these processes say to whoever started them.

use std::io::Write;

/// Writes a line to standard error. That nobody reads it is no reason to end.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
