//! A broker, as koid sees it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use koi_child::group::{KILL_WAIT, TERM_GRACE};
use koi_plugin_api::{CallLog, GroupReport, LogLevel};
use nix::errno::Errno;
use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::backend::wasm::broker::protocol::{
    BrokerReply, BrokerRequest, DESCRIPTORS, REPLY_BYTES, Remains, RunRequest, STREAMS,
};
use crate::backend::wasm::protocol::{FrameReader, encode};
use crate::subcommand::EXEC;

/// How long a broker may take to end a tree: it waits for itself, and says what hangs.
const ENDS_WITHIN: Duration = Duration::from_secs(1).saturating_add(TERM_GRACE).saturating_add(KILL_WAIT);

/// A broker was lost: it has ended, or does not answer as it should.
#[derive(Debug, thiserror::Error)]
#[error("the process that runs its programs was lost")]
pub(crate) struct BrokerLostError;

/// What becomes of a program that is to be started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// It leads the process group of this number.
    Began(i32),
    /// It cannot be started.
    Failed(Errno),
    /// There are too many processes already.
    TooMany,
}

/// How a program came to its end by itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With this code; none: a signal ended it.
    Code(Option<i32>),
    /// There were too many processes, and all of them are ended.
    TooMany,
}

/// A process that runs programs. Dropped, it ends all of them, and then itself; the log is told when it has.
pub(crate) struct Broker {
    /// None: it is being dropped.
    process: Option<Child>,
    group: i32,
    requests: OwnedWriteHalf,
    replies: FrameReader<OwnedReadHalf>,
    /// Takes the streams of programs.
    descriptors: OwnedFd,
    /// Of the call that it works for.
    report: Option<GroupReport>,
    /// A program runs, or was asked for. What comes next is of it.
    is_engaged: bool,
}

