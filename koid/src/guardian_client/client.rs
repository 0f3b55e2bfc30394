//! koid's side: starts the guardian, keeps one running, and tells it what it must know.
//!
//! Nothing here blocks the cluster thread. A message that finds no room in the socket is dropped; the guardian is then
//! replaced, and the new one is told everything.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use koi_child::group::NotedGroup;
use koi_config::{ClusterKey, Config};
use koi_core::group::GroupName;
use koi_core::guard::{ServiceLevel, Watch};
use koi_core::types::Time;
use tokio::sync::mpsc;

use super::protocol::{
    self, ARMED, GroupBegan, GroupDown, GroupUpdate, GuardianMessage, HERE, MESSAGE_BYTES, NAME, ROOM_BYTES,
    Route, ServiceUpdate, Setup, UNARMED, Watching,
};
use crate::args::Args;
use crate::cluster::transport::SealedObituaries;
use crate::hooks::process_groups::GroupKind;
use crate::os::sys;

/// How often it is asked whether it is there, and how often in a row it may not answer: one that hangs is noticed within some
/// one and a half seconds.
const ASK_EVERY: Duration = Duration::from_millis(300);
const UNANSWERED: u32 = 5;
/// What people are told meanwhile.
const UNGUARDED: &str = "nothing is newly promoted here before another stands guard";

/// How long a guardian that cannot be started is waited for before the next try.
const AGAIN: Duration = Duration::from_secs(1);
/// A guardian that ended is replaced after this.
const SHORTEST: Duration = Duration::from_millis(10);
/// One that ends again and again, after twice as long each time, and at last after this.
const LONGEST: Duration = Duration::from_secs(10);
/// One that has stood guard for so long begins anew with the shortest.
const STEADY: Duration = Duration::from_secs(60);

/// What is heard of the guardian.
#[derive(Debug)]
pub(crate) enum GuardianReport {
    /// The watchdog is armed.
    Armed,
    /// The watchdog is not armed, and why, as the guardian says it.
    Unarmed(String),
    /// It stands and answers.
    Guarded,
    /// It does not.
    Unguarded(UnguardedError),
}

/// Why nothing is guarded now. Nothing is newly promoted meanwhile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnguardedError {
    #[error("the guardian does not answer: {UNGUARDED}")]
    Silent,
    #[error("the guardian has ended: {UNGUARDED}")]
    Ended,
    #[error("the guardian cannot be started: {0}: {UNGUARDED}")]
    NotStarted(io::Error),
}

/// How a guardian ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GuardianEnd {
    /// Its end of the socket is closed.
    Gone,
    /// It does not answer.
    Hangs,
}

/// The way to the guardian. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Guardian(Arc<Mutex<ToldState>>);

/// All that the guardian was told, to be told again to the next.
#[derive(Debug, Default)]
struct ToldState {
    socket: Option<OwnedFd>,
    setup: Option<Box<Setup>>,
    route: Option<Route>,
    watches: BTreeMap<GroupName, Watching>,
    services: BTreeMap<String, (GroupName, ServiceLevel)>,
    groups: BTreeMap<(u64, i32), (NotedGroup, GroupKind)>,
    leaving: bool,
}

impl ToldState {
    fn send(&mut self, message: &GuardianMessage) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = protocol::send(socket, message) {
            // Its end of the socket closes; whoever waits for it starts another.
            tracing::error!("the guardian cannot be told anything any more ({error}): it is replaced");
            self.socket = None;
        }
    }

    fn send_all(&mut self) {
        let mut messages: Vec<GuardianMessage> = Vec::new();
        messages.extend(self.setup.clone().map(GuardianMessage::Setup));
        messages.extend(self.route.clone().map(GuardianMessage::Route));
        let services = self.services.iter();
        messages.extend(services.map(|(name, (group, standing))| service(name, group, Some(*standing))));
        messages.extend(self.groups.iter().map(|((run, _), (group, kind))| began(*run, *group, *kind)));
        let watches = self.watches.iter();
        messages.extend(watches.map(|(group, watching)| GuardianMessage::Watch(group.clone(), *watching)));
        messages.iter().for_each(|message| self.send(message));
    }
}

impl Guardian {
    /// Keeps a guardian running until the daemon ends. The returned call waits, on a thread that may block, until the first
    /// one stands guard: an earlier run's guardian may still be taking services down.
    pub(crate) fn start(
        args: &Args,
        config: &Config,
        id: String,
        heard: mpsc::UnboundedSender<GuardianReport>,
    ) -> io::Result<(Guardian, impl FnOnce() + use<>)> {
        let guardian = Guardian(Arc::default());
        guardian.configure(config, id);
        let (keeper, lock) = (guardian.clone(), config.node.state_dir.join("guardian.lock"));
        let arguments = Args { guard: Some(lock), ..args.clone() };
        let (ready, stands) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("guardian".into())
            .spawn(move || keeper.keep(&arguments, &ready, &heard))?;
        Ok((guardian, move || {
            if stands.recv_timeout(Duration::from_millis(500)).is_err() {
                tracing::warn!(
                    "waiting for the guardian of an earlier run, which is still taking services down; nothing is started before"
                );
                let _ = stands.recv();
            }
        }))
    }

