//! Text that came from elsewhere, made to fit: no control characters, so many columns, broken at spaces.

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Characters of one piece of text; no sentence of koi's is so long.
const CHARS: usize = 4000;

/// `text` without what would move the cursor, colour the terminal or turn the writing of whoever reads it, and cut if it is
/// longer than 4000 characters.
pub(crate) fn clean(text: &str) -> String {
    let blanked = koi_text::blanked(text);
    match blanked.char_indices().nth(CHARS) {
        None => blanked,
        Some(_) => blanked.chars().take(CHARS - 1).chain(['…']).collect(),
    }
}

/// How many columns a text takes. A Chinese character and an emoji take two, an accent none.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` with spaces behind it, so that it takes `columns`.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// At most `columns` of `text`; what is cut off shows as `…`.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut room = columns.saturating_sub(1);
    let fits = |c: &char| {
        let left = room.checked_sub(c.width().unwrap_or(0));
        room = left.unwrap_or(0);
        left.is_some()
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    kept.truncate(kept.trim_end().len());
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// Breaks `text` into lines, the first of at most `first` columns and the others of `others`, at spaces where there are
/// any.
pub(crate) fn wrap(text: &str, first: usize, others: usize) -> Vec<String> {
    let (first, others) = (first.max(1), others.max(1));
    let text = clean(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return Vec::new();
    }
    // Different widths are said as indents of one width, which are taken off again.
    let widest = first.max(others);
    let (first, others) = (" ".repeat(widest - first), " ".repeat(widest - others));
    let options = Options::new(widest)
        .initial_indent(&first)
        .subsequent_indent(&others)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    let indents = std::iter::once(first.len()).chain(std::iter::repeat(others.len()));
    textwrap::wrap(&text, &options)
        .iter()
        .zip(indents)
        .map(|(line, indent)| line[indent..].to_owned())
        .collect()
}

/// `1 node`, `3 nodes`.
pub(crate) fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// `812 bytes`, `61 KiB`, `12.3 MiB`, `64 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => count(usize::try_from(bytes).unwrap_or_default(), "byte"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        _ => match bytes % 1_048_576 * 10 / 1_048_576 {
            0 => format!("{} MiB", bytes / 1_048_576),
            tenth => format!("{}.{tenth} MiB", bytes / 1_048_576),
        },
    }
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
    fn wide_characters_take_two_columns_and_accents_none() {
        assert_eq!((width("数据库"), width("e\u{301}"), width("🦀")), (6, 1, 2));
        assert_eq!(cut("数据库一号", 6), "数据…");
        assert_eq!(cut("数据库", 6), "数据库");
        assert_eq!(pad("数", 4), "数  ");
        assert_eq!(wrap("数据库 一号", 6, 6), ["数据库", "一号"]);
        assert_eq!(wrap("数据库一号", 5, 5), ["数据", "库一", "号"]);
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
