//! Reads the classic `koi.conf`.

use std::borrow::Cow;
use std::path::Path;

use super::info::{self, Entry};
use super::reading::Reading;
use super::redaction::{REDACTED, REDACTED_HINT};
use crate::diagnostic::ConfigError;
use crate::keys::{CLASSIC_SECTIONS, KEYS, PASSWORD, REPLACED, classic_names, nearest, split};
use crate::source::{Format, Identity, Loaded, Place};
use crate::value::{Destination, excerpt, excerpt_name};

/// Slips of the pen with which a name is still known.
const SLIPS: usize = 2;

/// Reads the text of `path`.
pub(crate) fn read(text: &str, path: &Path, identity: Identity<'_>) -> Result<Loaded, ConfigError> {
    let mut reading = Reading::new(text, path, Format::Classic, identity);
    let (entries, errors) = info::parse(text);
    for error in &errors {
        match &error.message {
            Cow::Borrowed(message) => reading.error(Some(error.place), *message, error.hint),
            Cow::Owned(message) => reading.error_that_quotes(error.place, message, error.hint),
        }
    }
    let mut reader =
        ClassicReader { reading, has_syntax_errors: !errors.is_empty(), replaced_at: Vec::new() };
    for entry in &entries {
        reader.top_level(entry);
    }
    if reader.has_syntax_errors {
        return Err(reader.reading.give_up());
    }
    reader.reading.assume_electors();
    reader.reading.finish()
}

struct ClassicReader<'f> {
    reading: Reading<'f>,
    /// The text breaks the syntax: on such a line, that is all that is said.
    has_syntax_errors: bool,
    /// Where replaced keys were set.
    replaced_at: Vec<(&'static str, Place)>,
}

