//! Boost's INFO syntax, as its property tree reads it, one level of sections deep.
//!
//! `key value` pairs, several to a line if need be; `key {` … `}` with the brace on the same or a later line; `;` begins a
//! comment; a value is a word or stands in double quotes, with escapes, and goes on after `\` at the end of a line.
//! Words end only at white space or `;`, so braces need a space before them.

use std::borrow::Cow;

use crate::source::Place;
use crate::value::{excerpt, excerpt_name};

/// A pair, or a section with its pairs.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) place: Place,
    /// No other word stands before it on its line.
    pub(crate) begins_line: bool,
    /// The line in which its value ends.
    pub(crate) last_line: usize,
    /// What stands in its braces; none: it has none.
    pub(crate) children: Option<Vec<Entry>>,
}

/// A place where the text breaks the syntax.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) place: Place,
    /// One that was put together may repeat what stands at the place.
    pub(crate) message: Cow<'static, str>,
    pub(crate) hint: &'static str,
}

/// Reads the whole text, over any errors.
pub(crate) fn parse(text: &str) -> (Vec<Entry>, Vec<SyntaxError>) {
    let mut parser =
        Parser { entries: Vec::new(), errors: Vec::new(), depth: 0, wanted: Wanted::Key, words: 0 };
    for (index, line) in text.lines().enumerate() {
        parser.line(Line { rest: line, number: index + 1, column: 1 });
    }
    parser.end();
    (parser.entries, parser.errors)
}

/// What may come next.
#[derive(PartialEq)]
enum Wanted {
    Key,
    Value,
    /// The last value ended with `\`: the next line begins with the rest of it.
    Continuation,
}

struct Line<'t> {
    rest: &'t str,
    number: usize,
    column: usize,
}

impl Line<'_> {
    fn place(&self) -> Place {
        Place { line: self.number, column: self.column }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        self.column += 1;
        Some(c)
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }
}

struct Parser {
    entries: Vec<Entry>,
    errors: Vec<SyntaxError>,
    /// Open braces. What lies deeper than one is an error, and skipped.
    depth: usize,
    wanted: Wanted,
    /// Words that were read of this line.
    words: usize,
}

impl Parser {
    fn error(&mut self, place: Place, message: impl Into<Cow<'static, str>>, hint: &'static str) {
        self.errors.push(SyntaxError { place, message: message.into(), hint });
    }

    /// The pair that was read last, where a value or a brace now belongs.
    fn last(&mut self) -> Option<&mut Entry> {
        match self.depth {
            0 => self.entries.last_mut(),
            1 => self.entries.last_mut()?.children.as_mut()?.last_mut(),
            _ => None,
        }
    }

    fn line(&mut self, mut line: Line<'_>) {
        self.words = 0;
        loop {
            line.skip_space();
            let place = line.place();
            match line.peek() {
                None | Some(';') => break,
                Some('{') if self.wanted != Wanted::Continuation => {
                    line.next();
                    self.open(place);
                }
                Some('}') if self.wanted != Wanted::Continuation => {
                    line.next();
                    self.close(place);
                }
                Some('#') if self.wanted == Wanted::Key => {
                    self.hash(line.rest, place);
                    break;
                }
                Some(_) => self.word(&mut line, place),
            }
        }
        if self.wanted == Wanted::Value {
            self.wanted = Wanted::Key;
        }
    }

    fn open(&mut self, place: Place) {
        self.wanted = Wanted::Key;
        self.depth += 1;
        match self.depth {
            1 if self.entries.last().is_some_and(|entry| entry.children.is_none()) => {
                if let Some(section) = self.entries.last_mut() {
                    section.children = Some(Vec::new());
                }
            }
            1 => {
                self.error(place, "{ without the name of a section before it", "write: node { … }");
                // What follows is read as the section before, so that its keys are still judged; there may be none.
                if self.entries.is_empty() {
                    let (key, value) = (String::new(), String::new());
                    let (last_line, children) = (place.line, Some(Vec::new()));
                    self.entries.push(Entry { key, value, place, begins_line: true, last_line, children });
                }
            }
            2 => self.error(
                place,
                "a section within a section",
                "sections do not nest; close the outer one first",
            ),
            _ => {}
        }
    }

    fn close(&mut self, place: Place) {
        self.wanted = Wanted::Key;
        match self.depth.checked_sub(1) {
            Some(depth) => self.depth = depth,
            None => self.error(
                place,
                "} without a { before it",
                "delete it, or open the section that it is to close",
            ),
        }
    }

    fn hash(&mut self, rest: &str, place: Place) {
        if rest.starts_with("#include") {
            self.error(
                place,
                "#include is not supported",
                "put the text of the included file here, or use one koi.toml",
            );
        } else {
            self.error(place, "# begins no comment here", "comments begin with a semicolon");
        }
    }

    fn word(&mut self, line: &mut Line<'_>, place: Place) {
        self.words += 1;
        let quoted = line.peek() == Some('"');
        if self.wanted == Wanted::Continuation && !quoted {
            self.error(place, "the line before ends with \\, so this one must begin with \"", "");
            self.wanted = Wanted::Key;
        }
        let text = if quoted { self.string(line) } else { bare_word(line) };
        let text = self.unescape(&text, place);
        match self.wanted {
            Wanted::Key => self.key(text, place),
            Wanted::Value | Wanted::Continuation => {
                if let Some(last) = self.last() {
                    last.value.push_str(&text);
                    last.last_line = place.line;
                }
                let continues = quoted && line.rest.trim() == "\\";
                self.wanted = if continues { Wanted::Continuation } else { Wanted::Key };
                if continues {
                    line.rest = "";
                }
            }
        }
    }

