//! The other nodes, as far as they were heard. Each run of a node's daemon is heard for itself: two may speak at once, when a machine was
//! copied or a datagram was slow. What is known of a run is changed in this file alone: no other is handed one to change.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::contact::clocks::Pace;
use crate::contact::gone::Gone;
use crate::group::GroupName;
use crate::limits;
use crate::message::{Body, NodeInfo, Report, RunnerSummary};
use crate::types::{NodeId, Session, Time, Version};

/// A node that is unheard for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30 * 60);
/// What a node says that is implausible is told once in so long.
const IMPLAUSIBLE_PAUSE: Duration = Duration::from_secs(60);
/// Runs of one node that are remembered.
const RUNS: usize = 4;

/// A run of another node.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) session: Session,
    pub(crate) info: NodeInfo,
    /// When a fresh message came from it; [`Time`] 0: never.
    pub(crate) heard: Time,
    /// The number of its newest report.
    reported: u64,
    /// Where its last fresh message came from: only where to answer it now.
    pub(crate) address: Option<SocketAddr>,
    /// Where it says that it is reached.
    pub(crate) stated: Option<SocketAddr>,
    /// The lowest number of its messages that named this run of this node: what is numbered after it is fresh.
    addressed: Option<u64>,
    /// How long its disk takes, as it said when it was last asked for its vote, and when that was.
    pub(crate) disk: (Duration, Time),
    /// It still calls for its own id, and takes part in nothing.
    pub(crate) calls: bool,
    /// It has given way to an older machine with its id.
    pub(crate) mute: bool,
    /// How its services of `main` are.
    pub(crate) summary: Option<RunnerSummary>,
    /// How those of its other groups are.
    pub(crate) others: BTreeMap<GroupName, RunnerSummary>,
    /// Why it cannot keep what it would promise, by its own word.
    pub(crate) unfit: Option<String>,
    pub(crate) pace: Pace,
    pub(crate) applied: Version,
    /// Its daemon's start, on our clock.
    pub(crate) since: Time,
    /// When this node sent the newest of its heartbeats that the run has acknowledged: it lived then, whatever was recorded or held up.
    pub(crate) proven: Time,
    pub(crate) gone: Option<Gone>,
    /// That it is there has been told.
    pub(crate) told_seen: bool,
    /// Its silence has been told.
    pub(crate) told_lost: bool,
    /// Until then nothing more is said to it that only answers it.
    quiet_until: Time,
    /// How long it is next waited for a word that names this run.
    ask_again: Duration,
    ask_at: Time,
}

impl Peer {
    fn new(session: Session, now: Time) -> Peer {
        Peer {
            session,
            info: NodeInfo::default(),
            heard: Time(0),
            reported: 0,
            address: None,
            stated: None,
            addressed: None,
            disk: (Duration::ZERO, Time(0)),
            calls: false,
            mute: false,
            summary: None,
            others: BTreeMap::new(),
            unfit: None,
            pace: Pace::default(),
            applied: Version::default(),
            since: now,
            proven: Time(0),
            gone: None,
            told_seen: false,
            told_lost: false,
            quiet_until: Time(0),
            ask_again: Duration::ZERO,
            ask_at: Time(0),
        }
    }

    /// Its session is over; true if that is news.
    fn ends(&mut self, gone: Gone) -> bool {
        let before = self.gone.take();
        let news = before.is_none();
        self.gone = Some(before.unwrap_or_default().and(gone));
        news
    }

    fn is_fresh(&mut self, seq: u64, addressed: bool) -> bool {
        if addressed {
            self.addressed = Some(self.addressed.map_or(seq, |lowest| lowest.min(seq)));
        }
        addressed || self.addressed.is_some_and(|lowest| seq > lowest) || mutant!(OldIsNews)
    }

    fn reports(&mut self, number: u64) -> bool {
        let newest = number > self.reported;
        self.reported = self.reported.max(number);
        newest
    }

    /// It has named this run of this node.
    pub(crate) fn knows_us(&self) -> bool {
        self.addressed.is_some()
    }

    /// Speaks, takes part, and its end has not been told.
    pub(crate) fn is_around(&self, lately: Duration, now: Time) -> bool {
        !self.calls && self.gone.is_none() && self.heard > Time(0) && now.since(self.heard) <= lately
    }

    fn may_answer(&mut self, pause: Duration, now: Time) -> bool {
        let may = now >= self.quiet_until;
        if may {
            self.quiet_until = now + pause;
        }
        may
    }

    fn may_ask(&mut self, pause: Duration, now: Time) -> bool {
        let may = now >= self.ask_at;
        if may {
            self.ask_again = (self.ask_again * 2).clamp(pause, pause * 16);
            self.ask_at = now + self.ask_again;
        }
        may
    }
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    map: BTreeMap<NodeId, Runs>,
    /// The last node for which there was no room.
    pub(crate) refused: Option<(NodeId, Time)>,
    /// Who said something implausible last, what, and when.
    implausible: Option<(NodeId, String, Time)>,
}

