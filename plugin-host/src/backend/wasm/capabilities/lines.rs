//! What guests write, made fit for a log and a terminal.

use std::borrow::Cow;

/// With control characters written out: a terminal would obey them.
pub(crate) fn harmless(line: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| c.is_control() && c != '\t';
    if !line.contains(is_harmful) {
        return Cow::Borrowed(line);
    }
    let mut text = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        if is_harmful(c) { text.extend(c.escape_default()) } else { text.push(c) }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(harmless("\x1b[31mred\tx\u{fffd}"), "\\u{1b}[31mred\tx\u{fffd}");
        assert!(matches!(harmless("plain"), Cow::Borrowed("plain")));
    }
}
