//! What comes with a call: where its output goes, and how it is told to end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use koi_hook::Hook;

use crate::attributes::CallAttributes;
use crate::hook::{Context, LogLevel};

/// One hook, to be run now.
pub struct Call {
    /// Which.
    pub hook: Hook,
    /// For what.
    pub context: Context,
    /// Where its output goes.
    pub log: Arc<dyn CallLog>,
    /// Tells when it is to end early.
    pub abort: AbortSignal,
    /// The newest epoch that this node has heard of.
    pub newest_epoch: NewestEpoch,
    /// The attributes of the service's group.
    pub attributes: Arc<dyn CallAttributes>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("hook", &self.hook).field("context", &self.context).finish()
    }
}

/// What a call's result alone does not tell. For whoever tries a handler out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incident {
    /// The handler says that it does not have this hook, and its metadata say that it does.
    Unsupported,
    /// The handler's code broke off: a trap, a panic, a lost process, an answer without a meaning.
    Crashed,
    /// What it gave as a score is no whole number of 64 bits, and was left out. A line of its output says what it was.
    NoScore,
}

/// Takes a call's output line by line. The implementation adds the service's and the hook's name, and bounds the length
/// and the rate of lines; it never blocks.
pub trait CallLog: Send + Sync {
    /// One line, without its end.
    fn line(&self, level: LogLevel, text: &str);

    /// A process group was started for this call. A call may have several at a time.
    fn group_began(&self, _id: i32) {}

    /// A process, the leader of a group, is there for this call, and is the parent of all that the call's programs start, wherever they go.
    /// It ends all that at SIGTERM, and then itself. Killed before that it would leave it behind.
    fn broker_began(&self, _id: i32) {}

    /// A process group that was started for this call, or a broker, is gone.
    fn group_gone(&self, _id: i32) {}

    /// Something happened to the handler that its result alone does not tell.
    fn incident(&self, _incident: Incident) {}

    /// The most memory that the call, or the process that ran it, has had at a time; and how much it may have, where that is bounded.
    fn memory(&self, _peak_bytes: u64, _limit_bytes: Option<u64>) {}
}

/// Tells a call's log of a process group, and when dropped that it is gone.
pub struct GroupReport {
    id: i32,
    log: Arc<dyn CallLog>,
    is_stuck: bool,
}

impl GroupReport {
    /// The group `id` was started for the call.
    pub fn new(id: i32, log: Arc<dyn CallLog>) -> GroupReport {
        log.group_began(id);
        GroupReport { id, log, is_stuck: false }
    }

    /// The broker that leads the group `id` is there for the call.
    pub fn of_broker(id: i32, log: Arc<dyn CallLog>) -> GroupReport {
        log.broker_began(id);
        GroupReport { id, log, is_stuck: false }
    }

    /// The group's id.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The call's log.
    pub fn log(&self) -> &Arc<dyn CallLog> {
        &self.log
    }

    /// The group cannot be killed: whoever keeps account of groups goes on doing so.
    pub fn set_stuck(&mut self) {
        self.is_stuck = true;
    }

    /// Whether the group cannot be killed.
    pub fn is_stuck(&self) -> bool {
        self.is_stuck
    }
}

impl Drop for GroupReport {
    fn drop(&mut self) {
        if !self.is_stuck {
            self.log.group_gone(self.id);
        }
    }
}

/// The newest epoch that this node has heard of. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct NewestEpoch(Arc<AtomicU64>);

impl NewestEpoch {
    /// What it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// It is at least `epoch`.
    pub fn raise(&self, epoch: u64) {
        self.0.fetch_max(epoch, Ordering::Relaxed);
    }
}

/// How a call is to end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Abort {
    /// Ask it to end, and make it end a second later: SIGTERM, then SIGKILL.
    Gently,
    /// Make it end now: SIGKILL.
    Now,
}

/// The side that ends a call. Dropping it does not end the call.
#[derive(Clone, Debug)]
pub struct Aborter(Arc<watch::Sender<Option<Abort>>>);

impl Aborter {
    /// Asks for the end; a stronger request replaces a weaker one, never the other way round.
    pub fn abort(&self, how: Abort) {
        self.0.send_if_modified(|asked| {
            let stronger = Some(how) > *asked;
            if stronger {
                *asked = Some(how);
            }
            stronger
        });
    }
}

/// The side that is told.
#[derive(Clone, Debug)]
pub struct AbortSignal(watch::Receiver<Option<Abort>>);

impl AbortSignal {
    /// What has been asked for so far.
    pub fn asked(&self) -> Option<Abort> {
        *self.0.borrow()
    }

    /// Waits until an end at least as strong as `at_least` is asked for. Never returns when that cannot happen any more.
    pub async fn asked_for(&mut self, at_least: Abort) -> Abort {
        let found = self.0.wait_for(|asked| *asked >= Some(at_least)).await.ok().and_then(|asked| *asked);
        match found {
            Some(how) => how,
            None => std::future::pending().await,
        }
    }
}

/// The two sides of one call's abort.
pub fn abort_pair() -> (Aborter, AbortSignal) {
    let (sender, receiver) = watch::channel(None);
    (Aborter(Arc::new(sender)), AbortSignal(receiver))
}