/// The runs of one node.
#[derive(Clone, Debug)]
struct Runs {
    /// The one that speaks for the node.
    current: Session,
    list: Vec<Peer>,
}

impl Runs {
    fn get(&self, session: Session) -> Option<&Peer> {
        self.list.iter().find(|run| run.session == session)
    }

    fn get_mut(&mut self, session: Session) -> Option<&mut Peer> {
        self.list.iter_mut().find(|run| run.session == session)
    }

    /// Who speaks for the node after `session` was heard: the newest run that takes part; an older one only when that is over or silent.
    fn choose(&mut self, session: Session, lately: Duration, now: Time) {
        let Some(heard) = self.get(session) else { return };
        let Some(current) = self.get(self.current).filter(|run| run.heard > Time(0)) else {
            self.current = session;
            return;
        };
        let newer = session > current.session && !heard.calls;
        let replaces = current.calls && !heard.calls || !current.is_around(lately, now);
        if session != current.session && heard.gone.is_none() && (newer || replaces) {
            // That a node is back is told, if it was told that it had gone.
            let (info, told_lost) = (current.info.clone(), current.told_lost || current.gone.is_some());
            let told_seen = current.told_seen;
            self.current = session;
            if let Some(run) = self.get_mut(session) {
                (run.told_lost, run.told_seen) = (told_lost, told_seen);
                if run.info.name.is_empty() {
                    run.info = info;
                }
            }
        }
    }

    fn make_room(&mut self, keep: &dyn Fn(Session) -> bool) {
        while self.list.len() > RUNS {
            let spare = |run: &&Peer| run.session != self.current && !keep(run.session);
            let oldest = self
                .list
                .iter()
                .filter(spare)
                .min_by_key(|run| run.heard.max(run.since))
                .map(|run| run.session);
            let Some(oldest) = oldest else { return };
            self.list.retain(|run| run.session != oldest);
        }
    }
}

impl Peers {
    /// A node has said something implausible; whether that is to be told, which it is once in a while for each node.
    pub(crate) fn note_implausible(&mut self, from: NodeId, what: &str, now: Time) -> bool {
        let told = |(who, _, at): &(NodeId, String, Time)| *who == from && now.since(*at) < IMPLAUSIBLE_PAUSE;
        let tell = !self.implausible.as_ref().is_some_and(told);
        if tell {
            self.implausible = Some((from, what.to_owned(), now));
        }
        tell
    }

    /// The last implausible thing that was said, and when.
    pub(crate) fn implausible(&self) -> Option<(&str, Time)> {
        self.implausible.as_ref().map(|(_, what, at)| (what.as_str(), *at))
    }

    /// The run that speaks for this node.
    pub(crate) fn get(&self, id: NodeId) -> Option<&Peer> {
        self.map.get(&id).and_then(|runs| runs.get(runs.current))
    }

    /// This run of this node.
    pub(crate) fn run(&self, id: NodeId, session: Session) -> Option<&Peer> {
        self.map.get(&id)?.get(session)
    }

    fn run_mut(&mut self, id: NodeId, session: Session) -> Option<&mut Peer> {
        self.map.get_mut(&id)?.get_mut(session)
    }

    /// Whether message `seq` of that run was made after this run of this node began: it names it (`addressed`), or is numbered after one
    /// that did. None: that run is not known.
    pub(crate) fn is_fresh(
        &mut self,
        id: NodeId,
        session: Session,
        seq: u64,
        addressed: bool,
    ) -> Option<bool> {
        Some(self.run_mut(id, session)?.is_fresh(seq, addressed))
    }

    /// Whether that run may be answered now; at most once in `pause`, whatever it says.
    pub(crate) fn may_answer(&mut self, id: NodeId, session: Session, pause: Duration, now: Time) -> bool {
        self.run_mut(id, session).is_some_and(|run| run.may_answer(pause, now))
    }

    /// Whether that run is to be asked now for a word that names this run: each time after a longer pause.
    pub(crate) fn may_ask(&mut self, id: NodeId, session: Session, pause: Duration, now: Time) -> bool {
        self.run_mut(id, session).is_some_and(|run| run.may_ask(pause, now))
    }

    /// What a fresh message says of the run that sent it, whatever it is about.
    pub(crate) fn note_message(&mut self, id: NodeId, session: Session, body: &Body, now: Time) {
        let Some(run) = self.run_mut(id, session) else { return };
        match body {
            Body::Hello(hello) => {
                (run.calls, run.mute) = (hello.calls, hello.mute);
                run.since = now - hello.uptime;
                run.stated = hello.address.or(run.stated);
            }
            Body::Report(report) => {
                run.calls = false;
                run.since = now - report.uptime;
            }
            _ => run.calls = false,
        }
    }

