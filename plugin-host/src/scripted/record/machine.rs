//! The machine of a recording: this one. What is asked of it is noted.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use koi_files::trust;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::backend::wasm::script::{ProgramExit, ProgramRequest, ProgramRunError};
use crate::scripted::record::tape::Tape;
use crate::stand_in::Machine;

/// Where programs look for others.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a program may take whose guest does not say.
const TIME: Duration = Duration::from_secs(60);

/// Bytes of what a program writes that are kept, as under koid.
const OUTPUT_BYTES: usize = 1 << 20;

/// Runs programs where this process came from, in the machine's network.
pub(super) struct RecordingMachine {
    pub(super) outside: Handle,
    pub(super) tape: Tape,
    pub(super) variables: BTreeMap<String, String>,
    /// When the recording began, since 1970: in it the wall clock stands still, as it will in the test.
    pub(super) began: Duration,
}

impl Machine for RecordingMachine {
    fn run(&self, asked: &ProgramRequest, input: &[u8]) -> Result<ProgramExit, ProgramRunError> {
        let ended = match trust::check(Path::new(&asked.program)) {
            Ok(Some(why)) => Err(ProgramRunError::Io(format!("it is not run: {why}"))),
            Ok(None) | Err(_) => self.run_outside(asked, input),
        };
        self.tape.heard().programs.push((asked.clone(), input.to_vec(), ended.clone()));
        ended
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn clock(&self) -> Option<Duration> {
        Some(self.began)
    }

    fn sleeps(&self) -> bool {
        true
    }
}

impl RecordingMachine {
    fn run_outside(&self, asked: &ProgramRequest, input: &[u8]) -> Result<ProgramExit, ProgramRunError> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (asked, input) = (asked.clone(), input.to_vec());
        self.outside.spawn(async move {
            // Whoever waits is there until it hears.
            let _ = sender.send(run(asked, input).await);
        });
        tokio::task::block_in_place(|| receiver.recv())
            .unwrap_or_else(|_| Err(ProgramRunError::Io("the program was lost".into())))
    }
}

async fn run(asked: ProgramRequest, input: Vec<u8>) -> Result<ProgramExit, ProgramRunError> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => ProgramRunError::NotFound,
        _ => ProgramRunError::Io(error.to_string()),
    };
    let mut command = Command::new(&asked.program);
    command.args(&asked.args).env_clear().env("PATH", PATH).envs(asked.env).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may not want it.
        let _ = stdin.write_all(&input).await;
    }
    let time = asked.timeout_ms.map_or(TIME, Duration::from_millis);
    let output = timeout(time, child.wait_with_output()).await.map_err(|_| ProgramRunError::TimedOut)?;
    let mut output = output.map_err(failed)?;
    let truncated = output.stdout.len() > OUTPUT_BYTES || output.stderr.len() > OUTPUT_BYTES;
    output.stdout.truncate(OUTPUT_BYTES);
    output.stderr.truncate(OUTPUT_BYTES);
    Ok(ProgramExit { code: output.status.code(), stdout: output.stdout, stderr: output.stderr, truncated })
}
