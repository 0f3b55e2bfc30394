//! What goes into the brain and what comes out of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use koi_hook::{DownReason, Observed, StatusReport, TargetRole};

use crate::attributes::AttributeChange;
use crate::event::Event;
use crate::fence::{FenceId, FenceOutcome, FenceRun};
use crate::group::GroupName;
use crate::message::Message;
use crate::policy::ServicePolicy;
use crate::reason::{FailureReason, NotNowReason, UnsafeReason};
use crate::record::Durable;
use crate::roster::RosterEntry;
use crate::settings::{Settings, Timeouts};
use crate::types::{Epoch, Hook, HookSet, NodeId, NodeState, Session, Time};

/// Something happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// An authentic message came, and is no duplicate.
    Received {
        /// What was said.
        message: Box<Message>,
        /// Where it came from.
        source: Option<SocketAddr>,
    },
    /// A hook that [`Effect::RunHook`] asked for is over, and nothing of it runs any more.
    HookFinished {
        /// Which.
        run: RunId,
        /// How it ended.
        ended: HookEnd,
    },
    /// A process in which this service runs has ended, whatever the reason. That alone is no failure: its status says what it means.
    ProcessEnded {
        /// The service's name.
        service: String,
    },
    /// The state of [`Effect::Persist`] with this number, and of all before it, is on disk.
    Persisted {
        /// Which.
        number: u64,
    },
    /// The newest state cannot be written now, and why. It is tried again; [`Input::Persisted`] says when it could be.
    NotPersisted(String),
    /// An operator wants something. Answered once, by [`Effect::Answer`].
    Command {
        /// Names the answer.
        id: CommandId,
        /// Of which group, where that matters.
        group: GroupName,
        /// What.
        command: Command,
    },
    /// A group's folder was read: these are its services on this node now.
    Services {
        /// The group.
        group: GroupName,
        /// All of its services; no two of a node have one name.
        specs: Vec<ServiceSpec>,
    },
    /// On this machine nothing runs any more of this run, the one before: neither its daemon nor its guardian.
    Follows(Session),
    /// Where this node's API answers, and where it is reached as master: told to the others under seal. None: it does not know.
    Address(Option<SocketAddr>),
    /// A group's folder cannot be read.
    ServicesUnreadable {
        /// The group.
        group: GroupName,
        /// A sentence that says why and what to do.
        why: String,
    },
    /// Whether the fence is armed, if it is one that must be; and if not, why.
    Armed(Readiness),
    /// Whether a guardian stands and answers; and if not, why.
    Guarded(Readiness),
    /// What [`Effect::FenceNode`] asked for is over, and nothing of it runs any more.
    FenceEnded {
        /// Which.
        id: FenceId,
        /// What came of it.
        outcome: FenceOutcome,
    },
    /// The configuration changed.
    Configure(Box<Settings>),
    /// Take the services down, say farewell, end with [`Effect::Finished`].
    Shutdown,
    /// A deadline was reached.
    Tick,
}

/// Something is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send a message.
    Send {
        /// To whom.
        to: Destination,
        /// What.
        message: Box<Message>,
    },
    /// Put this on disk, then say [`Input::Persisted`]. A newer one replaces an older one that has not been begun.
    Persist {
        /// Grows by one with each.
        number: u64,
        /// The whole state.
        durable: Box<Durable>,
    },
    /// Run a hook, then say [`Input::HookFinished`].
    RunHook(Box<HookRun>),
    /// End a hook early.
    AbortHook {
        /// Which.
        run: RunId,
        /// SIGKILL now, instead of SIGTERM and a second's patience.
        now: bool,
    },
    /// A command's answer.
    Answer {
        /// Which command.
        id: CommandId,
        /// What came of it.
        result: Result<Answered, CommandError>,
    },
    /// Something that people may want to know.
    Event {
        /// The group that it is about; `main` where it is about none.
        group: GroupName,
        /// What.
        event: Event,
    },
    /// The node could not demote within lease and grace: fence it as configured (R7).
    Fence {
        /// A sentence.
        reason: String,
    },
    /// Turn another node off, verify that it is off, then say [`Input::FenceEnded`] (R12).
    FenceNode(Box<FenceRun>),
    /// End what was begun for this fence, all of it, then say [`Input::FenceEnded`].
    EndFence(FenceId),
    /// The shutdown is complete.
    Finished,
    /// The state on disk was restored from a backup: others know a run of this node with this count, which is over. Count this node's runs
    /// on from there, and begin again as a run after it, with [`Durable::after_restore`] for the state.
    CountUp {
        /// How often the node was started at least.
        beyond: u64,
    },
}

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Every address of the transport.
    Everyone,
    /// The addresses that this node was heard from; everyone, if there are none.
    Node(NodeId),
}

