//! Which lines of a file may hold the password.
//!
//! A mistake near a password puts it where no value belongs: a quote that is missing makes it a part of another value, a
//! blank too few makes it a part of a name. So it is the line that decides: of a line that may hold the password no message
//! repeats anything, and of other lines only short texts that do not look like a key.

use crate::keys::{CLASSIC_SECTIONS, KEYS, classic_names, split};
use crate::source::Format;

/// Parts of words that speak of a secret.
const MARKS: [&str; 4] = ["pass", "secret", "pwd", "psk"];
/// What is often misspelt.
const WORD: &str = "password";
/// Slips of the pen that are seen through.
const SLIPS: usize = 2;

/// What is said in place of a message that would repeat something.
pub(crate) const REDACTED: &str =
    "something is wrong here; nothing of this line is shown, for it may hold the password";
/// What to do about it.
pub(crate) const REDACTED_HINT: &str = "look for a missing quote or blank here and above: password = \"…\" in koi.toml, password \"…\" in koi.conf";

/// The lines of one file.
#[derive(Debug)]
pub(crate) struct Redaction {
    /// Of each line, whether it may hold the password.
    hidden: Vec<bool>,
}

/// Whether the password may go on in the next line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Continuation {
    /// It does not.
    None,
    /// The rest of a password that was broken, unless the next line begins as one of its own does.
    Possible,
    /// The rest of a password.
    Certain,
}

impl Redaction {
    /// Looks at a text, whether or not it keeps to the syntax of its format.
    pub(crate) fn from_text(text: &str, format: Format) -> Redaction {
        let mut continuation = Continuation::None;
        let hidden = text.lines().map(|line| {
            let (blank, mentions) = (line.trim().is_empty(), mentions_a_secret(line));
            let hidden = mentions
                || match continuation {
                    Continuation::None => false,
                    Continuation::Possible => !blank && !begins_well(line, format),
                    Continuation::Certain => true,
                };
            let to_the_end = format == Format::Toml && continuation == Continuation::Certain;
            continuation = match format {
                _ if to_the_end || blank => continuation,
                _ if !hidden || is_comment(line, format) => Continuation::None,
                // Brackets and long texts may run to the end of the file.
                Format::Toml if toml_goes_on(line) => Continuation::Certain,
                Format::Classic if classic_goes_on(line, mentions) => Continuation::Certain,
                Format::Toml | Format::Classic => Continuation::Possible,
            };
            hidden
        });
        Redaction { hidden: hidden.collect() }
    }

    /// Whether one of these lines, counted from 1, may hold the password.
    pub(crate) fn covers(&self, first: usize, last: usize) -> bool {
        (first..=last).any(|line| self.hidden.get(line.wrapping_sub(1)).copied().unwrap_or(false))
    }
}

fn is_comment(line: &str, format: Format) -> bool {
    line.trim_start().starts_with(if format == Format::Toml { '#' } else { ';' })
}

/// Whether a line begins as those of this format do: with a name that is known, a section, or a comment.
fn begins_well(line: &str, format: Format) -> bool {
    let ends = |c: char| c.is_whitespace() || c == '=';
    let first = line.trim_start().split(ends).next().unwrap_or_default();
    let is_known = match format {
        Format::Toml => KEYS.iter().any(|key| key.name() == first),
        Format::Classic => {
            classic_names().any(|path| split(path).1 == first) || CLASSIC_SECTIONS.contains(&first)
        }
    };
    let marks: &[char] = if format == Format::Toml { &['['] } else { &['{', '}'] };
    is_known || line.trim_start().starts_with(marks) || is_comment(line, format)
}

fn mentions_a_secret(line: &str) -> bool {
    let line = line.to_lowercase();
    let words = line.split(|c: char| !c.is_alphanumeric());
    MARKS.iter().any(|mark| line.contains(mark)) || words.into_iter().any(is_misspelt)
}

/// Whether the word begins like `password`, but for some slips.
fn is_misspelt(word: &str) -> bool {
    let chars: Vec<char> = word.chars().take(WORD.len() + SLIPS).collect();
    let shortest = WORD.len() - SLIPS;
    (shortest..=chars.len()).any(|length| {
        let begin: String = chars[..length].iter().collect();
        strsim::damerau_levenshtein(&begin, WORD) <= SLIPS
    })
}

/// Whether the value of such a line may stand on further ones.
fn toml_goes_on(line: &str) -> bool {
    let Some((_, value)) = line.split_once('=') else { return true };
    let value = value.trim();
    let long = ["\"\"\"", "'''"].iter().any(|mark| value.contains(mark));
    value.is_empty()
        || value.starts_with('#')
        || long
        || value.starts_with(['[', '{'])
        || value.ends_with('\\')
}

fn classic_goes_on(line: &str, mentions: bool) -> bool {
    let said = line.split(';').next().unwrap_or_default().trim();
    mentions && said.split_whitespace().count() < 2 || said.ends_with('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str, format: Format) -> Vec<usize> {
        let redaction = Redaction::from_text(text, format);
        (1..=text.lines().count()).filter(|line| redaction.covers(*line, *line)).collect()
    }

    #[test]
    fn a_line_that_speaks_of_the_password_is_hidden_however_it_is_spelt() {
        for line in
            ["password = \"x\"", "pasword = x", "Passwort x", "paswordhunter2", "apssword x", "secret = 1"]
        {
            assert_eq!(hidden(&format!("a = 1\n{line}\nb = 2"), Format::Toml).first(), Some(&2), "{line}");
        }
        assert_eq!(hidden("[node]\nname = \"a\"\nport = 1\npriority = 5\n", Format::Toml), [0; 0]);
    }

    #[test]
    fn what_may_be_the_rest_of_a_password_is_hidden_with_it() {
        assert_eq!(hidden("password = \"x\"\nport = 1", Format::Toml), [1]);
        assert_eq!(hidden("# the password\nport = 1", Format::Toml), [1]);
        assert_eq!(hidden("password = \"\"\"\nx\n\"\"\"\nport = 1", Format::Toml), [1, 2, 3, 4]);
        assert_eq!(hidden("password =\nx\nport = 1", Format::Toml), [1, 2, 3]);
        assert_eq!(hidden("password\n\n x\nport 1", Format::Classic), [1, 2, 3]);
        assert_eq!(hidden("password \"x\" \\\n \"y\"\nport 1", Format::Classic), [1, 2]);
        assert_eq!(hidden("password x y\nport 1", Format::Classic), [1]);
    }
}