    /// None at all, for tests of other things.
    #[cfg(test)]
    pub(crate) fn absent() -> Guardian {
        Guardian(Arc::default())
    }

    fn lock(&self) -> MutexGuard<'_, ToldState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(
        &self,
        arguments: &Args,
        ready: &std::sync::mpsc::Sender<()>,
        heard: &mpsc::UnboundedSender<GuardianReport>,
    ) {
        let mut complained = false;
        let mut pause = SHORTEST;
        // The daemon may be ending.
        let unguarded = |why| {
            let _ = heard.send(GuardianReport::Unguarded(why));
        };
        loop {
            let began = Instant::now();
            match spawn(arguments) {
                Ok((mut child, socket)) => {
                    let stands = protocol::wait_until_it_stands(&socket);
                    if let (Ok(()), Ok(ours)) = (stands, socket.try_clone()) {
                        complained = false;
                        let mut told = self.lock();
                        told.socket = Some(socket);
                        told.send_all();
                        drop(told);
                        let _ = ready.send(());
                        let _ = heard.send(GuardianReport::Guarded);
                        if self.watch_over(&ours, heard) == GuardianEnd::Hangs {
                            tracing::error!("the guardian does not answer: it is ended");
                            unguarded(UnguardedError::Silent);
                            // SIGKILL ends it, whatever it hangs in.
                            let _ = child.kill();
                        }
                    }
                    let status = child.wait();
                    let mut told = self.lock();
                    told.socket = None;
                    if told.leaving {
                        return;
                    }
                    pause = next_pause(pause, began.elapsed());
                    drop(told);
                    tracing::error!("the guardian has ended ({}): starting another", describe(status));
                    unguarded(UnguardedError::Ended);
                }
                Err(error) if !complained => {
                    complained = true;
                    tracing::error!(
                        "the guardian cannot be started: {error}. Nothing takes services down if koid dies; trying again every second"
                    );
                    unguarded(UnguardedError::NotStarted(error));
                }
                Err(_) => {}
            }
            if self.lock().leaving {
                return;
            }
            // A guardian that is killed is replaced at once; one that does not start, or ends as it starts, is not tried in a busy loop.
            std::thread::sleep(if complained { AGAIN } else { pause });
        }
    }

    /// Asks the guardian again and again whether it is there, and hears what it says, until it has ended or hangs.
    fn watch_over(&self, socket: &OwnedFd, heard: &mpsc::UnboundedSender<GuardianReport>) -> GuardianEnd {
        let mut unanswered = 0;
        // Counts turns, not time: if this daemon itself stood still, the guardian is not to blame.
        while unanswered < UNANSWERED {
            self.lock().send(&GuardianMessage::Ping);
            match listen(socket, sys::now() + ASK_EVERY, heard) {
                None => return GuardianEnd::Gone,
                Some(true) => unanswered = 0,
                Some(false) => unanswered += 1,
            }
        }
        GuardianEnd::Hangs
    }

    /// The configuration is in force.
    pub(crate) fn configure(&self, config: &Config, id: String) {
        let mut config = config.clone();
        // The guardian needs no secret.
        config.cluster.key = ClusterKey::File("/not-for-guardians".into());
        config.cluster.accept_key_files.clear();
        let setup = Box::new(Setup { config: koi_config::to_toml(&config), id });
        let mut told = self.lock();
        told.setup = Some(setup.clone());
        told.send(&GuardianMessage::Setup(setup));
    }

    /// Whom to tell what.
    pub(crate) fn route(&self, obituaries: SealedObituaries, to: &[std::net::SocketAddr]) {
        let SealedObituaries { dead, all_down, down } = obituaries;
        let down = down.into_iter().map(|(group, sealed)| GroupDown { group, sealed }).collect();
        let route = Route { dead, all_down, down, to: to.iter().map(ToString::to_string).collect() };
        let mut told = self.lock();
        told.route = Some(route.clone());
        told.send(&GuardianMessage::Route(route));
    }

    /// What is to be watched of each group from now on, as far as that has changed.
    pub(crate) fn watch(&self, watches: BTreeMap<GroupName, Watch>) {
        let watches: BTreeMap<_, _> =
            watches.into_iter().map(|(group, watch)| (group, Watching::from(watch))).collect();
        let mut told = self.lock();
        if told.watches == watches {
            return;
        }
        let before = std::mem::replace(&mut told.watches, watches);
        let over = before.keys().filter(|group| !told.watches.contains_key(*group));
        let changed = told.watches.iter().filter(|(group, watching)| before.get(*group) != Some(*watching));
        let over = over.map(|group| (group, &Watching::Nothing));
        let messages =
            over.chain(changed).map(|(group, watching)| GuardianMessage::Watch(group.clone(), *watching));
        let messages: Vec<_> = messages.collect();
        messages.iter().for_each(|message| told.send(message));
    }

    /// How far up each service of each group is; said before a hook that changes it begins.
    pub(crate) fn services(&self, standing: BTreeMap<GroupName, BTreeMap<String, ServiceLevel>>) {
        let of_group = |(group, levels): (GroupName, BTreeMap<String, ServiceLevel>)| {
            levels.into_iter().map(move |(name, level)| (name, (group.clone(), level)))
        };
        let standing = standing.into_iter().flat_map(of_group).collect();
        let mut told = self.lock();
        let before = std::mem::replace(&mut told.services, standing);
        let mut messages: Vec<GuardianMessage> = Vec::new();
        let down = before.iter().filter(|(name, _)| !told.services.contains_key(*name));
        messages.extend(down.map(|(name, (group, _))| service(name, group, None)));
        let changed = told.services.iter().filter(|(name, standing)| before.get(*name) != Some(standing));
        messages.extend(changed.map(|(name, (group, standing))| service(name, group, Some(*standing))));
        messages.iter().for_each(|message| told.send(message));
    }

    /// A hook has started a process group.
    pub(crate) fn group_began(&self, run: u64, group: NotedGroup, kind: GroupKind) {
        let mut told = self.lock();
        told.groups.insert((run, group.id()), (group, kind));
        told.send(&began(run, group, kind));
    }

    /// A hook's process group is gone.
    pub(crate) fn group_gone(&self, run: u64, group: i32) {
        let mut told = self.lock();
        told.groups.remove(&(run, group));
        told.send(&GuardianMessage::Group(GroupUpdate { run, group, began: None }));
    }

    /// The daemon ends in order: the guardian is not needed any more.
    pub(crate) fn bye(&self) {
        let mut told = self.lock();
        told.leaving = true;
        told.send(&GuardianMessage::Bye);
        told.socket = None;
    }
}