/// Names a run of a hook; unique within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// Names a command; chosen by whoever gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// Tells one opened handler from another of the same name, as of another version or configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandlerInstance(pub u64);

/// A hook to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRun {
    /// Names it.
    pub run: RunId,
    /// The service's group.
    pub group: GroupName,
    /// The service's name.
    pub service: String,
    /// The handler that runs it: [`ServiceSpec::instance`] of the spec that is in force.
    pub instance: HandlerInstance,
    /// Which hook.
    pub hook: Hook,
    /// After this it has failed.
    pub timeout: Duration,
    /// How long it really has: its time-out, or what is left of the grace when the lease is lost (R7). Zero: the grace is over.
    pub left: Duration,
    /// Why the service goes down; none: it does not, or there is no word for it.
    pub reason: Option<DownReason>,
    /// 1 for the first try since the last success.
    pub attempt: u32,
    /// What the service is to be.
    pub role: TargetRole,
    /// The node's state, for `KOI_STATE`.
    pub state: NodeState,
    /// The fencing token.
    pub epoch: Epoch,
    /// The newest epoch that was promoted in full, as far as known; zero: none is. It never gets smaller within a session.
    pub promoted_epoch: Epoch,
    /// Name and address of the master, as far as known.
    pub master: Option<(String, Option<IpAddr>)>,
    /// Name and epoch of the master before this one, or of the last, as far as known.
    pub previous: Option<(String, Epoch)>,
    /// The other nodes that run the group, as the leader told them last; none: there is no leader, or it has said nothing yet.
    pub peers: Option<Vec<RosterEntry>>,
    /// For `failed`: why it is called.
    pub cause: Option<Cause>,
}

/// Whether something that must stand by does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It does not.
    NotReady {
        /// What whoever tried says of it.
        why: String,
    },
}

impl Readiness {
    /// It stands by.
    pub fn is_ready(&self) -> bool {
        *self == Readiness::Ready
    }

    /// Why it does not stand by, if it does not.
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Readiness::Ready => None,
            Readiness::NotReady { why } => Some(why),
        }
    }
}

/// Why `failed` is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The hook that failed.
    pub hook: Hook,
    /// Why.
    pub reason: FailureReason,
    /// It did not end in time.
    pub timed_out: bool,
    /// Trying again here is pointless, says the handler: only an operator lets the node try again.
    pub lasting: bool,
}

/// How a hook ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookEnd {
    /// Well.
    Done,
    /// `status` saw this.
    Status(StatusReport),
    /// Badly.
    Failed {
        /// One line for people.
        message: String,
        /// It did not end in time and was ended.
        timed_out: bool,
        /// Trying again here is pointless, says the handler.
        lasting: bool,
    },
    /// By [`Effect::AbortHook`].
    Aborted,
    /// Not at all: the machine has no room for it now, in a few words. Nothing of it has run. Not said of what takes down, which is tried
    /// until its time-out.
    NoRoom(String),
}

/// A service as the services folder has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Its name, without the priority.
    pub name: String,
    /// 0 to 99, lower is started first; none: independent.
    pub priority: Option<u8>,
    /// Which handler runs it, by name. What runs is taken down by the handler that has started it.
    pub handler: String,
    /// The opened handler of this name.
    pub instance: HandlerInstance,
    /// The hooks that its handler has.
    pub hooks: HookSet,
    /// `disabled` lies in its folder.
    pub disabled: bool,
    /// Why it cannot be run at all: its handler is unknown, its `service.toml` is wrong.
    pub problem: Option<String>,
    /// How long each hook may take.
    pub timeouts: Timeouts,
    /// How often `status` runs.
    pub status_interval: Duration,
    /// How much it may do wrong.
    pub policy: ServicePolicy,
}