impl ClassicReader<'_> {
    fn top_level(&mut self, entry: &Entry) {
        let Some(children) = &entry.children else { return self.pair_outside(entry) };
        if !entry.value.is_empty() {
            let hint = format!("write: {} {{ … }}", shown(entry));
            self.error(
                entry.place,
                format!("section {} has a value, {}", shown(entry), excerpt(&entry.value)),
                hint,
            );
        }
        if !CLASSIC_SECTIONS.contains(&&*entry.key) {
            let meant = nearest(&entry.key, CLASSIC_SECTIONS.into_iter());
            let hint = format!("the sections are: {}", CLASSIC_SECTIONS.join(", "));
            return self.error(
                entry.place,
                format!("unknown section {}; did you mean {meant}?", shown(entry)),
                hint,
            );
        }
        for child in children {
            self.pair(&entry.key, child);
        }
    }

    fn pair_outside(&mut self, entry: &Entry) {
        if CLASSIC_SECTIONS.contains(&&*entry.key) {
            let hint = format!("write: {} {{ … }}", entry.key);
            return self.error(entry.place, format!("section {} has no braces", entry.key), hint);
        }
        let meant = nearest_key(&entry.key, |path| split(path).1);
        let hint = format!("write: {} {{ {} … }}", split(meant).0, split(meant).1);
        self.error(
            entry.place,
            format!("{} stands in no section; did you mean {meant}?", shown(entry)),
            hint,
        );
    }

    fn pair(&mut self, section: &str, entry: &Entry) {
        let place = entry.place;
        let path = &*format!("{section}.{}", entry.key);
        if let Some(key) = KEYS.iter().find(|key| key.classic == Some(path)) {
            if let Some(first) = self.reading.place_of(key.path) {
                return self.set_twice(path, place, first);
            }
            self.reading.mark_set(key.path, place);
            if key.path != PASSWORD
                && entry.last_line > place.line
                && self.reading.may_hold_password(place.line, entry.last_line)
            {
                // What it goes on with may be the password, and would be repeated wherever this value is.
                self.reading.mark_broken(key.path);
                return self.reading.error(Some(place), REDACTED, REDACTED_HINT);
            }
            let folder = self.reading.folder();
            if let Err(errors) = key.field.read_classic(&mut self.reading.draft, &entry.value, folder) {
                self.reading.mark_broken(key.path);
                for error in errors {
                    self.wrong_value(key.path, place, format!("{path} {}", error.message), error.hint);
                }
            }
        } else if let Some(known) = REPLACED.iter().find(|known| known.path == path) {
            if let Some((_, first)) = self.replaced_at.iter().find(|(set, _)| *set == path) {
                return self.set_twice(path, place, *first);
            }
            self.replaced_at.push((known.path, place));
            match (known.check)(&entry.value) {
                Ok(()) => {
                    let hint = "delete the line";
                    self.reading.warn(Some(place), format!("{path} has no effect: {}", known.why), hint);
                }
                Err(errors) => {
                    for error in errors {
                        self.error(place, format!("{path} {}", error.message), error.hint);
                    }
                }
            }
        } else {
            self.unknown_key(section, entry);
        }
    }

    fn set_twice(&mut self, path: &str, place: Place, first: Place) {
        // As the classic daemon did.
        let message = format!("{path} is set a second time: the value in line {} counts", first.line);
        self.reading.warn(Some(place), message, "delete one of them");
    }

    fn unknown_key(&mut self, section: &str, entry: &Entry) {
        let (name, place) = (&*entry.key, entry.place);
        let path = format!("{section}.{}", shown(entry));
        if let Some(key) = KEYS.iter().find(|key| key.classic.is_none() && key.name() == name) {
            let message = format!("unknown key {path}: only koi.toml has {}", key.path);
            return self.error(place, message, "`koi config convert` turns this file into koi.toml");
        }
        let here = || classic_names().filter(|known| split(known).0 == section);
        let elsewhere = classic_names().find(|known| split(known).1 == name);
        let meant = elsewhere.unwrap_or_else(|| nearest(&path, here()));
        let hint = if Destination::parse(name.trim_end_matches(',')).is_ok() {
            "put the whole list of addresses in double quotes".to_owned()
        } else if elsewhere.is_some() {
            format!("write it in {} {{ … }}", split(meant).0)
        } else {
            let names: Vec<&str> = here().map(|known| split(known).1).collect();
            format!("the keys of {section} are: {}", names.join(", "))
        };
        self.error(place, format!("unknown key {path}; did you mean {meant}?"), hint);
    }

    /// What is said of the password itself repeats nothing.
    fn wrong_value(&mut self, key: &str, place: Place, message: String, hint: String) {
        match key {
            PASSWORD => self.reading.error(Some(place), message, hint),
            _ => self.error(place, message, hint),
        }
    }

    fn error(&mut self, place: Place, message: String, hint: impl Into<String>) {
        if !(self.has_syntax_errors && self.reading.has_error_on(place.line)) {
            self.reading.error_that_quotes(place, message, hint);
        }
    }
}

/// The name of an entry as messages repeat it. What is no slip of a known name's may be a value with a blank too many before
/// it: it is repeated only where a name stands.
fn shown(entry: &Entry) -> String {
    let names = || classic_names().map(|known| split(known).1).chain(CLASSIC_SECTIONS);
    let is_slip =
        names().any(|name| strsim::damerau_levenshtein(name, &entry.key) <= SLIPS.min(name.len() / 2));
    let stands_as_name = entry.begins_line && (!entry.value.is_empty() || entry.children.is_some());
    if is_slip || stands_as_name || Destination::parse(entry.key.trim_end_matches(',')).is_ok() {
        excerpt_name(&entry.key)
    } else {
        format!("(a word of {} characters)", entry.key.chars().count())
    }
}

fn nearest_key(word: &str, part: impl Fn(&'static str) -> &'static str) -> &'static str {
    let closest = nearest(word, classic_names().map(&part));
    classic_names().find(|known| part(known) == closest).unwrap_or("node.name")
}
