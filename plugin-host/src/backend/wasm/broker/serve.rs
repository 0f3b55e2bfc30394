//! The broker's life: one program after the other, until koid is gone or SIGTERM comes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant as StdInstant};

use koi_child::UserIds;
use koi_child::group::{Group, KILL_WAIT, TERM_GRACE};
use nix::errno::Errno;
use nix::sys::prctl;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::backend::wasm::broker::protocol::{BrokerReply, BrokerRequest, REQUEST_BYTES, RunRequest};
use crate::backend::wasm::broker::tree::Tree;
use crate::backend::wasm::protocol::{FrameReader, encode};
use crate::plugin::RunAs;

/// The pauses between looks at a group that is ending: they double.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(50);
/// Between two counts of processes, at least.
const COUNT_PAUSE: Duration = Duration::from_millis(50);
/// Where a count takes long, for there are many processes on the machine, the pause is so many times as long.
const COUNT_SHARE: u32 = 10;
/// Whose processes others are is looked up anew with every so many counts.
const ANEW_EVERY: u32 = 20;
/// As good as never.
const FAR: Duration = Duration::from_secs(86_400);

/// Why a broker ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    #[error("koid was lost: {0}")]
    Socket(#[from] io::Error),
    #[error("what programs leave would not be found: {0}")]
    Subreaper(Errno),
    #[error("koid says what it should not")]
    NotKoid,
}

/// Serves koid at the other end of `socket`. When this returns nothing of any program runs.
pub(crate) fn serve(socket: StdStream) -> Result<(), BrokerError> {
    koi_child::outlive_signals();
    // Programs that become ever more must not keep it from ending them.
    koi_child::go_first();
    prctl::set_child_subreaper(true).map_err(BrokerError::Subreaper)?;
    let (_, mut descriptors) = koi_child::receive_descriptors(socket.as_fd())?.ok_or(BrokerError::NotKoid)?;
    let descriptors = descriptors.pop().ok_or(BrokerError::NotKoid)?;
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (from, replies) = UnixStream::from_std(socket)?.into_split();
        let broker = Broker {
            requests: FrameReader::new(from, REQUEST_BYTES),
            replies,
            descriptors,
            tree: Tree::new(),
            program: None,
            most: u64::MAX,
            count_at: Instant::now() + FAR,
            exceeded: false,
            is_released: false,
            looks: 0,
        };
        broker.serve(signal(SignalKind::terminate())?, signal(SignalKind::child())?).await
    })
}

struct Broker {
    requests: FrameReader<OwnedReadHalf>,
    replies: OwnedWriteHalf,
    /// Brings the streams of programs.
    descriptors: OwnedFd,
    tree: Tree,
    /// The one that runs.
    program: Option<Program>,
    /// So many processes there may be, those that programs have left among them.
    most: u64,
    /// When they are to be counted.
    count_at: Instant,
    /// There were more when no program ran to be told of: whoever asks next is.
    exceeded: bool,
    /// It keeps what there is, for nobody.
    is_released: bool,
    /// Counts so far.
    looks: u32,
}

/// A program that has not been reaped.
struct Program {
    group: Group,
    /// It is being ended.
    ending: Option<Ending>,
}

struct Ending {
    kill_at: Instant,
    /// When it is to be looked at.
    look_at: Instant,
    /// Answers that koid waits for.
    owed: u32,
    pause: Duration,
}

impl Broker {
    async fn serve(mut self, mut terminate: Signal, mut child_ended: Signal) -> Result<(), BrokerError> {
        while !(self.is_released && Tree::is_empty()) {
            let ending = self.program.as_ref().and_then(|program| program.ending.as_ref());
            let look_at = ending.map_or(self.count_at, |ending| ending.look_at.min(self.count_at));
            tokio::select! {
                biased;
                _ = terminate.recv() => return Ok(()),
                request = self.requests.next::<BrokerRequest>(), if !self.is_released => match request {
                    Ok(BrokerRequest::Run(request)) => self.run(&request).await?,
                    Ok(BrokerRequest::End(now)) => self.end(now).await?,
                    Ok(BrokerRequest::Release) => {
                        self.is_released = true;
                        self.reply(&BrokerReply::Released(!Tree::is_empty())).await?;
                    }
                    // koid is gone, or does not want it any more.
                    Err(_) => return Ok(()),
                },
                _ = child_ended.recv() => self.reap().await?,
                () = sleep_until(look_at) => self.look().await?,
            }
        }
        Ok(())
    }

    async fn reply(&mut self, reply: &BrokerReply) -> Result<(), BrokerError> {
        Ok(self.replies.write_all(&encode(reply)).await?)
    }

