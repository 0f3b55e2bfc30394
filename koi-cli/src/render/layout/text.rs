//! Text that came from elsewhere, made to fit: no control characters, so many columns, broken at spaces.

/// Characters of one piece of text; no sentence of koi's is so long.
const CHARS: usize = 4000;

/// `text` without what would move the cursor, colour the terminal or turn the writing of whoever reads it, and cut if it is
/// longer than 4000 characters.
pub(crate) fn clean(text: &str) -> String {
    let harmless = |c: char| if is_harmful(c) { ' ' } else { c };
    match text.char_indices().nth(CHARS) {
        None => text.chars().map(harmless).collect(),
        Some(_) => text.chars().take(CHARS - 1).map(harmless).chain(['…']).collect(),
    }
}

/// Control characters, and those that turn the direction of writing or end a line in another way.
fn is_harmful(c: char) -> bool {
    match c {
        '\u{061c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => true,
        c => c.is_control(),
    }
}

/// How many columns a text takes: one for each character.
pub(crate) fn width(text: &str) -> usize {
    text.chars().count()
}

/// At most `columns` of `text`; what is cut off shows as `…`.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    kept.truncate(kept.trim_end().len());
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// Breaks `text` into lines, the first of at most `first` columns and the others of `others`, at spaces where there are
/// any.
pub(crate) fn wrap(text: &str, first: usize, others: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in clean(text).split_whitespace() {
        let mut word = word.to_owned();
        let mut columns = if lines.is_empty() { first } else { others }.max(1);
        if !line.is_empty() && width(&line) + 1 + width(&word) > columns {
            lines.push(std::mem::take(&mut line));
            columns = others.max(1);
        }
        while width(&word) > columns {
            lines.push(word.chars().take(columns).collect());
            word = word.chars().skip(columns).collect();
            columns = others.max(1);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// `1 node`, `3 nodes`.
pub(crate) fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// A sentence that goes on: without its full stop.
pub(crate) fn open(sentence: &str) -> &str {
    sentence.trim().trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_with_an_ellipsis() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "long…");
        assert_eq!(cut("two words", 5), "two…");
        assert_eq!(cut("größer", 4), "grö…");
        assert_eq!(cut("any", 0), "");
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_where_they_must() {
        assert_eq!(wrap("the quick brown fox", 10, 10), ["the quick", "brown fox"]);
        assert_eq!(wrap("a 0123456789ab c", 5, 5), ["a", "01234", "56789", "ab c"]);
        assert_eq!(wrap("one two three", 7, 3), ["one two", "thr", "ee"]);
        assert!(wrap(" ", 5, 5).is_empty());
    }

    #[test]
    fn what_a_handler_says_cannot_steer_the_terminal() {
        assert_eq!(clean("ok\x1b[2Jgone\n"), "ok [2Jgone ");
        assert_eq!(clean("a\u{202e}b"), "a b");
        assert_eq!(clean(&"x".repeat(60_000)).chars().count(), CHARS);
    }
}
