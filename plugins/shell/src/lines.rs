//! Lines for people.

/// One line for people: without control characters (a terminal would obey them), at most `chars` long.
pub(crate) fn for_people(line: &str, chars: usize) -> String {
    let plain: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = plain.trim();
    match plain.char_indices().nth(chars) {
        None => plain.to_owned(),
        Some(_) => plain.chars().take(chars - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_people_has_no_control_characters_and_an_end() {
        assert_eq!(for_people("\x1b[31mred\x07 ", 200), "[31mred");
        assert_eq!(for_people("abcdef", 4), "abc…");
    }
}