    /// What that run says that it is; true if it is to be told that it is there.
    pub(crate) fn note_info(&mut self, id: NodeId, session: Session, info: &NodeInfo) -> bool {
        let Some(run) = self.run_mut(id, session) else { return false };
        let new = !run.calls && (run.info.name.is_empty() || run.told_lost || !run.told_seen);
        run.told_seen |= !run.calls;
        run.told_lost &= run.calls;
        if run.info != *info {
            run.info = info.clone();
        }
        new
    }

    /// Whether this report is the newest of that run: datagrams overtake each other, and what is older says nothing of now.
    pub(crate) fn is_newest_report(&mut self, id: NodeId, session: Session, number: u64) -> bool {
        self.run_mut(id, session).is_none_or(|run| run.reports(number))
    }

    /// How that run says that it is.
    pub(crate) fn note_report(&mut self, id: NodeId, session: Session, report: &Report, now: Time) {
        let Some(run) = self.run_mut(id, session) else { return };
        run.stated = report.address;
        run.summary = report.runner.clone();
        run.others = report.others.clone();
        run.unfit = report.unfit.clone();
        run.applied = report.applied;
        run.since = now - report.uptime;
        run.pace.says(report.uptime, now);
    }

    /// That run has acknowledged a heartbeat that was sent then: it lived.
    pub(crate) fn prove(&mut self, id: NodeId, session: Session, sent: Time) {
        if let Some(run) = self.run_mut(id, session) {
            run.proven = run.proven.max(sent);
        }
    }

    /// How long that run's disk takes, by its own word.
    pub(crate) fn note_disk(&mut self, id: NodeId, session: Session, takes: Duration, now: Time) {
        if let Some(run) = self.run_mut(id, session) {
            run.disk = (takes, now);
        }
    }

    /// The names of those that are not heard any more, each once.
    pub(crate) fn fallen_silent(&mut self, lately: Duration, now: Time) -> Vec<String> {
        let mut names = Vec::new();
        for run in self.iter_mut() {
            let silent = now.since(run.heard) > lately && run.gone.is_none() && run.told_seen;
            if silent && !run.told_lost {
                run.told_lost = true;
                names.push(run.info.name.clone());
            }
        }
        names
    }

    /// The nodes of which a fresh message ever came, each with the run that speaks for it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &Peer)> {
        let current = self.map.iter().filter_map(|(id, runs)| Some((*id, runs.get(runs.current)?)));
        current.filter(|(_, peer)| peer.heard > Time(0))
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.map.values_mut().filter_map(|runs| {
            let current = runs.current;
            runs.get_mut(current).filter(|peer| peer.heard > Time(0))
        })
    }

    /// Every run of this node.
    pub(crate) fn runs(&self, id: NodeId) -> impl Iterator<Item = &Peer> {
        self.map.get(&id).into_iter().flat_map(|runs| &runs.list)
    }

    /// This run of this node, which may be new; none: there is no room. `keep` says which runs must not be forgotten.
    pub(crate) fn meet(
        &mut self,
        id: NodeId,
        session: Session,
        keep: &dyn Fn(Session) -> bool,
        now: Time,
    ) -> Option<&Peer> {
        if !self.map.contains_key(&id) && self.map.len() >= limits::NODES {
            self.forget_old(now);
            // Who was never heard afresh may be a recording.
            let recorded = |(_, runs): &(&NodeId, &Runs)| runs.list.iter().all(|run| run.heard == Time(0));
            if let Some(stale) = self.map.iter().find(recorded).map(|(id, _)| *id) {
                self.map.remove(&stale);
            }
            if self.map.len() >= limits::NODES {
                self.refused = Some((id, now));
                return None;
            }
        }
        let runs = self.map.entry(id).or_insert_with(|| Runs { current: session, list: Vec::new() });
        if runs.get(session).is_none() {
            runs.list.push(Peer::new(session, now));
            runs.make_room(keep);
        }
        runs.get(session)
    }

    /// A fresh message came from this run.
    pub(crate) fn hear(
        &mut self,
        id: NodeId,
        session: Session,
        source: Option<SocketAddr>,
        lately: Duration,
        now: Time,
    ) {
        let Some(runs) = self.map.get_mut(&id) else { return };
        if let Some(run) = runs.get_mut(session) {
            run.heard = now;
            run.address = source.or(run.address);
        }
        runs.choose(session, lately, now);
    }

    /// This run is over: true if that is news, and it spoke for its node. It teaches nothing else: a run that was never heard stays so.
    pub(crate) fn ends(&mut self, id: NodeId, session: Session, gone: Gone) -> bool {
        let Some(runs) = self.map.get_mut(&id) else { return false };
        let current = runs.current == session;
        let Some(run) = runs.get_mut(session) else { return false };
        run.ends(gone) && current && run.heard > Time(0)
    }

    /// Forgets who has not been heard for half an hour.
    pub(crate) fn forget_old(&mut self, now: Time) {
        self.map.retain(|_, runs| {
            let newest = runs.list.iter().map(|run| run.heard.max(run.since)).max();
            newest.is_some_and(|at| now.since(at) < FORGOTTEN_AFTER)
        });
    }
}
