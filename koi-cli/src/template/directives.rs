//! What a page of a template shows: lines between `@IF WORD…@` and `@ELSE@` or `@END@`, each alone on its line, are for a handler with
//! one of the capabilities that are named. `any` is one with whatever capability, `none` one without.

use crate::cli::{Capability, value_name};

/// Stands for the words of all capabilities that were chosen.
const ALL: &str = "@WITH@";

/// The text as it is with these capabilities.
pub(super) fn carried_out(text: &str, with: &[Capability]) -> String {
    let names: Vec<String> = with.iter().map(|capability| value_name(*capability)).collect();
    let chosen = |word: &str| match word {
        "any" => !names.is_empty(),
        "none" => names.is_empty(),
        word => names.iter().any(|name| name == word),
    };
    // Of each `@IF` that the line is within: whether it shows what is below it.
    let mut within: Vec<bool> = Vec::new();
    let mut shown = String::new();
    for line in text.split_inclusive('\n') {
        let word = line.trim();
        if let Some(words) = word.strip_prefix("@IF ").and_then(|rest| rest.strip_suffix('@')) {
            within.push(words.split(' ').any(chosen));
        } else if word == "@ELSE@" {
            if let Some(shows) = within.last_mut() {
                *shows = !*shows;
            }
        } else if word == "@END@" {
            within.pop();
        } else if within.iter().all(|shows| *shows) {
            shown.push_str(line);
        }
    }
    shown.replace(ALL, &names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "a\n@IF tcp http@\n net\n  @IF tcp@\n tcp\n  @END@\n@ELSE@\nno net\n@END@\n@IF none@\nsmall\n@END@\n@IF any@\nwith @WITH@\n@END@\nz\n";

    #[test]
    fn a_page_without_capabilities_is_small() {
        assert_eq!(carried_out(PAGE, &[]), "a\nno net\nsmall\nz\n");
    }

    #[test]
    fn a_page_shows_what_is_asked_for_and_no_more() {
        assert_eq!(carried_out(PAGE, &[Capability::Exec]), "a\nno net\nwith exec\nz\n");
        assert_eq!(carried_out(PAGE, &[Capability::Http]), "a\n net\nwith http\nz\n");
        let all = [Capability::Exec, Capability::Tcp];
        assert_eq!(carried_out(PAGE, &all), "a\n net\n tcp\nwith exec tcp\nz\n");
    }
}
