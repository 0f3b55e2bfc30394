//! Programs of the node. `exec` of `[grants]` says which, with which arguments.

use std::fmt;
use std::time::Duration;

use crate::HookError;
use crate::raw_exec::{self, ExecError, Output};

/// Bytes of arguments in an error.
const SHOWN_BYTES: usize = 200;

/// Runs the program at an absolute path with these arguments, to its end; what it wrote to its standard output.
///
/// # Errors
/// It was not run, did not end in time, or did not exit with 0.
pub fn run(program: &str, args: &[&str], timeout: Option<Duration>) -> Result<String, RunError> {
    command(program, args, timeout).run()
}

/// Runs it; an exit code other than 0 is no error.
///
/// # Errors
/// It was not run, or did not end in time.
pub fn output(program: &str, args: &[&str], timeout: Option<Duration>) -> Result<Output, RunError> {
    command(program, args, timeout).output()
}

fn command(program: &str, args: &[&str], timeout: Option<Duration>) -> Command {
    let command = Command::new(program).args(args);
    match timeout {
        Some(timeout) => command.timeout(timeout),
        None => command,
    }
}

/// A program to run, with more than arguments. A secret goes to its standard input: arguments are seen by everybody on the node.
///
/// ```ignore
/// let said = exec::Command::new("/usr/bin/psql").args(&["-f", "-"]).stdin("SELECT 1;").run()?;
/// ```
#[derive(Clone)]
#[must_use = "`run` or `output` runs it"]
pub struct Command {
    raw: raw_exec::Command,
}

impl Command {
    /// The program at an absolute path, without arguments. It may take as long as the call has.
    pub fn new(program: &str) -> Command {
        Command {
            raw: raw_exec::Command {
                program: program.into(),
                args: Vec::new(),
                env: Vec::new(),
                stdin: Vec::new(),
                timeout_ms: None,
            },
        }
    }

    /// With one more argument.
    pub fn arg(mut self, arg: &str) -> Command {
        self.raw.args.push(arg.into());
        self
    }

    /// With these further arguments.
    pub fn args(mut self, args: &[&str]) -> Command {
        self.raw.args.extend(args.iter().map(|arg| (*arg).into()));
        self
    }

    /// With a variable in its environment. `exec-env` of `[grants]` says which may be set.
    pub fn env(mut self, name: &str, value: &str) -> Command {
        self.raw.env.push((name.into(), value.into()));
        self
    }

    /// What it reads from its standard input.
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Command {
        self.raw.stdin = input.into();
        self
    }

    /// How long it may take; never longer than the call has.
    pub fn timeout(mut self, timeout: Duration) -> Command {
        self.raw.timeout_ms = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Runs it to its end; what it wrote to its standard output.
    ///
    /// # Errors
    /// It was not run, did not end in time, or did not exit with 0.
    pub fn run(&self) -> Result<String, RunError> {
        let output = self.output()?;
        match output.code {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            code => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.trim().lines().next().unwrap_or_default().to_owned();
                Err(RunError { program: self.raw.program.clone(), why: WhyNot::Ended { code, said } })
            }
        }
    }

    /// Runs it to its end; an exit code other than 0 is no error.
    ///
    /// # Errors
    /// It was not run, or did not end in time.
    pub fn output(&self) -> Result<Output, RunError> {
        raw_exec::run(&self.raw).map_err(|error| RunError {
            program: self.raw.program.clone(),
            why: match error {
                ExecError::Denied => WhyNot::Denied { args: shown(&self.raw.args) },
                ExecError::NotFound => WhyNot::NotFound,
                ExecError::TimedOut => WhyNot::TimedOut,
                ExecError::Io(words) => WhyNot::Io(words),
            },
        })
    }
}

/// Arguments in a line. A long one is left out whole, with all that follows: koi hides secrets, and does not know a part of one.
fn shown(args: &[String]) -> String {
    let mut line = String::new();
    for arg in args {
        let blank = if line.is_empty() { "" } else { " " };
        if line.len() + arg.len() > SHOWN_BYTES {
            return line + blank + "…";
        }
        let quote = if arg.is_empty() || arg.contains(char::is_whitespace) { "\"" } else { "" };
        line.extend([blank, quote, arg, quote]);
    }
    line
}

// Not derived: what goes to its standard input, or into its environment, may be a secret.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Command { raw } = self;
        f.debug_struct("Command")
            .field("program", &raw.program)
            .field("args", &raw.args)
            .finish_non_exhaustive()
    }
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
    Denied {
        /// They in a line; empty: there are none.
        args: String,
    },
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
            WhyNot::Denied { args } if args.is_empty() => {
                f.write_str(" is not granted without arguments; koid's log has the line for [grants]")
            }
            WhyNot::Denied { args } => {
                write!(
                    f,
                    " is not granted with these arguments: {args}; koid's log has the line for [grants]"
                )
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
    fn a_command_takes_a_secret_and_does_not_show_it() {
        let command = Command::new("/usr/bin/psql")
            .arg("-f")
            .args(&["-", "db"])
            .env("PGUSER", "koi")
            .stdin("hunter2")
            .timeout(Duration::from_millis(1500));
        assert_eq!(command.raw.args, ["-f", "-", "db"]);
        assert_eq!(command.raw.env, [("PGUSER".to_owned(), "koi".to_owned())]);
        assert_eq!((&command.raw.stdin[..], command.raw.timeout_ms), (&b"hunter2"[..], Some(1500)));
        let shown = format!("{command:?}");
        assert!(shown.contains("/usr/bin/psql") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn an_error_says_which_program_and_why() {
        let said = |why| RunError { program: "/usr/bin/df".into(), why }.to_string();
        assert_eq!(
            said(WhyNot::Denied { args: shown(&["--".into(), String::new(), "/a b".into()]) }),
            "/usr/bin/df is not granted with these arguments: -- \"\" \"/a b\"; koid's log has the line for [grants]"
        );
        assert_eq!(
            said(WhyNot::Denied { args: shown(&[]) }),
            "/usr/bin/df is not granted without arguments; koid's log has the line for [grants]"
        );
        assert_eq!(shown(&["-p".into(), "x".repeat(200), "/".into()]), "-p …", "no part of a secret");
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
