//! The machine of a test: its names, variables, clock and programs.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::backend::wasm::script::{ProgramExit, ProgramRequest, ProgramRunError};
use crate::config::nearest::likeness;
use crate::resolver::Resolver;
use crate::scripted::file::Test;
use crate::scripted::file::world::{ProgramEnd, ProgramScript, Times};
use crate::scripted::finding::{Finding, Findings};
use crate::stand_in::Machine;

/// What a guest reads when it runs what its test does not have.
const NO_SUCH_PROGRAM: &str = "the test has no such program";

/// The made-up machine of one test.
pub(crate) struct ScriptedMachine {
    line: usize,
    programs: Vec<ProgramScript>,
    variables: BTreeMap<String, String>,
    state: Mutex<State>,
    findings: Findings,
}

struct State {
    clock: Option<Duration>,
    /// How often each program was run.
    used: Vec<u32>,
}

impl ScriptedMachine {
    pub(crate) fn new(test: &Test, findings: Findings) -> ScriptedMachine {
        let state = State { clock: test.given.clock, used: vec![0; test.programs.len()] };
        ScriptedMachine {
            line: test.line,
            programs: test.programs.clone(),
            variables: test.given.env.clone(),
            state: Mutex::new(state),
            findings,
        }
    }

    /// What the wall clock says in the next call.
    pub(crate) fn set_clock(&self, clock: Option<Duration>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clock = clock;
    }

    /// What was to be run and was not is a finding.
    pub(crate) fn finish(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (script, used) in self.programs.iter().zip(&state.used) {
            let shown = shown(&script.words);
            self.findings.extend(unused(script.line, script.times, *used, &format!("{shown} was run")));
        }
    }

    fn take(&self, asked: &ProgramRequest) -> Option<&ProgramScript> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let words = std::iter::once(&asked.program).chain(&asked.args);
        let at = self.programs.iter().zip(&state.used).position(|(script, used)| {
            is_left(script.times, *used) && script.words.iter().eq(words.clone())
        })?;
        state.used[at] += 1;
        Some(&self.programs[at])
    }

    /// Why nothing stands for it.
    fn unknown(&self, asked: &ProgramRequest) -> Finding {
        let words: Vec<String> = std::iter::once(&asked.program).chain(&asked.args).cloned().collect();
        let seen = shown(&words);
        if let Some(script) = self.programs.iter().find(|script| script.words == words) {
            return Finding::of(script.line, format!("{seen} was run once more than `times` says"));
        }
        match self.programs.iter().max_by_key(|script| likeness(&shown(&script.words), &seen)) {
            Some(script) => {
                let what = "a program was run that the test does not have; the nearest";
                Finding::other(script.line, what, shown(&script.words), seen)
            }
            None => Finding::of(self.line, format!("{seen} was run, and the test has no [[test.exec]]")),
        }
    }
}

impl Machine for ScriptedMachine {
    fn run(&self, asked: &ProgramRequest, input: &[u8]) -> Result<ProgramExit, ProgramRunError> {
        let Some(script) = self.take(asked) else {
            self.findings.add(self.unknown(asked));
            return Err(ProgramRunError::Io(NO_SUCH_PROGRAM.into()));
        };
        if let Some(expected) = script.stdin.as_ref().filter(|expected| **expected != input) {
            let what = format!("standard input of {}", shown(&script.words));
            self.findings.add(Finding::other_bytes(script.line, &what, expected, input));
        }
        for (name, value) in &script.env {
            let given = asked.env.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value);
            if given != Some(value) {
                let what = format!("the variable {name} of {}", shown(&script.words));
                let seen = given.map_or("not set".to_owned(), |given| format!("{given:?}"));
                self.findings.add(Finding::other(script.line, what, format!("{value:?}"), seen));
            }
        }
        match &script.end {
            ProgramEnd::Exits { code, stdout, stderr } => Ok(ProgramExit {
                code: Some(*code),
                stdout: stdout.clone(),
                stderr: stderr.clone(),
                truncated: false,
            }),
            ProgramEnd::NotFound => Err(ProgramRunError::NotFound),
            ProgramEnd::TimedOut => Err(ProgramRunError::TimedOut),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn clock(&self) -> Option<Duration> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clock
    }
}

/// Whether something may be used once more.
pub(crate) fn is_left(times: Times, used: u32) -> bool {
    match times {
        Times::Exactly(times) => used < times,
        Times::Any => true,
    }
}

/// What is to be said of something that was used too rarely; `what` it is that should have been done.
pub(crate) fn unused(line: usize, times: Times, used: u32, what: &str) -> Option<Finding> {
    let count = |n: u32| if n == 1 { "once".to_owned() } else { format!("{n} times") };
    match times {
        Times::Exactly(times) if used < times => {
            let seen = if used == 0 { "not at all".to_owned() } else { count(used) };
            Some(Finding::other(line, what, count(times), seen).following())
        }
        Times::Exactly(_) | Times::Any => None,
    }
}

/// Names that stand for what a test says, and `localhost`; no other.
pub(crate) fn resolver(names: &BTreeMap<String, Vec<IpAddr>>) -> Resolver {
    let names = Arc::new(names.clone());
    Resolver::new(move |name| {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        match names.get(&name) {
            Some(ips) => Ok(ips.clone()),
            None if name == "localhost" => Ok(vec![IpAddr::from([127, 0, 0, 1])]),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "the test knows no such name")),
        }
    })
}

fn shown(words: &[String]) -> String {
    let word = |word: &String| match word.is_empty() || word.contains(char::is_whitespace) {
        true => format!("{word:?}"),
        false => word.clone(),
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}
