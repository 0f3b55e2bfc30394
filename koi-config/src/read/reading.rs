//! One file being read: what it said so far, where, and what was wrong with it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::redaction::{REDACTED, REDACTED_HINT, Redaction};
use crate::config::{CLASSIC_PASSWORD, Electors, Quorum};
use crate::diagnostic::{ConfigError, Diagnostic};
use crate::keys::Draft;
use crate::source::{Format, Identity, Loaded, Place};
use crate::validate::{ConfigDiagnostic, Severity, check};
use crate::value::Secret;

/// Errors that are kept; more of them help nobody.
const ERRORS: usize = 100;

/// See the module.
pub(crate) struct Reading<'f> {
    path: &'f Path,
    format: Format,
    identity: Identity<'f>,
    redaction: Redaction,
    pub(crate) draft: Draft,
    /// Where each key was set, by its path.
    set: HashMap<String, Place>,
    /// Keys with a value that could not be read: nothing more is said of them.
    broken: HashSet<String>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl<'f> Reading<'f> {
    /// `text` is the whole file.
    pub(crate) fn new(text: &str, path: &'f Path, format: Format, identity: Identity<'f>) -> Reading<'f> {
        Reading {
            path,
            format,
            identity,
            redaction: Redaction::from_text(text, format),
            draft: Draft::new(format),
            set: HashMap::new(),
            broken: HashSet::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Programs that the file names are looked for: it is the file of a node on this machine.
    pub(crate) fn looks_at_this_machine(&self) -> bool {
        self.identity != Identity::Client
    }

    /// The folder that relative paths are relative to.
    pub(crate) fn folder(&self) -> &'f Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Where a key was set, if it was.
    pub(crate) fn place_of(&self, key: &str) -> Option<Place> {
        self.set.get(key).copied()
    }

    /// A key is set here.
    pub(crate) fn mark_set(&mut self, key: &str, place: Place) {
        self.set.insert(key.to_owned(), place);
    }

    /// A key's value could not be read.
    pub(crate) fn mark_broken(&mut self, key: &str) {
        self.broken.insert(key.to_owned());
    }

    /// Whether something was wrong on this line already.
    pub(crate) fn has_error_on(&self, line: usize) -> bool {
        self.errors.iter().any(|problem| problem.line == Some(line))
    }

    /// Whether one of these lines may hold the password.
    pub(crate) fn may_hold_password(&self, first: usize, last: usize) -> bool {
        self.redaction.covers(first, last)
    }

    /// Something is wrong at `place`. The message may repeat what stands there; if the password may stand there, another
    /// message takes its place.
    pub(crate) fn error_that_quotes(
        &mut self,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if !self.may_hold_password(place.line, place.line) {
            self.error(Some(place), message, hint);
        } else if !self.has_error_on(place.line) {
            self.error(Some(place), REDACTED, REDACTED_HINT);
        }
    }

    /// Something is wrong. The message repeats nothing of the file but values that were read well.
    pub(crate) fn error(
        &mut self,
        place: Option<Place>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.errors.len() < ERRORS {
            let problem = self.problem(place, message.into(), hint.into());
            self.errors.push(problem);
        }
    }

    pub(crate) fn warn(&mut self, place: Option<Place>, message: impl Into<String>, hint: impl Into<String>) {
        let problem = self.problem(place, message.into(), hint.into());
        self.warnings.push(problem);
    }

    fn problem(&self, place: Option<Place>, message: String, hint: String) -> Diagnostic {
        Diagnostic {
            path: self.path.to_owned(),
            line: place.map(|p| p.line),
            column: place.map(|p| p.column),
            message,
            hint,
        }
    }

    /// The text cannot even be read as its format: what it means is not checked.
    pub(crate) fn give_up(mut self) -> ConfigError {
        self.errors.sort_by_key(|p| (p.line.is_none(), p.line, p.column));
        ConfigError { problems: self.errors, warnings: self.warnings }
    }

    /// Checks the whole.
    pub(crate) fn finish(mut self) -> Result<Loaded, ConfigError> {
        self.check_key();
        if let Identity::Named(name) = self.identity {
            self.draft.name = Some(name.to_owned());
            self.set.remove("node.name");
            self.broken.remove("node.name");
        }
        let config = self.draft.clone().settle(self.format);
        for problem in check(&config, self.format, self.identity) {
            self.add(problem);
        }
        let by_line = |p: &Diagnostic| (p.line.is_none(), p.line, p.column);
        self.errors.sort_by_key(by_line);
        self.warnings.sort_by_key(by_line);
        if !self.errors.is_empty() {
            return Err(ConfigError { problems: self.errors, warnings: self.warnings });
        }
        let (path, format) = (self.path.to_owned(), self.format);
        Ok(Loaded { config, path, format, warnings: self.warnings })
    }

    fn add(&mut self, problem: ConfigDiagnostic) {
        if problem.keys.iter().any(|key| self.broken.contains(&**key)) {
            return;
        }
        let place = problem.keys.iter().find_map(|key| self.place_of(key));
        match problem.severity {
            Severity::Error => self.error(place, problem.message, problem.hint),
            Severity::Warning => self.warn(place, problem.message, problem.hint),
        }
    }

    /// A key file or a password, one of them.
    fn check_key(&mut self) {
        let broken = self.broken.contains("cluster.key_file") || self.broken.contains("cluster.password");
        match (&self.draft.key_file, &self.draft.password) {
            (Some(_), Some(_)) => {
                let place = self.place_of("cluster.password");
                self.error(
                    place,
                    "cluster.key_file and cluster.password are both set",
                    "keep one of them; a key file is safer",
                );
            }
            (Some(_), None) | (None, Some(_)) => {}
            (None, None) if broken => self.mark_broken("cluster.password"),
            (None, None) if self.format == Format::Toml => {
                self.mark_broken("cluster.password");
                self.error(
                    None,
                    "the cluster has no key: neither cluster.key_file nor cluster.password is set",
                    "make one with `koi keygen`, copy it to every node, and set cluster.key_file",
                );
            }
            // The warning about the default password names it.
            (None, None) => self.draft.password = Some(Secret(CLASSIC_PASSWORD.to_owned())),
        }
    }

    /// Classic names the electors needed, not how many there are.
    pub(crate) fn assume_electors(&mut self) {
        let Quorum::Count(needed) = self.draft.rest.cluster.quorum else { return };
        let electors = needed.saturating_mul(2).saturating_sub(1);
        self.draft.rest.cluster.electors = Some(Electors::Count(electors));
        let place = self.place_of("cluster.quorum");
        self.warn(
            place,
            format!("cluster.quorum = {needed} is taken as the majority of {electors} electors"),
            "if the cluster has another number of electors: `koi config convert`, and set cluster.electors",
        );
    }
}
