//! What is wrong with a file, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong, or that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file; empty: it is about no file.
    pub path: PathBuf,
    /// The line, counted from 1; none: it is about the file as a whole.
    pub line: Option<usize>,
    /// The column in characters, counted from 1.
    pub column: Option<usize>,
    /// What is wrong: one line, a sentence without its stop.
    pub message: String,
    /// What to do: one line; may be empty.
    pub hint: String,
}

/// `FILE:LINE: message`, and the hint below it, indented by four.
impl Diagnostic {
    /// The same in one line, for a log.
    pub fn in_one_line(&self) -> String {
        self.to_string().replace("\n    ", "; ")
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.as_os_str().is_empty() {
            write!(f, "{}:", self.path.display())?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\n    {}", self.hint)?;
        }
        Ok(())
    }
}

/// The configuration cannot be used. Shown, it is every problem in the order of the lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct ConfigError {
    /// What is wrong; at least one.
    pub problems: Vec<Diagnostic>,
    /// What would have been warned of besides.
    pub warnings: Vec<Diagnostic>,
}

fn lines(problems: &[Diagnostic]) -> String {
    problems.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n")
}

impl From<Diagnostic> for ConfigError {
    fn from(problem: Diagnostic) -> ConfigError {
        ConfigError { problems: vec![problem], warnings: Vec::new() }
    }
}
