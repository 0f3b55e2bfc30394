//! Text that came from elsewhere, made to fit: no control characters, so many columns, broken at spaces.

/// `text` without what would move the cursor or colour the terminal of whoever reads it.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
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
    }
}
