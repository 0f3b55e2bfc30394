//! Test files: TOML that says what a handler is given, what it is asked, and what is to come of it (docs/handlers.md).

mod bytes;
pub(crate) mod call;
pub(crate) mod error;
mod fields;
pub(crate) mod given;
pub(crate) mod world;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::scripted::file::call::{At, CallScript};
use crate::scripted::file::error::{SpannedEntryError, TestEntryError, TestFileError};
use crate::scripted::file::fields::{Fields, Result as EntryResult, Value};
use crate::scripted::file::given::Given;
use crate::scripted::file::world::{Around, PeerScript, ProgramScript, ServerScript};
use crate::service::toml_places::line_of;

/// KiB of a test file.
const FILE_KIB: u64 = 4096;

const KEYS: [&str; 3] = ["handler", "given", "test"];
const TEST_KEYS: [&str; 8] = ["name", "given", "refused", "tcp", "udp", "http", "exec", "call"];

/// A test file, read.
#[derive(Debug)]
pub(crate) struct TestFile {
    pub(crate) path: PathBuf,
    /// The handler that it tests, as it stands there: beside the file.
    pub(crate) handler: Option<PathBuf>,
    pub(crate) tests: Vec<Test>,
}

/// One test.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) given: Given,
    /// Nothing is called: what is given is to be refused, with this in the reason.
    pub(crate) refused: Option<At<String>>,
    pub(crate) tcp: Vec<PeerScript>,
    pub(crate) udp: Vec<PeerScript>,
    pub(crate) http: Vec<ServerScript>,
    pub(crate) programs: Vec<ProgramScript>,
    pub(crate) calls: Vec<CallScript>,
}

impl TestFile {
    /// Reads the file at `path`.
    pub(crate) fn load(path: &Path) -> Result<TestFile, TestFileError> {
        let unreadable = |source| TestFileError::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let mut text = String::new();
        file.take(FILE_KIB * 1024 + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > FILE_KIB * 1024 {
            return Err(TestFileError::TooLong { path: path.to_owned(), most: FILE_KIB });
        }
        let (handler, tests) = parse(&text).map_err(|SpannedEntryError { at, what }| {
            TestFileError::Invalid { path: path.to_owned(), line: line_of(&text, at), what }
        })?;
        Ok(TestFile { path: path.to_owned(), handler, tests })
    }
}

fn parse(text: &str) -> EntryResult<(Option<PathBuf>, Vec<Test>)> {
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        SpannedEntryError::new(at, TestEntryError::Syntax(error.message().to_owned()))
    })?;
    let fields = Fields::of(table.get_ref(), 0, "a test file", &KEYS)?;
    let given = Given::read(&Given::default(), fields.get("given"))?;
    let line = |at: usize| line_of(text, at);
    let (mut tests, mut names) = (Vec::new(), HashSet::new());
    for value in fields.list("test")? {
        let test = test(value, &given, &line)?;
        if !names.insert(test.name.clone()) {
            return Err(SpannedEntryError::of(value, TestEntryError::SameName(test.name)));
        }
        tests.push(test);
    }
    match tests.is_empty() {
        true => Err(SpannedEntryError::new(0, TestEntryError::NoTest)),
        false => Ok((fields.text("handler")?.map(PathBuf::from), tests)),
    }
}

fn test(value: &Value<'_>, before: &Given, line_of: &dyn Fn(usize) -> usize) -> EntryResult<Test> {
    let fields = Fields::within("test", value, "[[test]]", &TEST_KEYS)?;
    let name = fields.text("name")?.ok_or_else(|| fields.missing("name", "name = \"what it shows\""))?;
    let given = Given::read(before, fields.get("given"))?;
    let around = Around { line_of, names: &given.names };
    let tcp = fields.list("tcp")?.iter().map(|value| world::peer(value, &around));
    let tcp = tcp.collect::<EntryResult<Vec<_>>>()?;
    let udp = fields.list("udp")?.iter().map(|value| world::datagram_peer(value, &around));
    let udp = udp.collect::<EntryResult<Vec<_>>>()?;
    let http = fields.list("http")?.iter().map(|value| world::server(value, &around));
    let http = http.collect::<EntryResult<Vec<_>>>()?;
    if let Some(server) = http.iter().find(|server| tcp.iter().any(|peer| peer.at == server.at)) {
        return Err(SpannedEntryError::of(value, TestEntryError::TakenAddress(server.at)));
    }
    let programs = fields.list("exec")?.iter().map(|value| world::program(value, &around));
    let programs = programs.collect::<EntryResult<Vec<_>>>()?;
    let calls = fields.list("call")?.iter().map(|value| call::call(value, line_of));
    let calls = calls.collect::<EntryResult<Vec<_>>>()?;
    let refused = fields.text("refused")?.zip(fields.get("refused"));
    let refused = refused.map(|(text, value)| At { line: line_of(value.span().start), value: text });
    let is_still = tcp.is_empty() && udp.is_empty() && http.is_empty() && programs.is_empty();
    match (&refused, calls.is_empty()) {
        (None, true) => return Err(SpannedEntryError::of(value, TestEntryError::NoCall)),
        (Some(_), no_calls) if !(no_calls && is_still) => {
            return Err(SpannedEntryError::of(value, TestEntryError::RefusedAndMore));
        }
        _ => {}
    }
    let line = line_of(value.span().start);
    Ok(Test { line, name, given, refused, tcp, udp, http, programs, calls })
}

#[cfg(test)]
mod tests;
