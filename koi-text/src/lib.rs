//! What scripts, plugins and other nodes have written, made fit for a terminal and a log.
//!
//! Such a text must not steer a terminal, forge a line, or read as something else than it is. Characters that do so are named in one
//! place, [`is_harmful`]. In logs they are written out ([`escaped`]); where a text has little room, they become blanks ([`blanked`]).

#![forbid(unsafe_code)]

use std::borrow::Cow;

/// Control characters; characters that end a line in another way, turn the direction of writing, or are not seen.
pub fn is_harmful(c: char) -> bool {
    match c {
        // Marks and overrides of the direction.
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // Ends of lines and paragraphs.
        '\u{2028}' | '\u{2029}' => true,
        // Characters without width, and blanks that are letters.
        '\u{00ad}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2065}' => true,
        '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' => true,
        // Tags, and the variants that hide whole texts.
        '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}' => true,
        c => c.is_control(),
    }
}

/// `text` with its harmful characters written out, like `\u{1b}`; but for those in `allowed`.
pub fn escaped<'t>(text: &'t str, allowed: &[char]) -> Cow<'t, str> {
    let is_escaped = |c: char| is_harmful(c) && !allowed.contains(&c);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// `text` with a blank for each harmful character.
pub fn blanked(text: &str) -> String {
    text.chars().map(|c| if is_harmful(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(escaped("\x1b[31mred\tx\u{fffd}", &['\t']), "\\u{1b}[31mred\tx\u{fffd}");
        assert_eq!(escaped("one\r\ntwo", &['\n']), "one\\r\ntwo");
        assert!(matches!(escaped("plain — ö 漢 ⚠️", &[]), Cow::Borrowed(_)));
    }

    #[test]
    fn what_reads_as_something_else_is_written_out() {
        assert_eq!(escaped("koi\u{202e}nwod", &[]), "koi\\u{202e}nwod");
        assert_eq!(escaped("web\u{200b}1", &[]), "web\\u{200b}1");
        assert_eq!(escaped("ok\u{e0041}", &[]), "ok\\u{e0041}");
        assert_eq!(blanked("a\u{2028}b\u{feff}c\x07"), "a b c ");
    }
}