/// How long to wait after a guardian that has lived for so long. The first to end costs the shortest pause.
fn next_pause(last: Duration, lived: Duration) -> Duration {
    if lived >= STEADY { SHORTEST } else { (last * 2).min(LONGEST) }
}

/// Until `end`, what the guardian says; whether it has answered. None: it is gone.
fn listen(socket: &OwnedFd, end: Time, heard: &mpsc::UnboundedSender<GuardianReport>) -> Option<bool> {
    let mut buffer = [0; 1024];
    let mut answered = false;
    loop {
        let left = end.since(sys::now());
        if left.is_zero() {
            return Some(answered);
        }
        if !sys::wait_readable(socket.as_fd(), Some(left)).ok()? {
            continue;
        }
        let length = sys::receive_message(socket.as_fd(), &mut buffer).ok()??;
        let message = &buffer[..length];
        answered |= message == HERE;
        let said = match message.strip_prefix(UNARMED) {
            Some(why) => GuardianReport::Unarmed(String::from_utf8_lossy(why).into_owned()),
            None if message == ARMED => GuardianReport::Armed,
            None => continue,
        };
        // The daemon may be ending.
        let _ = heard.send(said);
    }
}

fn began(run: u64, group: NotedGroup, kind: GroupKind) -> GuardianMessage {
    let began = GroupBegan { kind, noted_us: group.noted_us() };
    GuardianMessage::Group(GroupUpdate { run, group: group.id(), began: Some(began) })
}

fn service(name: &str, group: &GroupName, standing: Option<ServiceLevel>) -> GuardianMessage {
    GuardianMessage::Service(ServiceUpdate {
        name: name.to_owned(),
        group: group.clone(),
        promoted: standing.map(|s| s == ServiceLevel::Promoted),
    })
}

fn spawn(arguments: &Args) -> io::Result<(Child, OwnedFd)> {
    let (ours, theirs) = sys::message_socket(ROOM_BYTES, MESSAGE_BYTES)?;
    let child = koi_child::command("/proc/self/exe")
        .arg0(NAME)
        .args(arguments.for_guardian())
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .current_dir("/")
        .spawn()?;
    Ok((child, ours))
}

fn describe(status: io::Result<std::process::ExitStatus>) -> String {
    status.map_or_else(|e| e.to_string(), |s| s.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guardians_that_end_as_they_start_come_less_and_less_often() {
        let mut pause = SHORTEST;
        let pauses = [20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_000, 10_000].map(Duration::from_millis);
        for wanted in pauses {
            pause = next_pause(pause, Duration::from_millis(3));
            assert_eq!(pause, wanted);
        }
        assert_eq!(next_pause(pause, STEADY), SHORTEST, "one that stood guard is replaced at once");
    }
}