impl ServiceSpec {
    /// With `other` a service that runs could not be taken down as it was started: it cannot be run at all, has another handler, or, if it
    /// is `maybe_promoted`, has lost the hooks for it.
    pub fn would_orphan(&self, other: &ServiceSpec, maybe_promoted: bool) -> bool {
        let loses = |hook| self.hooks.has(hook) && !other.hooks.has(hook);
        other.problem.is_some()
            || self.handler != other.handler
            || maybe_promoted && (loses(Hook::Demote) || loses(Hook::Stop))
    }
}

/// What an operator may want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make this node the master (name or UUID).
    Promote {
        /// Name or UUID.
        node: String,
        /// Only say what would happen.
        dry_run: bool,
    },
    /// Demote the master and choose none until told otherwise.
    Demote,
    /// Choose a master again.
    Elect,
    /// Allow services on this node.
    Start(String),
    /// Forbid services on this node.
    Stop(String),
    /// Maintenance mode on or off.
    Maintenance(bool),
    /// The operator attests that nothing is promoted on this node (R6).
    ConfirmDown(String),
    /// Turn this node off, and take what it was master of for over once it is (R12).
    Fence {
        /// Name or UUID.
        node: String,
        /// Only say what would happen.
        dry_run: bool,
    },
    /// Change who votes (R13).
    Electors(ElectorChange),
    /// Begin a cluster with this node and the electors around it that have no record (R10, R13). For the node itself.
    Bootstrap {
        /// Only say with which electors.
        dry_run: bool,
        /// Only with electors of these names, as a dry run named them. Empty: with whichever are there.
        electors: Vec<String>,
    },
    /// Forget failures and try again. For the node itself.
    Recover,
    /// A service of this node writes an attribute of its group (R16). Answered when it counts, and this node acts on it.
    WriteAttribute {
        /// The mastership that it does so under.
        epoch: Epoch,
        /// What it writes.
        change: AttributeChange,
    },
    /// An operator writes an attribute of the group, whoever is master.
    ForceAttribute(AttributeChange),
}

/// A change of the electors. Members and newcomers are called by name or UUID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElectorChange {
    /// This node, which answers and is no member, becomes one.
    Add(String),
    /// This member is none any more.
    Remove(String),
    /// Both at once: for a machine that was replaced, under the same name too.
    Replace {
        /// A member.
        old: String,
        /// A node that answers and is no member.
        new: String,
    },
}

/// What came of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// A sentence for people.
    pub message: String,
    /// For a dry run: the steps.
    pub steps: Vec<String>,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Another node leads; ask that one. Nothing was changed.
    #[error("this node does not lead")]
    NotLeader {
        /// The leader, if one is known.
        leader: Option<NodeId>,
    },
    /// No node has this name or UUID. Nothing was changed.
    #[error("no node is called {0}")]
    UnknownNode(String),
    /// The state of things does not allow it. Nothing was changed.
    #[error("{0}")]
    NotNow(NotNowReason),
    /// It would risk two masters. Nothing was changed.
    #[error("{0}")]
    Unsafe(UnsafeReason),
    /// The leadership was lost before the change counted; it may yet take effect.
    #[error("leadership was lost before the change was confirmed; it may yet take effect")]
    LostLeadership,
    /// The lease on the mastership was lost before the write counted; it may yet take effect.
    #[error("the lease on the mastership was lost before the write was confirmed; it may yet take effect")]
    LostLease,
}

impl From<NotNowReason> for CommandError {
    fn from(reason: NotNowReason) -> CommandError {
        CommandError::NotNow(reason)
    }
}

/// What a node finds when it starts.
#[derive(Clone, Debug)]
pub struct Boot {
    /// Its identity.
    pub id: NodeId,
    /// This run; its count is already on disk.
    pub session: Session,
    /// The state on disk; none: nothing was there. On a machine that was started anew since it was written, [`Durable::held`] is none: nothing
    /// of what it says is promoted any more.
    pub durable: Option<Durable>,
    /// The state on disk was damaged and set aside: something may still be promoted.
    pub damaged: bool,
    /// Now.
    pub now: Time,
}
