//! Reads `koi.toml`.

use std::path::Path;

use koi_core::group::{GroupName, NotAGroupName};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reading::Reading;
use super::redaction::REDACTED_HINT;
use crate::config::Group;
use crate::diagnostic::ConfigError;
use crate::fence;
use crate::keys::{
    CLASSIC_SECTIONS, Draft, GROUP_KEYS, GROUPS, KEYS, Key, PASSWORD, SECTIONS, nearest, split,
};
use crate::source::{Format, Identity, Loaded, Place};
use crate::value::{ValueErrors, excerpt_name};

/// The section that the table of keys does not know.
const FENCE: &str = "fence";

/// Reads the text of `path`.
pub(crate) fn read(text: &str, path: &Path, identity: Identity<'_>) -> Result<Loaded, ConfigError> {
    let mut reading = Reading::new(text, path, Format::Toml, identity);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let place = error.span().map(|span| place(text, span.start));
        let part = error.span().and_then(|span| text.get(span));
        match (error.message(), part, place) {
            ("duplicate key", Some(key), Some(place)) => {
                reading.error_that_quotes(place, format!("{} is set a second time", excerpt_name(key)), "");
            }
            // The parser's own words repeat nothing of the text.
            (message, ..) => reading.error(place, message, ""),
        }
    }
    let mut reader = TomlReader { text, reading, has_syntax_errors: !errors.is_empty() };
    reader.document(document.get_ref());
    if reader.has_syntax_errors { Err(reader.reading.give_up()) } else { reader.reading.finish() }
}

/// The place of the byte at `offset`.
fn place(text: &str, offset: usize) -> Place {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    Place {
        line: before.iter().filter(|b| **b == b'\n').count() + 1,
        column: String::from_utf8_lossy(&before[line_start..]).chars().count() + 1,
    }
}

struct TomlReader<'t> {
    text: &'t str,
    reading: Reading<'t>,
    /// The text is no TOML: what was recovered of it may be nonsense.
    has_syntax_errors: bool,
}

