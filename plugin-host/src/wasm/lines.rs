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

/// One line for people, at most `chars` long: control characters and line ends become blanks.
pub(crate) fn for_people(text: &str, chars: usize) -> String {
    let is_blank = |c: char| c.is_whitespace() || c.is_control();
    let words: Vec<_> = text.split(is_blank).filter(|word| !word.is_empty()).collect();
    let plain = words.join(" ");
    match plain.char_indices().nth(chars) {
        None => plain,
        Some(_) => plain.chars().take(chars - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(harmless("\x1b[31mred\tx\u{fffd}"), "\\u{1b}[31mred\tx\u{fffd}");
        assert!(matches!(harmless("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn a_text_for_people_is_one_line_with_an_end() {
        assert_eq!(for_people(" two\n words\x07 ", 200), "two words");
        assert_eq!(for_people("abcdef", 4), "abc…");
        assert_eq!(for_people("abcd", 4), "abcd");
    }
}
