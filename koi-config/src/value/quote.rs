//! Text in double quotes, for either format.

use std::fmt::Write;

/// Which format's escapes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// TOML's basic strings.
    Toml,
    /// Boost's INFO: short escapes only, other control characters as they are.
    Info,
}

/// `text` in double quotes, with what needs it escaped.
pub(crate) fn quote(text: &str, escapes: Escapes) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' if escapes == Escapes::Info => out.push_str("\\0"),
            c if c.is_ascii_control() && escapes == Escapes::Toml => {
                write!(out, "\\u{:04X}", u32::from(c)).expect("writing to a String cannot fail");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