impl TomlReader<'_> {
    fn document(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            match value.get_ref() {
                DeValue::Table(section) if SECTIONS.contains(&name) => self.section(name, section),
                DeValue::Table(groups) if name == GROUPS => self.groups(groups),
                _ if name == GROUPS => {
                    let hint = "write [groups.NAME] on a line of its own, and the group's keys below";
                    self.error(key.span().start, "groups is a section, not a key".to_owned(), hint);
                }
                DeValue::Table(fences) if name == FENCE => self.fence(key.span().start, fences),
                DeValue::Table(_) => self.unknown_section(name, key.span().start),
                _ if SECTIONS.contains(&name) => {
                    let hint = format!("write [{name}] on a line of its own, and its keys below");
                    self.error(key.span().start, format!("{name} is a section, not a key"), hint);
                }
                _ => self.key_outside(name, key.span().start),
            }
        }
    }

    /// `[fence]` has keys of its own.
    fn fence(&mut self, at: usize, table: &DeTable<'_>) {
        let look = self.reading.looks_at_this_machine();
        match fence::read(at, table, self.reading.folder(), look) {
            Ok(fences) => self.reading.draft.rest.fence = Some(fences),
            Err(faults) => {
                faults.into_iter().for_each(|fault| self.error(fault.at, fault.message, fault.hint))
            }
        }
    }

    fn section(&mut self, section: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            let path = format!("{section}.{name}");
            if let Some(known) = KEYS.iter().find(|k| k.path == path) {
                self.value(known.path, key, value, |draft, value, folder| {
                    known.field.read_toml(draft, value, folder)
                });
                continue;
            }
            match value.get_ref() {
                DeValue::Table(inner) if SECTIONS.contains(&&*path) => self.section(&path, inner),
                _ if SECTIONS.contains(&&*path) => {
                    self.error(
                        key.span().start,
                        format!("{path} is a section, not a key"),
                        format!("[{path}]"),
                    );
                }
                DeValue::Table(_) => self.unknown_section(&path, key.span().start),
                _ => self.unknown_key(section, name, key.span().start),
            }
        }
    }

    /// `[groups]`: a section for each group.
    fn groups(&mut self, groups: &DeTable<'_>) {
        for (key, value) in groups {
            let (name, at) = (key.get_ref(), key.span().start);
            let DeValue::Table(section) = value.get_ref() else {
                let hint = format!("write it below [groups.NAME]; the keys are: {}", group_keys());
                self.error(at, format!("groups.{} is not a group", excerpt_name(name)), hint);
                continue;
            };
            match name.parse() {
                Ok(name) => self.group(name, section, at),
                Err(error @ NotAGroupName) => {
                    self.error(at, format!("groups.{}: {error}", excerpt_name(name)), "");
                }
            }
        }
    }

    fn group(&mut self, name: GroupName, section: &DeTable<'_>, at: usize) {
        let mut group = Group::new(&name);
        self.reading.mark_set(&format!("{GROUPS}.{name}"), place(self.text, at));
        for (key, value) in section {
            let own: &str = key.get_ref();
            let path = format!("{GROUPS}.{name}.{own}");
            match GROUP_KEYS.iter().find(|known| known.name() == own) {
                Some(_) if name.is_main() && own == "folder" => self.error(
                    key.span().start,
                    format!("{path} cannot be set: `main` is the group of the services folder"),
                    "set services.folder",
                ),
                Some(known) => self.value(&path, key, value, |_, value, folder| {
                    known.field.read_toml(&mut group, value, folder)
                }),
                None => {
                    let meant = nearest(own, GROUP_KEYS.iter().map(Key::name));
                    self.error(
                        key.span().start,
                        format!(
                            "unknown key {GROUPS}.{name}.{}; did you mean {GROUPS}.{name}.{meant}?",
                            excerpt_name(own)
                        ),
                        format!("the keys of a group are: {}", group_keys()),
                    );
                }
            }
        }
        self.reading.draft.rest.groups.insert(name, group);
    }

    fn value(
        &mut self,
        path: &str,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        read: impl FnOnce(&mut Draft, &DeValue<'_>, &Path) -> Result<(), ValueErrors>,
    ) {
        let folder = self.reading.folder();
        self.reading.mark_set(path, place(self.text, name.span().start));
        let span = value.span();
        let (first, last) = (place(self.text, span.start).line, place(self.text, span.end).line);
        let hidden = path != PASSWORD && self.reading.may_hold_password(first, last);
        if path != PASSWORD && last > first && holds_a_long_text(self.text, value) {
            // A quote is missing: what this value has swallowed would be repeated wherever it is.
            self.reading.mark_broken(path);
            return self.swallowed(path, span.start);
        }
        let Err(errors) = read(&mut self.reading.draft, value.get_ref(), folder) else { return };
        self.reading.mark_broken(path);
        if hidden {
            return self.swallowed(path, span.start);
        }
        for error in errors {
            let at = error.span.map_or(value.span().start, |span| span.start);
            let message = format!("{path} {}", error.message);
            match path {
                // What is said of the password itself repeats nothing.
                PASSWORD => self.reading.error(Some(place(self.text, at)), message, error.hint),
                _ => self.error(at, message, error.hint),
            }
        }
    }

    /// The value that begins at `at` runs into a line that may hold the password.
    fn swallowed(&mut self, key: &str, at: usize) {
        let message = format!("{key} cannot be used; it is not shown, for the password may be a part of it");
        self.reading.error(Some(place(self.text, at)), message, REDACTED_HINT);
    }

    fn unknown_section(&mut self, name: &str, at: usize) {
        if self.has_syntax_errors {
            return; // A broken header makes sections of whatever follows.
        }
        let nearest = match name {
            "time" => "timing",
            "service" => "services",
            _ => nearest(name, SECTIONS.into_iter().chain([GROUPS])),
        };
        let hint = if CLASSIC_SECTIONS.contains(&name) {
            "this is a section of the classic koi.conf: `koi config convert` turns one into koi.toml"
                .to_owned()
        } else {
            format!(
                "the sections are: {} [{GROUPS}.NAME] [{FENCE}]",
                SECTIONS.map(|s| format!("[{s}]")).join(" ")
            )
        };
        self.error(at, format!("unknown section [{}]; did you mean [{nearest}]?", excerpt_name(name)), hint);
    }

    fn unknown_key(&mut self, section: &str, name: &str, at: usize) {
        let path = format!("{section}.{name}");
        // The right key in the wrong section, or one of koi.conf's, is no slip of the pen.
        let elsewhere = KEYS
            .iter()
            .find(|key| key.name() == name || key.classic.is_some_and(|classic| split(classic).1 == name));
        let meant = elsewhere.map(|key| key.path).unwrap_or_else(|| {
            let here = KEYS.iter().filter(|key| key.section() == section);
            nearest(&path, here.map(|key| key.path))
        });
        let hint = match split(meant).0 {
            home if home == section => {
                let here: Vec<&str> =
                    KEYS.iter().filter(|key| key.section() == section).map(Key::name).collect();
                format!("the keys of [{section}] are: {}", here.join(", "))
            }
            home => format!("write it below [{home}]"),
        };
        self.error(at, format!("unknown key {section}.{}; did you mean {meant}?", excerpt_name(name)), hint);
    }

    fn key_outside(&mut self, name: &str, at: usize) {
        let known = KEYS.iter().find(|key| key.name() == name);
        let meant = known.unwrap_or_else(|| {
            let word = nearest(name, KEYS.iter().map(Key::name));
            KEYS.iter().find(|key| key.name() == word).unwrap_or(&KEYS[0])
        });
        let hint = format!("write it below [{}]", meant.section());
        self.error(
            at,
            format!("{} stands in no section; did you mean {}?", excerpt_name(name), meant.path),
            hint,
        );
    }

    fn error(&mut self, at: usize, message: String, hint: impl Into<String>) {
        let place = place(self.text, at);
        // An error of syntax makes what stands on its line mean something else: one word about it is enough.
        match self.has_syntax_errors {
            true if self.reading.has_error_on(place.line) => {}
            // A name may be a piece of a value.
            true => self.reading.error_that_quotes(place, message, hint),
            false => self.reading.error(Some(place), message, hint),
        }
    }
}

/// The names of a group's keys.
fn group_keys() -> String {
    GROUP_KEYS.iter().map(Key::name).collect::<Vec<_>>().join(", ")
}

/// Whether a text of several lines is in this value.
fn holds_a_long_text(text: &str, value: &Spanned<DeValue<'_>>) -> bool {
    match value.get_ref() {
        DeValue::String(_) => text.get(value.span()).is_some_and(|written| written.contains('\n')),
        DeValue::Array(items) => items.iter().any(|item| holds_a_long_text(text, item)),
        DeValue::Table(table) => table.iter().any(|(_, value)| holds_a_long_text(text, value)),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => false,
    }
}
