//! Programs that a guest may run, and with which arguments: `/usr/sbin/ip addr add * dev eth0`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use koi_files::trust::{self, TrustError};
use koi_plugin_api::Program as WantedProgram;
use serde::{Deserialize, Serialize};

use crate::backend::wasm::grants::directories::directory::Directory;
use crate::backend::wasm::grants::error::{Danger, ProgramError, VariableError};
use crate::backend::wasm::grants::programs::launchers::leads_anywhere;
use crate::backend::wasm::grants::section::CommandLine;
use crate::backend::wasm::grants::{paths, users};
use crate::plugin::RunAs;

/// Variables that make a program load code, or find other programs, elsewhere than it would: never set by a guest. So
/// are all whose names begin with one of [`MAY_NOT_BEGIN`].
const MAY_NOT_BE_SET: [&str; 24] = [
    "PATH",
    "IFS",
    "ENV",
    "BASH_ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "CDPATH",
    "GCONV_PATH",
    "GETCONF_DIR",
    "GLIBC_TUNABLES",
    "HOSTALIASES",
    "LOCPATH",
    "MALLOC_TRACE",
    "NLSPATH",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYLIB",
    "RUBYOPT",
    "NODE_OPTIONS",
];

/// See [`MAY_NOT_BE_SET`].
const MAY_NOT_BEGIN: [&str; 3] = ["LD_", "DYLD_", "BASH_FUNC_"];

/// A granted program with the arguments that it may get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Program {
    #[serde(with = "paths")]
    path: PathBuf,
    args: Vec<String>,
    /// Any further arguments may follow: a last `**`.
    open_ended: bool,
    /// As whom it runs, by name; none: as koid.
    user: Option<(String, RunAs)>,
    /// What it leaves in the background is left alone.
    keeps: bool,
}

impl Program {
    /// Of an entry. Blocks: the program is looked at, and its user looked up.
    pub(in crate::backend::wasm::grants) fn parse(line: &CommandLine<'_>) -> Result<Program, ProgramError> {
        let program = Program::of(line, line.user.map(users::of_program).transpose()?)?;
        check_executable(&program.path)?;
        Ok(program)
    }

    /// Of one that was granted before, when its user had these numbers: whether it is still there shows when it is run.
    pub(in crate::backend::wasm::grants) fn again(
        line: &CommandLine<'_>,
        known: &BTreeMap<String, RunAs>,
    ) -> Result<Program, ProgramError> {
        Program::of(line, line.user.map(|name| users::again(name, known)).transpose()?)
    }

    /// Of a machine that is made up: nothing of it need be there, and nothing of it runs.
    pub(in crate::backend::wasm::grants) fn made_up(line: &CommandLine<'_>) -> Result<Program, ProgramError> {
        Program::of(line, None)
    }

    fn of(line: &CommandLine<'_>, user: Option<(String, RunAs)>) -> Result<Program, ProgramError> {
        let Some((path, args)) = line.words.split_first() else {
            return Err(ProgramError::Empty);
        };
        let path = PathBuf::from(path);
        if !path.is_absolute() {
            return Err(ProgramError::NotAbsolute(path));
        }
        let (args, open_ended) = match args.split_last() {
            Some((&"**", before)) => (before, true),
            _ => (args, false),
        };
        if args.contains(&"**") {
            return Err(ProgramError::OpenEndNotLast);
        }
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        Ok(Program { path, args, open_ended, user, keeps: line.keep })
    }

    /// As whom it runs, by name; none: as koid.
    pub(crate) fn user(&self) -> Option<&(String, RunAs)> {
        self.user.as_ref()
    }

    /// Whether what it leaves in the background is left alone.
    pub(crate) fn keeps(&self) -> bool {
        self.keeps
    }

    /// What is run, as the grant has it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Who else may change it, or put another one in its place; none: nobody. Blocks.
    pub(crate) fn distrust(&self) -> Option<TrustError> {
        // One that is not there is nobody's.
        trust::check(&self.path).ok().flatten().or_else(|| trust::check_parents(&self.path))
    }

    /// Whether it lies in `directory`, by its own name or by where that leads, or a link on the way does. Blocks.
    pub(in crate::backend::wasm::grants) fn lies_in(&self, directory: &Directory) -> bool {
        let on_way = trust::entries_on_way(&self.path);
        directory.holds(&self.path) || on_way.iter().any(|entry| directory.holds(entry))
    }

    /// Why a handler that may run it may do anything; none: it may not. Blocks.
    pub(in crate::backend::wasm::grants) fn danger(&self) -> Option<Danger> {
        match (leads_anywhere(&self.path), self.open_ended) {
            (true, _) => Some(Danger::Launcher),
            (false, true) => Some(Danger::AnyArguments),
            (false, false) => None,
        }
    }

