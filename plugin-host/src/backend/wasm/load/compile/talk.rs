//! What koid and the compiling process say to each other: a component through one pipe, code and words through two others.

use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::backend::helper::process::Process;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// What the process may say of a failure. The rest is not kept.
const WORDS_BYTES: usize = 4096;

/// Between looks whether it has ended: something that it has started may hold its pipes open.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// What came of a compiling process.
#[derive(Debug)]
pub(super) struct Said {
    /// How it ended; none: not in time, or it said too much. It was killed.
    pub(super) status: Option<ExitStatus>,
    /// What came on its standard output: as much as it may say, and no more than a chunk beyond.
    pub(super) output: Vec<u8>,
    /// What came on its standard error.
    pub(super) words: Vec<u8>,
}

/// A compiling process and koid's ends of its pipes. Dropped, it is killed.
pub(super) struct Compiler {
    process: Process,
    /// None: all was handed over, or nobody takes it.
    stdin: Option<PipeWriter>,
    /// None: it has closed its end.
    stdout: Option<PipeReader>,
    stderr: Option<PipeReader>,
}

impl Compiler {
    /// Starts `command`.
    pub(super) fn start(command: Command) -> io::Result<Compiler> {
        let ((in_end, stdin), (stdout, out_end), (stderr, err_end)) = (io::pipe()?, io::pipe()?, io::pipe()?);
        for end in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
            fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let process = Process::start(command, in_end.into(), [out_end.into(), err_end.into()])?;
        Ok(Compiler { process, stdin: Some(stdin), stdout: Some(stdout), stderr: Some(stderr) })
    }

    /// Hands it `component`, and hears it until it has ended, has said more than `most_bytes`, or `until`. Blocks.
    pub(super) fn run(mut self, component: &[u8], most_bytes: u64, until: Instant) -> io::Result<Said> {
        let (mut rest, mut output, mut words) = (component, Vec::new(), Vec::new());
        let mut chunk = vec![0; CHUNK_BYTES];
        while self.stdout.is_some() || self.stderr.is_some() {
            let has_ended = self.process.has_ended();
            let patience = until.saturating_duration_since(Instant::now());
            let is_news = self.wait(patience.min(LOOK_INTERVAL))?;
            // When it does not take it all, its exit says why.
            if write(&mut self.stdin, &mut rest).is_err() || rest.is_empty() {
                self.stdin = None;
            }
            read(&mut self.stdout, &mut chunk, &mut output)?;
            read(&mut self.stderr, &mut chunk, &mut words)?;
            words.truncate(WORDS_BYTES);
            let is_over = patience.is_zero() || output.len() as u64 > most_bytes;
            if is_over || has_ended && !is_news {
                break;
            }
        }
        let is_too_much = output.len() as u64 > most_bytes;
        let has_ended = !is_too_much && self.process.has_ended_by(until);
        // With all that it has started, as long as its number is nobody else's.
        self.process.signal();
        let status = if has_ended { self.process.reap() } else { None };
        Ok(Said { status, output, words })
    }

    /// Waits until there is something to be read, or room to write. False: not within `patience`.
    fn wait(&self, patience: Duration) -> io::Result<bool> {
        let to_write = self.stdin.iter().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLOUT));
        let from = [&self.stdout, &self.stderr].into_iter().flatten();
        let to_read = from.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN));
        let mut asked: Vec<PollFd<'_>> = to_write.chain(to_read).collect();
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        match poll(&mut asked, patience) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Writes a part of `rest`, as much as there is room for.
fn write(pipe: &mut Option<PipeWriter>, rest: &mut &[u8]) -> io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    match pipe.write(rest) {
        Ok(written) => {
            *rest = &rest[written..];
            Ok(())
        }
        Err(error) if is_passing(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads what is there, a chunk at most. At its end the pipe is closed.
fn read(pipe: &mut Option<PipeReader>, chunk: &mut [u8], into: &mut Vec<u8>) -> io::Result<()> {
    let Some(open) = pipe else { return Ok(()) };
    match open.read(chunk) {
        Ok(0) => *pipe = None,
        Ok(read) => into.extend_from_slice(&chunk[..read]),
        Err(error) if is_passing(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Duration = Duration::from_secs(60);

    fn run(script: &str, component: &[u8], most_bytes: u64, patience: Duration) -> Said {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let began = Instant::now();
        let said = Compiler::start(command).unwrap().run(component, most_bytes, began + patience).unwrap();
        assert!(began.elapsed() < FAR, "{said:?}");
        said
    }

    #[test]
    fn a_component_goes_in_and_code_comes_out() {
        let component = vec![7; 300_000];
        let said = run("cat; echo well >&2", &component, 300_000, FAR);
        assert!(said.status.unwrap().success());
        assert!(said.output == component);
        assert_eq!(said.words, b"well\n");
    }

    #[test]
    fn one_that_does_not_end_is_killed() {
        for script in ["sleep 3600", "exec >&- 2>&-; sleep 3600", "cat > /dev/null; yes >&2"] {
            let said = run(script, b"component", 100, Duration::from_millis(300));
            assert_eq!(said.status, None, "{script}");
            assert!(said.words.len() <= WORDS_BYTES);
        }
    }

    #[test]
    fn one_that_says_too_much_is_killed() {
        let said = run("yes", b"component", 1 << 20, FAR);
        assert_eq!(said.status, None);
        assert!((1 << 20..=(1 << 20) + CHUNK_BYTES).contains(&said.output.len()));
    }

    #[test]
    fn what_it_leaves_behind_holds_nobody_up_and_is_killed() {
        let said = run("sleep 3600 & echo $!", b"component", 100, FAR);
        assert!(said.status.unwrap().success());
        let left = String::from_utf8(said.output).unwrap().trim().parse().unwrap();
        let is_gone = || koi_child::ProcessStat::of(left).is_none_or(|process| !process.runs);
        assert!(koi_testkit::met_within(FAR, is_gone));
    }
}