impl Broker {
    /// Starts one. Blocks a little; must be called in a runtime.
    pub(crate) fn start(program: &Path, service: &str) -> io::Result<Broker> {
        let ((ours, theirs), (descriptors, their_descriptors)) = (StdStream::pair()?, StdStream::pair()?);
        let mut command = koi_child::command(program);
        command
            .arg(EXEC)
            .arg(service)
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let process = Command::from(command).spawn()?;
        let group = process.id().and_then(|id| i32::try_from(id).ok()).ok_or(io::ErrorKind::NotFound)?;
        match koi_child::send_descriptors(ours.as_fd(), DESCRIPTORS, &[their_descriptors.as_fd()]) {
            // It has ended already: whoever needs it finds that.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            sent => sent?,
        }
        ours.set_nonblocking(true)?;
        let (from, requests) = UnixStream::from_std(ours)?.into_split();
        Ok(Broker {
            process: Some(process),
            group,
            requests,
            replies: FrameReader::new(from, REPLY_BYTES),
            descriptors: descriptors.into(),
            report: None,
            is_engaged: false,
        })
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> i32 {
        self.group
    }

    /// It works for a call from now on.
    pub(crate) fn work_for(&mut self, log: &Arc<dyn CallLog>) {
        self.report = Some(GroupReport::of_broker(self.group, log.clone()));
    }

    /// The call is over.
    pub(crate) fn rest(&mut self) {
        self.report = None;
    }

    /// Whether it can run another program: it is there, and no program was dropped half-way.
    pub(crate) fn is_usable(&mut self) -> bool {
        let runs = self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)));
        runs && !self.is_engaged
    }

    /// Starts a program with these streams: standard input, standard output and standard error.
    pub(crate) async fn run(
        &mut self,
        request: RunRequest,
        streams: [BorrowedFd<'_>; 3],
    ) -> Result<Start, BrokerLostError> {
        self.is_engaged = true;
        koi_child::send_descriptors(self.descriptors.as_fd(), STREAMS, &streams)
            .map_err(|_| BrokerLostError)?;
        self.ask(&BrokerRequest::Run(request)).await?;
        let start = match self.reply().await? {
            BrokerReply::Started(group) => return Ok(Start::Began(group)),
            BrokerReply::Failed(errno) => Start::Failed(Errno::from_raw(errno)),
            BrokerReply::TooMany => Start::TooMany,
            BrokerReply::Exited(_) | BrokerReply::Ended(_) | BrokerReply::Released(_) => {
                return Err(BrokerLostError);
            }
        };
        self.is_engaged = false;
        Ok(start)
    }

    /// Waits for the program's own end. May be dropped and begun again.
    pub(crate) async fn exited(&mut self) -> Result<Exit, BrokerLostError> {
        let exit = match self.reply().await? {
            BrokerReply::Exited(code) => Exit::Code(code),
            BrokerReply::TooMany => Exit::TooMany,
            BrokerReply::Started(_)
            | BrokerReply::Failed(_)
            | BrokerReply::Ended(_)
            | BrokerReply::Released(_) => {
                return Err(BrokerLostError);
            }
        };
        self.is_engaged = false;
        Ok(exit)
    }

    /// Ends whatever runs, gently or at once; `hurry` ends the wait between SIGTERM and SIGKILL. Says what it was.
    pub(crate) async fn end(
        &mut self,
        gently: bool,
        hurry: impl Future<Output = ()>,
    ) -> Result<Remains, BrokerLostError> {
        let ending = async {
            self.ask(&BrokerRequest::End(!gently)).await?;
            if gently {
                let reply = tokio::select! {
                    biased;
                    remains = self.ended() => Some(remains?),
                    () = hurry => None,
                };
                if let Some(remains) = reply {
                    return Ok(remains);
                }
                self.ask(&BrokerRequest::End(true)).await?;
                // Both questions are answered.
                self.ended().await?;
            }
            self.ended().await
        };
        let remains = timeout(ENDS_WITHIN, ending).await.map_err(|_| BrokerLostError).flatten()?;
        self.is_engaged = false;
        Ok(remains)
    }

    async fn ended(&mut self) -> Result<Remains, BrokerLostError> {
        loop {
            // The program may have ended by itself a moment before it was to be.
            if let BrokerReply::Ended(remains) = self.reply().await? {
                return Ok(remains);
            }
        }
    }

    async fn ask(&mut self, request: &BrokerRequest) -> Result<(), BrokerLostError> {
        self.requests.write_all(&encode(request)).await.map_err(|_| BrokerLostError)
    }

    async fn reply(&mut self) -> Result<BrokerReply, BrokerLostError> {
        self.replies.next().await.map_err(|_| BrokerLostError)
    }

    /// Lets go of it: it keeps what its program has left, whatever becomes of this process, until SIGTERM comes. False: nothing was left.
    pub(crate) async fn release(mut self) -> Result<bool, BrokerLostError> {
        self.ask(&BrokerRequest::Release).await?;
        match timeout(ENDS_WITHIN, self.reply()).await.map_err(|_| BrokerLostError).flatten()? {
            BrokerReply::Released(keeps) => {
                // Whoever waits for children takes its exit some time.
                self.process = None;
                Ok(keeps)
            }
            _ => Err(BrokerLostError),
        }
    }

    /// Has it end with all that its programs have started, and waits for that.
    pub(crate) async fn shut_down(mut self) {
        if let Some(process) = self.process.take() {
            self.hang_up();
            gone(process, self.report.take()).await;
        }
    }

    /// It learns by this that nobody needs it any more.
    fn hang_up(&self) {
        // It may have done so itself.
        let socket = std::os::fd::AsRawFd::as_raw_fd(self.requests.as_ref());
        let _ = shutdown(socket, Shutdown::Both);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.hang_up();
        // Without a runtime this process ends: the broker does what it has to do alone.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(gone(process, self.report.take()));
        }
    }
}

/// Waits until a broker that was told to end has done so.
async fn gone(mut process: Child, report: Option<GroupReport>) {
    if timeout(ENDS_WITHIN, process.wait()).await.is_ok() {
        return;
    }
    if let Some(report) = &report {
        report.log().line(LogLevel::Error, "a program hangs in the kernel and cannot be killed");
    }
    // The log is told when it is gone, however long that takes: until then its number is nobody else's.
    tokio::spawn(async move {
        let _ = process.wait().await;
        drop(report);
    });
}