    /// Whether `args` fit the patterns, each its own. A `*` that begins a word stands for no option, unless `--` has ended them or the grants
    /// are dangerous anyway: many a program runs or writes what an option says.
    pub(crate) fn fits(&self, args: &[String], dangerous: bool) -> bool {
        let right_count = match self.open_ended {
            true => args.len() >= self.args.len(),
            false => args.len() == self.args.len(),
        };
        let options_end = self.args.iter().position(|word| word == "--").unwrap_or(self.args.len());
        let may_be = |at: usize, pattern: &str, arg: &str| {
            dangerous || at > options_end || !pattern.starts_with('*') || !arg.starts_with('-')
        };
        let mut words = self.args.iter().zip(args).enumerate();
        right_count && words.all(|(at, (pattern, arg))| matches(pattern, arg) && may_be(at, pattern, arg))
    }

    /// How many of the first of `args` fit.
    pub(in crate::backend::wasm::grants) fn fitting(&self, args: &[String]) -> usize {
        self.args.iter().zip(args).take_while(|(pattern, arg)| matches(pattern, arg)).count()
    }

    /// Whether all that `wanted` may stand for is granted by it. A `*` of `wanted` fits only where a `*` is granted. Blocks.
    pub(in crate::backend::wasm::grants) fn covers(&self, wanted: &WantedProgram, dangerous: bool) -> bool {
        let Some((path, args)) = wanted.words.split_first() else { return false };
        let (args, is_open_ended) = match args.split_last() {
            Some((last, before)) if last == "**" => (before, true),
            _ => (args, false),
        };
        let granted_user = self.user.as_ref().map(|(name, _)| name);
        let is_as_wanted = wanted.user.is_none() || wanted.user.as_ref() == granted_user;
        is_as_wanted
            && (self.keeps || !wanted.keep)
            && (self.open_ended || !is_open_ended)
            && self.fits(args, dangerous)
            && self.is_at(path)
    }

    /// How many of the first words of `wanted` it has, and all of them above any number: it differs in the user or in `keep`.
    pub(in crate::backend::wasm::grants) fn likeness(&self, wanted: &WantedProgram) -> usize {
        let args = wanted.words.iter().skip(1);
        let alike = self.args.iter().zip(args).take_while(|(granted, wanted)| granted == wanted).count();
        let is_whole = alike == self.args.len() && alike + 1 == wanted.words.len();
        if is_whole { usize::MAX } else { alike }
    }

    /// Whether `path` is this program. The same file under the same last name: `/sbin/ip` and `/usr/sbin/ip` are one, but
    /// many files of a busybox are one file too, and which program that is only its name says. Blocks.
    pub(in crate::backend::wasm::grants) fn is_at(&self, path: &str) -> bool {
        let path = Path::new(path);
        if path == self.path {
            return true;
        }
        path.is_absolute()
            && path.file_name() == self.path.file_name()
            && matches!((fs::canonicalize(path), fs::canonicalize(&self.path)), (Ok(asked), Ok(granted)) if asked == granted)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        for arg in &self.args {
            // With spaces in it or empty it would look like another number of arguments.
            match arg.is_empty() || arg.contains(char::is_whitespace) {
                true => write!(f, " {arg:?}")?,
                false => write!(f, " {arg}")?,
            }
        }
        f.write_str(if self.open_ended { " **" } else { "" })?;
        if let Some((name, _)) = &self.user {
            write!(f, " (as {name})")?;
        }
        f.write_str(if self.keeps { " (what it starts is kept)" } else { "" })
    }
}

fn check_executable(path: &Path) -> Result<(), ProgramError> {
    let shown = || path.to_owned();
    let meta = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ProgramError::Missing(shown()),
        _ => ProgramError::Unreadable { path: shown(), source: error },
    })?;
    match meta.is_file() && meta.permissions().mode() & 0o111 != 0 {
        true => Ok(()),
        false => Err(ProgramError::NotAProgram(shown())),
    }
}

/// Whether `text` is `pattern` with some text in place of each `*`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(first) else { return false };
    let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut text) = text.strip_suffix(last) else { return false };
    // The leftmost place for each leaves most room for the next.
    for piece in between.split('*') {
        match text.find(piece) {
            Some(at) => text = &text[at + piece.len()..],
            None => return false,
        }
    }
    true
}

/// The name of a variable.
pub(in crate::backend::wasm::grants) fn plain_variable(name: &str) -> Result<String, VariableError> {
    let is_name =
        !name.is_empty() && !name.contains(|c: char| c == '=' || c.is_control() || c.is_whitespace());
    match is_name {
        true => Ok(name.to_owned()),
        false => Err(VariableError::NotAName),
    }
}

/// A variable that guests may set for programs.
pub(in crate::backend::wasm::grants) fn variable(name: &str) -> Result<String, VariableError> {
    let name = plain_variable(name)?;
    let unsafe_prefix = MAY_NOT_BEGIN.iter().any(|prefix| name.starts_with(prefix));
    match unsafe_prefix || MAY_NOT_BE_SET.contains(&name.as_str()) {
        true => Err(VariableError::Unsafe),
        false => Ok(name),
    }
}

/// The entry of `exec` that grants exactly this.
pub(crate) fn entry_for(program: &str, args: &[String]) -> toml::Value {
    let words = || std::iter::once(program).chain(args.iter().map(String::as_str));
    match words().any(|word| word.is_empty() || word.contains(char::is_whitespace)) {
        true => toml::Value::Array(words().map(toml::Value::from).collect()),
        false => words().collect::<Vec<_>>().join(" ").into(),
    }
}
