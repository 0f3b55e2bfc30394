//! The cluster loop: feeds the core with what happens, and does what it says. It runs on a thread of its own and never
//! blocks; whatever could is done elsewhere and comes back as an input.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use koi_config::Fence;
use koi_core::group::GroupName;
use koi_core::io::{Answered, Boot, CommandId, Effect, Input};
use koi_core::node::Node;
use koi_core::settings::Settings;
use koi_core::types::Time;
use koi_plugin_api::NewestEpoch;
use tokio::sync::{mpsc, oneshot};

use super::handle::{Cluster, CommandScope, REQUESTS, Request, RequestError, Snapshot};
use super::transport::{Transport, Wire};
use crate::attributes::board::BoardWriter;
use crate::fence::executor::FenceOrder;
use crate::guardian_client::client::Guardian;
use crate::hooks::executor::HookCommand;
use crate::os::fence as own_fence;
use crate::os::sys::{self, BootTimer};
use crate::reporting::events::EventHub;
use crate::storage::writer::{Disk, WriteOutcome, Writer};

/// Datagrams, and requests, that are handled before the deadline is looked at again.
const PER_TURN: usize = 64;
/// How often the guardian is told whom to tell.
const ROUTE_EVERY: Duration = Duration::from_secs(1);

/// What the loop is made of.
pub(crate) struct LoopParts<D> {
    pub(crate) settings: Settings,
    pub(crate) boot: Boot,
    pub(crate) sockets: Vec<UdpSocket>,
    pub(crate) wire: Wire,
    pub(crate) disk: D,
    pub(crate) fence: Fence,
    pub(crate) hub: EventHub,
    pub(crate) guardian: Guardian,
    /// Bounded by the core, which has at most `services.max_parallel` hooks running.
    pub(crate) orders: mpsc::UnboundedSender<HookCommand>,
    /// Bounded by the core, which has one at a time.
    pub(crate) fences: mpsc::UnboundedSender<FenceOrder>,
    /// For handlers that ask.
    pub(crate) newest_epoch: NewestEpoch,
    /// Shows what the attributes say.
    pub(crate) board: BoardWriter,
}

/// How the loop has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoopEnd {
    /// It has left the cluster.
    Left,
    /// The state on disk was restored from a backup: koid is to begin again.
    BeginAgain,
}

/// Starts the loop on its thread. The receiver gets a word when it has ended as it should, and an error when it died.
pub(crate) fn start<D: Disk>(parts: LoopParts<D>) -> io::Result<(Cluster, oneshot::Receiver<LoopEnd>)> {
    let (requests, inbox) = mpsc::channel(REQUESTS);
    let (ended, end) = oneshot::channel();
    let cluster = Cluster { requests: requests.clone() };
    let (began, begin) = std::sync::mpsc::sync_channel(1);
    std::thread::Builder::new().name("cluster".into()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(began.send(Err(error))),
        };
        runtime.block_on(async {
            let event_loop = match EventLoop::new(parts, requests, inbox) {
                Ok(event_loop) => event_loop,
                Err(error) => return drop(began.send(Err(error))),
            };
            let _ = began.send(Ok(()));
            prefer_this_thread();
            let end = event_loop.run().await;
            let _ = ended.send(end);
        });
    })?;
    begin.recv().map_err(|_| io::Error::other("the cluster thread died as it started"))??;
    Ok((cluster, end))
}

/// Real-time scheduling, where allowed.
fn prefer_this_thread() {
    match sys::make_realtime() {
        Ok(()) => tracing::debug!("the cluster thread is real-time"),
        Err(e) => tracing::info!(
            "no real-time scheduling ({e}): on a busy machine leases may be lost. CAP_SYS_NICE allows it, or LimitRTPRIO \
             in the unit"
        ),
    }
}

