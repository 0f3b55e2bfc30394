//! What can be wrong with a test file.

use std::io;
use std::path::PathBuf;

use toml::Spanned;

use crate::conformance::trial_group::TrialAttributeError;
use crate::service::duration::DurationError;

/// Why a test file cannot be used. None of its tests is run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TestFileError {
    /// It cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// It is longer than a test file.
    #[error("{}: longer than {most} KiB; is it a test file?", path.display())]
    TooLong { path: PathBuf, most: u64 },
    /// It says something that is not understood, at this line.
    #[error("{}:{line}: {what}", path.display())]
    Invalid { path: PathBuf, line: usize, what: Box<TestEntryError> },
}

/// What is wrong with one line of a test file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TestEntryError {
    /// It is not TOML.
    #[error("{0}")]
    Syntax(String),
    /// No such key here.
    #[error("`{key}` is not a key of {section}; the nearest is `{nearest}`")]
    UnknownKey { key: String, section: &'static str, nearest: String },
    /// A key that must be there is not.
    #[error("{section} has no `{key}`; write {example}")]
    Missing { section: &'static str, key: &'static str, example: &'static str },
    /// A value of another kind.
    #[error("`{key}` must be {expected}")]
    Kind { key: String, expected: &'static str },
    /// A word that is none of those that may stand here.
    #[error("`{word}` is not {what}; the nearest is `{nearest}`")]
    UnknownWord { word: String, what: &'static str, nearest: String },
    /// A text that is no time.
    #[error("`{key}`: {source}")]
    Time { key: String, source: DurationError },
    /// A text that is no moment.
    #[error("`{key}`: write a moment in UTC, like \"2026-01-01T00:00:00Z\"")]
    Moment { key: String },
    /// Bytes that are not what they are said to be.
    #[error("`{key}`: {text:?} is not {form}")]
    Bytes { key: String, text: String, form: &'static str },
    /// Several ways to say the same.
    #[error("{section} says one of {ways}")]
    OneOf { section: &'static str, ways: &'static str },
    /// No address.
    #[error("`{key}`: {text:?} is not {expected}")]
    Address { key: String, text: String, expected: &'static str },
    /// No request.
    #[error("`request`: {0:?} is not like \"GET http://10.0.0.5:8080/health\"")]
    Request(String),
    /// Two servers of different kinds.
    #[error("{0} has a script as another kind of server already")]
    TakenAddress(std::net::SocketAddr),
    /// A name without an address.
    #[error(
        "nobody says what address {0} has; write under given: names = {{ \"{0}\" = \"93.184.215.14\" }} (a name under `http` stands for public addresses alone)"
    )]
    NoAddress(String),
    /// A refusing peer that also talks.
    #[error("a peer that refuses connections says nothing else")]
    RefusesAndTalks,
    /// No group can have such an attribute.
    #[error(transparent)]
    Attribute(#[from] TrialAttributeError),
    /// A file without a test.
    #[error("the file has no test; begin one with [[test]]")]
    NoTest,
    /// A test without a call.
    #[error("the test calls no hook; write [[test.call]] with hook = \"start\" or another, or `refused`")]
    NoCall,
    /// A test of a refusal that goes on.
    #[error("where what is given is `refused` nothing runs: such a test has no calls and no world")]
    RefusedAndMore,
    /// Two tests of one name.
    #[error("another test of this file is called {0:?}")]
    SameName(String),
}

/// Something wrong, and the byte of the text at which it stands.
#[derive(Debug)]
pub(crate) struct SpannedEntryError {
    pub(crate) at: usize,
    pub(crate) what: Box<TestEntryError>,
}

impl SpannedEntryError {
    pub(crate) fn new(at: usize, what: TestEntryError) -> SpannedEntryError {
        SpannedEntryError { at, what: Box::new(what) }
    }

    pub(crate) fn of<T>(at: &Spanned<T>, what: TestEntryError) -> SpannedEntryError {
        SpannedEntryError::new(at.span().start, what)
    }
}
