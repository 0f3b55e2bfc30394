//! What programs have left in the background and is kept: a broker for each program, which outlives koid. A file of the service says which.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use koi_child::group::KILL_WAIT;
use koi_child::{ProcessHandle, ProcessStat};
use koi_files::{Durability, Temporary, WriteOptions};
use koi_plugin_api::{CallLog, LogLevel};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::backend::wasm::host::verdict;

/// Programs of one service that are kept for.
const KEPT: usize = 64;
/// Bytes of the file that are read.
const FILE_BYTES: u64 = 256 * 1024;
/// Between looks at what is ending.
const PAUSE: Duration = Duration::from_millis(5);

/// koid is alone in its state folder, and nothing is left after a power cut.
const PRIVATE: WriteOptions<'static> =
    WriteOptions { mode: 0o600, temporary: Temporary::Fixed, durability: Durability::Unsynced };

/// Why nothing more is kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error("what it has started was ended, for it cannot be noted: {0}")]
    Note(#[from] io::Error),
    #[error(
        "what it has started was ended, for {KEPT} of the service's programs have left something already"
    )]
    TooMany,
}

/// A program, and the broker that keeps what it has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptProgram {
    pub(crate) program: String,
    /// The broker's process.
    pub(crate) broker: i32,
    /// When that was started, in ticks since the machine was: with both, and the machine's start, it is no other.
    started: u64,
    boot: String,
}

impl KeptProgram {
    /// As `koi status NODE` shows it.
    pub(crate) fn detail(&self) -> (String, String) {
        (verdict::KEPT.to_owned(), format!("{}, process {}", self.program, self.broker))
    }

    fn runs(&self) -> bool {
        ProcessStat::of(self.broker).is_some_and(|process| process.runs && self.is(&process))
    }

    fn is(&self, process: &ProcessStat) -> bool {
        process.started == self.started && self.boot == boot()
    }

    /// Has it end with all that it keeps. Whoever has its number by now hears nothing.
    fn terminate(&self) {
        if let Some(handle) = ProcessHandle::open(self.broker).filter(|handle| self.is(handle.seen())) {
            handle.signal(Signal::SIGTERM);
        }
    }
}

/// What is kept of one service. Clones share the file.
#[derive(Clone, Debug)]
pub(crate) struct Kept(Arc<PathBuf>);

impl Kept {
    /// Noted in this file.
    pub(crate) fn in_file(path: PathBuf) -> Kept {
        Kept(Arc::new(path))
    }

    /// What runs of it. Blocks on the disk.
    pub(crate) fn running(&self) -> Vec<KeptProgram> {
        let text = fs::metadata(&*self.0).ok().filter(|found| found.len() <= FILE_BYTES);
        let text = text.and_then(|_| fs::read(&*self.0).ok()).unwrap_or_default();
        // A file that cannot be read is as good as none: it was written whole.
        let all: Vec<KeptProgram> = serde_json::from_slice(&text).unwrap_or_default();
        all.into_iter().filter(KeptProgram::runs).collect()
    }

    /// Notes a broker that is about to be released. Blocks on the disk.
    pub(crate) fn note(&self, program: &str, broker: i32) -> Result<(), KeepError> {
        let mut all = self.running();
        if all.len() >= KEPT {
            return Err(KeepError::TooMany);
        }
        let process = ProcessStat::of(broker).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let (program, started, boot) = (program.to_owned(), process.started, boot());
        all.push(KeptProgram { program, broker, started, boot });
        Ok(self.write(&all)?)
    }

    /// Forgets what does not run any more. Blocks on the disk.
    pub(crate) fn tidy(&self) {
        // What stays noted is known not to run when it is looked at.
        let _ = self.write(&self.running());
    }

    fn write(&self, all: &[KeptProgram]) -> io::Result<()> {
        if all.is_empty() {
            return match fs::remove_file(&*self.0) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        if let Some(folder) = self.0.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(koi_files::replace(&self.0, &serde_json::to_vec(all)?, &PRIVATE)?)
    }

    /// Ends all that is kept: the service is down.
    pub(crate) async fn end(&self, log: &dyn CallLog) {
        let all = self.look().await;
        if all.is_empty() {
            return;
        }
        for kept in &all {
            log.line(
                LogLevel::Info,
                &format!("what {} has left is ended: the service is down", kept.program),
            );
            kept.terminate();
        }
        let until = Instant::now() + KILL_WAIT;
        while all.iter().any(KeptProgram::runs) {
            if Instant::now() >= until {
                log.line(LogLevel::Error, "something that was kept hangs in the kernel and cannot be killed");
                break;
            }
            sleep(PAUSE).await;
        }
        let kept = self.clone();
        let _ = tokio::task::spawn_blocking(move || kept.tidy()).await;
    }

    /// As [`running`](Kept::running), on another thread.
    pub(crate) async fn look(&self) -> Vec<KeptProgram> {
        let kept = self.clone();
        tokio::task::spawn_blocking(move || kept.running()).await.unwrap_or_default()
    }
}

/// Names this start of the machine.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