struct EventLoop {
    node: Node,
    name: String,
    transport: Transport,
    timer: BootTimer,
    inbox: mpsc::Receiver<Request>,
    writer: Writer,
    orders: mpsc::UnboundedSender<HookCommand>,
    fences: mpsc::UnboundedSender<FenceOrder>,
    hub: EventHub,
    guardian: Guardian,
    /// A service has moved, and the guardian has not been told.
    moved: bool,
    /// When the guardian is next told whom to tell.
    route_due: Time,
    /// Bounded by the core, which refuses more than `limits::COMMANDS`.
    waiting: HashMap<CommandId, oneshot::Sender<Result<Answered, RequestError>>>,
    next_command: u64,
    fence: Fence,
    /// For handlers that ask.
    newest_epoch: NewestEpoch,
    /// Shows what the attributes say.
    board: BoardWriter,
    /// Where this node says that it is reached.
    address: Option<SocketAddr>,
    finished: bool,
    /// The count of runs was raised: koid is to be executed anew.
    begins_again: bool,
}

impl EventLoop {
    fn new<D: Disk>(
        parts: LoopParts<D>,
        requests: mpsc::Sender<Request>,
        inbox: mpsc::Receiver<Request>,
    ) -> io::Result<EventLoop> {
        let me = (parts.boot.id, parts.boot.session);
        let transport = Transport::new(me, parts.sockets, &parts.wire, sys::now())?;
        // Weak, so that the inbox closes when all other senders are gone.
        let back = requests.downgrade();
        // The core is told what is on disk, synced, and not before.
        let writer = Writer::start(parts.disk, move |written| {
            let input = match written {
                WriteOutcome::Done(number) => Input::Persisted { number },
                WriteOutcome::Failed(why) => Input::NotPersisted(why),
            };
            if let Some(requests) = back.upgrade() {
                let _ = requests.blocking_send(Request::Input(input));
            }
        })?;
        Ok(EventLoop {
            name: parts.settings.name.clone(),
            node: Node::new(parts.settings, parts.boot),
            transport,
            timer: BootTimer::new()?,
            inbox,
            writer,
            orders: parts.orders,
            fences: parts.fences,
            hub: parts.hub,
            guardian: parts.guardian,
            moved: true,
            route_due: Time(0),
            waiting: HashMap::new(),
            next_command: 1,
            fence: parts.fence,
            newest_epoch: parts.newest_epoch,
            board: parts.board,
            address: None,
            finished: false,
            begins_again: false,
        })
    }

    async fn run(mut self) -> LoopEnd {
        self.tell_address();
        self.drain();
        while !self.finished {
            let deadline = self.node.next_deadline();
            tokio::select! {
                result = self.timer.wait_until(deadline) => {
                    if let Err(error) = result {
                        // Without a clock no lease can be kept. The panic ends the daemon and says why.
                        panic!("the cluster's timer failed: {error}");
                    }
                }
                () = self.transport.readable() => {}
                request = self.inbox.recv() => match request {
                    Some(request) => self.take(request),
                    None => return LoopEnd::Left,
                },
            }
            self.turn();
        }
        // The writer ends with the loop, once all is on disk.
        if self.begins_again { LoopEnd::BeginAgain } else { LoopEnd::Left }
    }