    async fn run(&mut self, request: &RunRequest) -> Result<(), BrokerError> {
        let (_, streams) =
            koi_child::receive_descriptors(self.descriptors.as_fd())?.ok_or(BrokerError::NotKoid)?;
        let streams = <[OwnedFd; 3]>::try_from(streams).map_err(|_| BrokerError::NotKoid)?;
        if self.program.is_some() {
            return Err(BrokerError::NotKoid);
        }
        self.most = request.processes;
        if std::mem::take(&mut self.exceeded) || self.count() >= self.most {
            return self.too_many().await;
        }
        match start(request, streams) {
            Ok(group) => {
                self.program = Some(Program { group, ending: None });
                self.count_at = Instant::now() + COUNT_PAUSE;
                self.reply(&BrokerReply::Started(group.id())).await
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(Errno::EIO as i32);
                self.reply(&BrokerReply::Failed(errno)).await
            }
        }
    }

    async fn end(&mut self, now: bool) -> Result<(), BrokerError> {
        let owed = match &mut self.program {
            Some(program) if !now => {
                program.group.terminate();
                let (look_at, kill_at) = (Instant::now(), Instant::now() + TERM_GRACE);
                let owed = program.ending.take().map_or(0, |ending| ending.owed) + 1;
                program.ending = Some(Ending { kill_at, look_at, owed, pause: FIRST_PAUSE });
                return Ok(());
            }
            Some(Program { ending: Some(ending), .. }) => ending.owed + 1,
            Some(Program { ending: None, .. }) | None => 1,
        };
        self.kill(owed).await
    }

    /// Ends all there is, and says so as often as koid waits for it.
    async fn kill(&mut self, owed: u32) -> Result<(), BrokerError> {
        self.exceeded |= self.count() > self.most;
        self.tree.look_anew();
        let mut remains = self.tree.kill(Some(StdInstant::now() + KILL_WAIT));
        remains.exceeded = std::mem::take(&mut self.exceeded);
        self.program = None;
        self.count_at = Instant::now() + FAR;
        for _ in 0..owed {
            self.reply(&BrokerReply::Ended(remains.clone())).await?;
        }
        Ok(())
    }

    /// Processes that there are now.
    fn count(&mut self) -> u64 {
        self.looks = self.looks.wrapping_add(1);
        if self.looks.is_multiple_of(ANEW_EVERY) {
            self.tree.look_anew();
        }
        self.tree.running().len() as u64
    }

    async fn too_many(&mut self) -> Result<(), BrokerError> {
        self.kill_many();
        self.reply(&BrokerReply::TooMany).await
    }

    fn kill_many(&mut self) {
        self.tree.look_anew();
        // What hangs is found again at the end of the call.
        self.tree.kill(Some(StdInstant::now() + KILL_WAIT));
        self.program = None;
        self.count_at = Instant::now() + FAR;
    }

    /// Takes the exits of children.
    async fn reap(&mut self) -> Result<(), BrokerError> {
        // As long as the group is signalled its leader's id must be nobody else's.
        if self.program.as_ref().is_some_and(|program| program.ending.is_some()) {
            return Ok(());
        }
        while let Some((id, code)) = Tree::reap() {
            if self.program.as_ref().is_some_and(|program| program.group.id() == id) {
                self.program = None;
                self.reply(&BrokerReply::Exited(code)).await?;
            }
        }
        Ok(())
    }

    /// Counts the processes, and looks at the program that is being ended.
    async fn look(&mut self) -> Result<(), BrokerError> {
        let now = Instant::now();
        if now >= self.count_at {
            let is_waited_for = self.program.as_ref().is_some_and(|program| program.ending.is_none());
            if self.count() > self.most {
                if is_waited_for {
                    return self.too_many().await;
                }
                self.exceeded = true;
                if self.program.is_none() {
                    self.kill_many();
                    return Ok(());
                }
                // What is being ended is ended at once.
                let owed = self.program.as_ref().and_then(|program| program.ending.as_ref());
                return self.kill(owed.map_or(0, |ending| ending.owed)).await;
            }
            let is_over = self.program.is_none() && Tree::is_empty();
            self.count_at = match is_over {
                true => now + FAR,
                false => Instant::now() + COUNT_PAUSE.max(now.elapsed() * COUNT_SHARE),
            };
        }
        let Some(program) = &mut self.program else { return Ok(()) };
        let Some(ending) = &mut program.ending else { return Ok(()) };
        if now >= ending.kill_at || !program.group.runs() {
            let owed = ending.owed;
            return self.kill(owed).await;
        }
        ending.look_at = now + ending.pause;
        ending.pause = (ending.pause * 2).min(LAST_PAUSE);
        Ok(())
    }
}

/// Starts a program as the leader of a group, as clean as koid found things.
fn start(request: &RunRequest, [stdin, stdout, stderr]: [OwnedFd; 3]) -> io::Result<Group> {
    let mut command = koi_child::command(&request.program);
    command
        .args(&request.args)
        .env_clear()
        .envs(request.env.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0);
    let ids = |of: &RunAs| UserIds { user: of.user, group: of.group, groups: of.groups.clone() };
    koi_child::run_exactly(&mut command, request.user.as_ref().map(ids));
    // It is reaped with all the others.
    Ok(Group::from_leader(command.spawn()?.id()))
}
