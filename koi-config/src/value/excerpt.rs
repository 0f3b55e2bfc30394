//! What of a file may be repeated in a message: short texts that do not look like a key.

/// Characters of a text that is repeated; of a longer one so many are.
const SHOWN_CHARS: usize = 60;
/// So many hexadecimal digits are the half of a key at least.
const KEY_DIGITS: usize = 32;

/// A text of the file as messages repeat it: quoted, cut, and not at all if it looks like a key.
pub(crate) fn excerpt(text: &str) -> String {
    if looks_like_a_key(text) || text.contains('\n') {
        return format!("a text of {} characters", text.chars().count());
    }
    match text.char_indices().nth(SHOWN_CHARS) {
        None => format!("{text:?}"),
        Some((at, _)) => format!("{:?}…", &text[..at]),
    }
}

/// The name of a key or section as messages repeat it.
pub(crate) fn excerpt_name(text: &str) -> String {
    let plain = text.chars().all(|c| !c.is_control() && !c.is_whitespace()) && !text.is_empty();
    if plain && text.chars().count() <= SHOWN_CHARS && !looks_like_a_key(text) {
        return text.to_owned();
    }
    excerpt(text)
}

/// Whether it is what a key file holds.
pub(crate) fn is_a_key(text: &str) -> bool {
    text.len() == 2 * KEY_DIGITS && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// Whether a key may be in it.
fn looks_like_a_key(text: &str) -> bool {
    let mut digits = 0;
    text.chars().any(|c| {
        digits = if c.is_ascii_hexdigit() { digits + 1 } else { 0 };
        digits >= KEY_DIGITS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_key_or_is_long_is_not_repeated() {
        assert_eq!(excerpt("yes"), "\"yes\"");
        assert_eq!(excerpt_name("prot"), "prot");
        let key = "5a".repeat(32);
        assert!(!excerpt(&key).contains("5a5a") && !excerpt_name(&key).contains("5a5a"));
        assert!(!excerpt(&format!("/etc/{key}")).contains("5a5a"));
        assert!(excerpt(&"x".repeat(60_000)).len() < 100);
        assert_eq!(excerpt_name("a b"), "\"a b\"");
    }
}
