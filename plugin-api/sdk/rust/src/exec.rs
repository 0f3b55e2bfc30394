//! Programs of the node. `exec` of `[grants]` says which, with which arguments.

use std::fmt;
use std::time::Duration;

use crate::HookError;
use crate::raw_exec::{self, Command, ExecError, Output};

/// Runs the program at an absolute path with these arguments, to its end; what it wrote to its standard output.
///
/// # Errors
/// It was not run, did not end in time, or did not exit with 0.
pub fn run(program: &str, args: &[&str], timeout: Option<Duration>) -> Result<String, RunError> {
    let output = output(program, args, timeout)?;
    match output.code {
        Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        code => {
            let said =
                String::from_utf8_lossy(&output.stderr).trim().lines().next().unwrap_or_default().to_owned();
            Err(RunError { program: program.into(), why: WhyNot::Ended { code, said } })
        }
    }
}

/// Runs it; an exit code other than 0 is no error.
///
/// # Errors
/// It was not run, or did not end in time.
pub fn output(program: &str, args: &[&str], timeout: Option<Duration>) -> Result<Output, RunError> {
    let command = Command {
        program: program.into(),
        args: args.iter().map(|arg| (*arg).into()).collect(),
        env: Vec::new(),
        stdin: Vec::new(),
        timeout_ms: timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
    };
    raw_exec::run(&command).map_err(|error| RunError {
        program: program.into(),
        why: match error {
            ExecError::Denied => WhyNot::Denied,
            ExecError::NotFound => WhyNot::NotFound,
            ExecError::TimedOut => WhyNot::TimedOut,
            ExecError::Io(words) => WhyNot::Io(words),
        },
    })
}

/// A program did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunError {
    /// Its path.
    pub program: String,
    /// What happened.
    pub why: WhyNot,
}

/// Why a program did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// `[grants]` does not allow it with these arguments.
    Denied,
    /// There is no such program.
    NotFound,
    /// It did not end in time, and was killed.
    TimedOut,
    /// Anything else, in words.
    Io(String),
    /// It ended with another code than 0, or by a signal (none), and said this.
    Ended {
        /// The exit code.
        code: Option<i32>,
        /// The first line of its standard error.
        said: String,
    },
}

impl std::error::Error for RunError {}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        match &self.why {
            WhyNot::Denied => {
                f.write_str(" is not granted with these arguments; koid's log has the line for [grants]")
            }
            WhyNot::NotFound => f.write_str(" is not there; install it, or name the place where it is"),
            WhyNot::TimedOut => f.write_str(" did not end in time"),
            WhyNot::Io(words) => write!(f, ": {words}"),
            WhyNot::Ended { said, .. } if !said.is_empty() => write!(f, ": {said}"),
            WhyNot::Ended { code: Some(code), .. } => write!(f, " exited with {code} and said nothing"),
            WhyNot::Ended { code: None, .. } => f.write_str(" was killed by a signal"),
        }
    }
}

impl From<RunError> for HookError {
    fn from(error: RunError) -> HookError {
        HookError::Retry(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_which_program_and_why() {
        let said = |why| RunError { program: "/usr/bin/df".into(), why }.to_string();
        assert!(said(WhyNot::Denied).starts_with("/usr/bin/df is not granted with these arguments"));
        assert_eq!(
            said(WhyNot::Ended { code: Some(1), said: "df: /x: no".into() }),
            "/usr/bin/df: df: /x: no"
        );
        assert_eq!(
            said(WhyNot::Ended { code: Some(3), said: String::new() }),
            "/usr/bin/df exited with 3 and said nothing"
        );
        assert_eq!(
            said(WhyNot::Ended { code: None, said: String::new() }),
            "/usr/bin/df was killed by a signal"
        );
    }
}