    fn key(&mut self, key: String, place: Place) {
        if key.len() > 1 && key.ends_with(['{', '}']) {
            self.error(place, format!("no space before the brace in {}", excerpt(&key)), "write: node { … }");
        }
        let entry = Entry {
            key,
            value: String::new(),
            place,
            begins_line: self.words == 1,
            last_line: place.line,
            children: None,
        };
        match self.depth {
            0 => self.entries.push(entry),
            1 => {
                if let Some(children) = self.entries.last_mut().and_then(|section| section.children.as_mut())
                {
                    children.push(entry);
                }
            }
            _ => {}
        }
        self.wanted = Wanted::Value;
    }

    /// The inside of a quoted text, its escapes as they are.
    fn string(&mut self, line: &mut Line<'_>) -> String {
        let place = line.place();
        let mut inside = String::new();
        line.next();
        while let Some(c) = line.next() {
            match c {
                '"' => return inside,
                '\\' => {
                    inside.push(c);
                    inside.extend(line.next());
                }
                c => inside.push(c),
            }
        }
        self.error(place, "the text that begins here has no closing \"", "close it on the same line");
        inside
    }

    fn unescape(&mut self, raw: &str, place: Place) -> String {
        let mut text = String::with_capacity(raw.len());
        let mut chars = raw.chars();
        while let Some(c) = chars.next() {
            if c != '\\' {
                text.push(c);
                continue;
            }
            match chars.next() {
                Some('0') => text.push('\0'),
                Some('a') => text.push('\x07'),
                Some('b') => text.push('\x08'),
                Some('f') => text.push('\x0c'),
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some('v') => text.push('\x0b'),
                Some(same @ ('"' | '\'' | '\\')) => text.push(same),
                Some(other) => {
                    self.error(place, format!("unknown escape \\{other}"), "for a backslash write \\\\");
                }
                None => self.error(place, "nothing follows the backslash", "for a backslash write \\\\"),
            }
        }
        text
    }

    fn end(&mut self) {
        if self.depth > 0
            && let Some(section) = self.entries.last()
        {
            let (place, name) = (section.place, section.key.clone());
            self.error(
                place,
                format!("section {} is never closed", excerpt_name(&name)),
                "add the missing } with a space before it",
            );
        }
    }
}

fn bare_word(line: &mut Line<'_>) -> String {
    let mut word = String::new();
    while let Some(c) = line.peek().filter(|c| !c.is_whitespace() && *c != ';') {
        word.push(c);
        line.next();
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let (entries, errors) = parse(text);
        assert!(errors.is_empty(), "{errors:?}");
        entries
            .into_iter()
            .flat_map(|section| {
                let name = section.key;
                section.children.unwrap().into_iter().map(move |e| (format!("{name}.{}", e.key), e.value))
            })
            .collect()
    }

    fn first_error(text: &str) -> (usize, String) {
        let (_, errors) = parse(text);
        (errors[0].place.line, errors[0].message.to_string())
    }

    #[test]
    fn braces_may_stand_on_either_line_and_several_pairs_on_one() {
        let expected =
            [("node.port".to_owned(), "1".to_owned()), ("node.runner".to_owned(), "true".to_owned())];
        for text in [
            "node {\nport 1\nrunner true\n}",
            "node\n{\n port 1 ; why\n runner true }",
            "node { port 1 runner true }",
        ] {
            assert_eq!(pairs(text), expected, "{text:?}");
        }
    }

    #[test]
    fn quoted_values_have_escapes_and_go_on_over_lines() {
        let text = "cluster {\n  password \"a \\\"b\\\" \\\\ ; c\"\n  transport \"10.0.0.1, \" \\\n    \"10.0.0.2\"\n}";
        assert_eq!(pairs(text)[0].1, "a \"b\" \\ ; c");
        assert_eq!(pairs(text)[1].1, "10.0.0.1, 10.0.0.2");
    }

    #[test]
    fn errors_have_their_line() {
        assert_eq!(first_error("node {\n port 1\n"), (1, "section node is never closed".to_owned()));
        assert_eq!(first_error("node {\n}\n}\n"), (3, "} without a { before it".to_owned()));
        assert_eq!(first_error("{\n}"), (1, "{ without the name of a section before it".to_owned()));
        assert_eq!(
            first_error("cluster {\n password \"oops\n}"),
            (2, "the text that begins here has no closing \"".to_owned())
        );
        assert_eq!(first_error("\n#include \"x\""), (2, "#include is not supported".to_owned()));
        assert_eq!(
            first_error("node {\n inner {\n a b\n }\n}"),
            (2, "a section within a section".to_owned())
        );
        assert_eq!(first_error("node{\n}"), (1, "no space before the brace in \"node{\"".to_owned()));
        assert_eq!(first_error("node {\n name a\\qb\n}"), (2, "unknown escape \\q".to_owned()));
    }

    #[test]
    fn any_nesting_is_survived() {
        let text = "a { ".repeat(100_000);
        assert_eq!(parse(&text).1.len(), 2);
    }
}