    /// Takes a bounded number of datagrams and requests, and only then looks at the clock: a node that was late reads its
    /// messages before it judges others silent.
    fn turn(&mut self) {
        for (message, source) in self.transport.receive(PER_TURN, sys::now()) {
            self.handle(Input::Received { message: Box::new(message), source });
        }
        for _ in 0..PER_TURN {
            match self.inbox.try_recv() {
                Ok(request) => self.take(request),
                Err(_) => break,
            }
        }
        let now = sys::now();
        if let Some((timer, _)) = self.node.next_timer().filter(|(_, at)| now >= *at) {
            tracing::trace!(%timer, "woken");
            self.handle(Input::Tick);
        }
        self.transport.refresh_if_due(now);
        self.tell_address();
        self.tell_guardian_the_way(now);
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Input(input) => self.handle(input),
            Request::Command { requester, reply, .. }
                if reply.is_closed() || !requester.waits(sys::now()) =>
            {
                // Whoever asked may have gone.
                let _ = reply.send(Err(RequestError::NotBegun));
            }
            Request::Command { scope, reply, .. } if scope.sole && self.has_several_groups() => {
                // Whoever asked may have gone.
                let _ = reply.send(Err(RequestError::SeveralGroups(self.groups())));
            }
            Request::Command { scope: CommandScope { group, .. }, command, reply, .. } => {
                let id = CommandId(self.next_command);
                self.next_command += 1;
                self.waiting.insert(id, reply);
                self.handle(Input::Command { id, group, command });
            }
            Request::Snapshot { reply } => {
                let now = sys::now();
                let (view, dropped) = (self.node.view(now), self.transport.dropped());
                let look = Snapshot { view, dropped, refused: self.transport.refused(now) };
                // Whoever asked may have gone.
                let _ = reply.send(look);
            }
            Request::Configure { settings, wire, fence } => {
                self.transport.configure(&wire, sys::now());
                self.fence = fence;
                self.name.clone_from(&settings.name);
                self.handle(Input::Configure(settings));
            }
        }
    }

    fn groups(&self) -> Vec<GroupName> {
        let others = self.node.view(sys::now()).groups.into_iter().map(|group| group.name);
        [GroupName::MAIN].into_iter().chain(others).collect()
    }

    fn has_several_groups(&self) -> bool {
        self.groups().len() > 1
    }

    /// One input, then all that follows from it.
    fn handle(&mut self, input: Input) {
        self.node.handle(sys::now(), input);
        self.drain();
    }

    fn drain(&mut self) {
        // Before hooks begin and writes are answered: whoever is told looks at once.
        self.board.show(&self.node);
        while let Some(effect) = self.node.poll_effect() {
            self.carry_out(effect);
        }
        self.newest_epoch.raise(self.node.applied().last_epoch.0);
        self.tell_guardian();
    }

    /// R8: the guardian knows what is up before a hook begins that changes it, and each lease as it comes.
    fn tell_guardian(&mut self) {
        if std::mem::take(&mut self.moved) {
            self.guardian.services(self.node.service_levels());
        }
        self.guardian.watch(self.node.watches());
    }

    /// The core states to the others where this node is reached.
    fn tell_address(&mut self) {
        let address = self.transport.own_address();
        if address != self.address {
            self.address = address;
            self.handle(Input::Address(address));
        }
    }

    fn tell_guardian_the_way(&mut self, now: Time) {
        if now < self.route_due {
            return;
        }
        self.route_due = now + ROUTE_EVERY;
        let groups = Some(self.node.groups()).filter(|groups| groups.len() > 1).unwrap_or_default();
        if let Some(obituaries) = self.transport.obituaries(&groups) {
            self.guardian.route(obituaries, &self.transport.everyone(now));
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, message } => self.transport.send(to, &message, sys::now()),
            Effect::Persist { number, durable } => self.writer.submit(number, durable),
            Effect::RunHook(run) => {
                self.tell_guardian();
                self.order(HookCommand::Run(run));
            }
            Effect::AbortHook { run, now } => self.order(HookCommand::Abort { run, now }),
            Effect::Answer { id, result } => {
                if let Some(reply) = self.waiting.remove(&id) {
                    let _ = reply.send(result.map_err(RequestError::Refused));
                }
            }
            Effect::Event { group, event } => {
                use koi_core::event::Event::{ServiceChanged, ServiceFound, ServiceGone};
                self.moved |=
                    matches!(event, ServiceChanged { .. } | ServiceFound { .. } | ServiceGone { .. });
                self.hub.push(&self.name, &group, &event);
            }
            Effect::Fence { reason } => own_fence::fence(self.fence, &reason),
            // Whoever runs fences ends only after this loop.
            Effect::FenceNode(run) => _ = self.fences.send(FenceOrder::Run(run)),
            Effect::EndFence(id) => _ = self.fences.send(FenceOrder::End(id)),
            Effect::Finished => self.finished = true,
            Effect::CountUp { beyond } => {
                self.writer.count_up(beyond);
                (self.finished, self.begins_again) = (true, true);
            }
        }
    }

    fn order(&self, order: HookCommand) {
        // The hook runner ends only after this loop.
        let _ = self.orders.send(order);
    }
}
