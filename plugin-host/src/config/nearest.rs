//! What a slip was meant to be.

/// How much alike two texts are: 0 to 1000.
pub(crate) fn likeness(one: &str, other: &str) -> u32 {
    // It is a number from 0 to 1.
    (strsim::jaro_winkler(one, other) * 1000.0) as u32
}

/// The one of `known` that `word` is most like; empty: there is none.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> &'k str {
    known.into_iter().max_by_key(|candidate| likeness(word, candidate)).unwrap_or_default()
}
