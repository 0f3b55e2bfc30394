//! A promotion from the order to its end: what it waits for, how it can go wrong, and when what happened.

use std::time::Duration;

use koi_proto::api::{ErrorCode, Group, NodeStatus, Promote, Scope, ServiceState, Status};
use tokio::time::{Instant, sleep, timeout_at};

use super::chronicle::{Chronicle, Entry, Measured, Moment};
use super::operate;
use super::show::{self, STATUS};
use crate::cli::ANSWER_TIMEOUT;
use crate::connect::Daemon;
use crate::error::{CommandError, exit};
use crate::output::PassingLine;
use crate::render::cluster::group::GroupIn;
use crate::render::cluster::verdict::{self, Reason, Verdict};
use crate::render::layout::clock::span_of;

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(50);

/// What is to become of a promotion, and how long it may take.
pub(crate) struct Promotion<'p> {
    pub(crate) daemon: &'p Daemon,
    /// Name or UUID of the node.
    pub(crate) node: &'p str,
    /// Of which group; none: of the only one.
    pub(crate) group: Option<&'p Group>,
    pub(crate) within: Duration,
    pub(crate) progress: &'p PassingLine,
}

/// A node that is promoted with all its critical services.
#[derive(Debug)]
pub(crate) struct Promoted {
    pub(crate) node: String,
    pub(crate) group: Group,
    pub(crate) epoch: u64,
    /// Who was master before; none: nobody.
    pub(crate) from: Option<String>,
    /// It was master already: nothing was done.
    pub(crate) already: bool,
    pub(crate) times: Times,
}

/// What the nodes tell of a promotion, and when it was ordered.
pub(crate) struct Account {
    pub(crate) told: Vec<Entry>,
    pub(crate) ordered: Moment,
}

/// When what happened, since the order. None: no node has told of it whose clock could be placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// The old master held nothing promoted any more.
    pub(crate) demoted: Option<Measured>,
    /// The new one was granted the mastership.
    pub(crate) granted: Option<Measured>,
    /// The last of its services was promoted.
    pub(crate) promoted: Option<Measured>,
}

/// What was so when the order was given.
struct Order {
    to: String,
    group: Group,
    /// The newest mastership by then.
    epoch: u64,
    from: Option<String>,
    given: Instant,
}

/// What a status says of an order.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Promoted,
    /// It goes on, and waits for this.
    Waits(String),
    /// The node was given the mastership, or was about to be, and has failed.
    Failed(String),
    /// Another node has been made master since.
    Overtaken {
        master: String,
        epoch: u64,
        why: Option<String>,
    },
    /// The node is wanted as master no more.
    Withdrawn,
}

impl Promotion<'_> {
    /// Orders it, and returns when the node is promoted.
    ///
    /// # Errors
    /// Exit 1: it failed, or was withdrawn. Exit 3: not in time. Exit 4: in all that time nobody could say that the order was taken.
    pub(crate) async fn carry_out(&self) -> Result<(Promoted, Account), CommandError> {
        let deadline = Instant::now() + self.within;
        let before = self.leaders_view(deadline).await?;
        let group = show::group(&before, self.group)?;
        let Some(node) = before.nodes.iter().find(|node| show::is(node, self.node)) else {
            return Err(show::unknown(&before.nodes, self.node));
        };
        let chronicle = Chronicle::begin(self.daemon, &before.nodes).await;
        let order = Order {
            to: node.name.clone(),
            group: group.name(),
            epoch: group.epoch(),
            from: group.master().cloned(),
            given: Instant::now(),
        };
        let given = chronicle.now();
        self.give(&order, deadline).await?;
        let status = self.until_promoted(&order, deadline, (&chronicle, given)).await?;
        let epoch = GroupIn::find(&status, &order.group).map_or(order.epoch, |group| group.epoch());
        let already = epoch == order.epoch;
        let mut told = if already { Vec::new() } else { chronicle.since(given).await };
        told.retain(|entry| entry.event.group == order.group);
        let times = Times::read(&told, &order, given);
        let Order { to: node, group, from, .. } = order;
        let promoted = Promoted { node, group, epoch, from, already, times };
        Ok((promoted, Account { told, ordered: given }))
    }

    /// Gives the order until it is taken. A leader that is lost meanwhile may have taken it, or not: the next one knows.
    async fn give(&self, order: &Order, deadline: Instant) -> Result<(), CommandError> {
        let scope = Scope::named(self.group);
        let body = Promote { node: self.node.to_owned(), dry_run: false, scope };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let asked = self.daemon.within(left.min(ANSWER_TIMEOUT));
            let failed = match operate::give(&asked, "promote", &body.scope, &body).await {
                Ok(_) => return Ok(()),
                Err(failed) if failed.may_pass() => failed,
                Err(refused) => return Err(refused),
            };
            if Instant::now() + PERIOD >= deadline {
                return Err(failed);
            }
            self.draw(deadline, failed.message());
            sleep(PERIOD).await;
            let Ok(status) = self.leaders_view(deadline).await else { return Err(failed) };
            if order.group_in(&status).is_some_and(|group| order.is_wanted(group)) {
                return Ok(());
            }
        }
    }

    async fn until_promoted(
        &self,
        order: &Order,
        deadline: Instant,
        (chronicle, given): (&Chronicle<'_>, Moment),
    ) -> Result<Status, CommandError> {
        let mut failure: Option<String> = None;
        let mut last = String::from("nothing has answered since");
        while let Ok(asked) = timeout_at(deadline, self.daemon.get::<Status>(STATUS)).await {
            match asked.map(|answer| (order.progress(&answer.value), answer.value)) {
                Ok((Progress::Promoted, status)) => return Ok(status),
                Ok((Progress::Waits(what), _)) => last = what,
                Ok((Progress::Failed(why), _)) => {
                    last.clone_from(&why);
                    failure = Some(why);
                }
                Ok((Progress::Overtaken { master, epoch, why }, _)) => {
                    return Err(overtaken(order, why.or(failure).as_deref(), &master, epoch));
                }
                Ok((Progress::Withdrawn, status)) => {
                    let told = chronicle.since(given).await;
                    return Err(withdrawn(order, &status, failure.as_deref(), &told));
                }
                Err(failed) if failed.may_pass() => failed.message().clone_into(&mut last),
                Err(failed) => return Err(failed),
            }
            self.draw(deadline, &last);
            if Instant::now() + PERIOD >= deadline {
                break;
            }
            sleep(PERIOD).await;
        }
        let message = format!("{} is not promoted after {}: {last}", order.to, span_of(self.within));
        let hint = "it may yet come about: `koi status` says what is waited for; -t waits longer";
        Err(CommandError::new(exit::DEGRADED, ErrorCode::NotReached, message, hint))
    }

    /// The newest status that a leader gives. Without one it is waited for.
    pub(crate) async fn leaders_view(&self, deadline: Instant) -> Result<Status, CommandError> {
        let mut failed = CommandError::new(
            exit::NO_ANSWER,
            ErrorCode::NoAnswer,
            "nothing has answered",
            "-t waits longer",
        );
        while let Ok(asked) = timeout_at(deadline, self.daemon.get::<Status>(STATUS)).await {
            failed = match asked {
                Ok(answer) if is_leaders(&answer.value) => return Ok(answer.value),
                Ok(answer) => CommandError::new(
                    exit::NO_ANSWER,
                    ErrorCode::NoLeader,
                    format!("no node leads, and only a leader can do this: {}", waits(&answer.value)),
                    "nothing was ordered; `koi status` says more",
                ),
                Err(failed) if failed.may_pass() => failed,
                Err(failed) => return Err(failed),
            };
            self.draw(deadline, failed.message());
            if Instant::now() + PERIOD >= deadline {
                break;
            }
            sleep(PERIOD).await;
        }
        Err(failed)
    }

    fn draw(&self, deadline: Instant, what: &str) {
        let left = span_of(deadline.saturating_duration_since(Instant::now()));
        self.progress.draw(&format!("koi: {} is not promoted yet, {left} left: {what}", self.node));
    }
}

impl Order {
    fn group_in<'s>(&self, status: &'s Status) -> Option<GroupIn<'s>> {
        GroupIn::find(status, &self.group)
    }

    fn is_wanted(&self, group: GroupIn<'_>) -> bool {
        let wanted = Some(&self.to);
        group.target() == wanted || group.master() == wanted
    }

    fn progress(&self, status: &Status) -> Progress {
        if !is_leaders(status) {
            return Progress::Waits(waits(status));
        }
        let Some(group) = self.group_in(status) else {
            return Progress::Waits(format!("no node tells of the group {}", self.group));
        };
        // Who is silent says nothing of its services.
        if group.promoted_master().is_some_and(|master| master.name == self.to && master.services.is_some()) {
            return Progress::Promoted;
        }
        let (epoch, node) = (group.epoch(), status.nodes.iter().find(|node| node.name == self.to));
        if let Some(master) = group.master().filter(|master| **master != self.to && epoch > self.epoch) {
            let why = node.and_then(|node| self.failure(node));
            return Progress::Overtaken { master: master.clone(), epoch, why };
        }
        // Nobody is master for a moment, between it and the next one.
        if !self.is_wanted(group) && epoch == self.epoch {
            return Progress::Withdrawn;
        }
        match node.and_then(|node| self.failure(node)) {
            Some(why) => Progress::Failed(why),
            None => {
                let unready = node.map(|node| unready(node, group)).unwrap_or_default();
                Progress::Waits(format!("{}{unready}", waits_in(status, group)))
            }
        }
    }

    /// How the node has failed since the order.
    fn failure(&self, node: &NodeStatus) -> Option<String> {
        let failure = node.last_failure.as_ref()?;
        if failure.group != self.group {
            return None;
        }
        let is_new = Duration::from_millis(failure.ago_ms) < self.given.elapsed();
        let at = match failure.service.is_empty() {
            true => String::new(),
            false => format!(" in {} of {}", failure.hook, failure.service),
        };
        is_new.then(|| format!("{} has failed{at}: {}", node.name, failure.message))
    }
}

/// Whether a leader says it. What another node sees may be old.
pub(crate) fn is_leaders(status: &Status) -> bool {
    status.cluster.leader.as_ref() == Some(&status.cluster.seen_by)
}

/// What the cluster waits for.
pub(crate) fn waits(status: &Status) -> String {
    let said = status.cluster.waiting.first().map(verdict::waiting);
    said.unwrap_or_else(|| Reason::for_verdict(status, Verdict::from_status(status)).text)
}

/// The same as far as a group goes.
fn waits_in(status: &Status, group: GroupIn<'_>) -> String {
    group.waiting().first().map_or_else(|| waits(status), verdict::waiting)
}

/// What the services say that keep a node from being promoted: `; vip: still syncing`.
fn unready(node: &NodeStatus, group: GroupIn<'_>) -> String {
    let services = group.services(node).into_iter().filter(|service| !service.promotable);
    let said =
        services.filter_map(|service| Some(format!("; {}: {}", service.name, service.message.as_ref()?)));
    said.collect()
}

fn overtaken(order: &Order, failure: Option<&str>, master: &str, epoch: u64) -> CommandError {
    let again = if order.from.as_deref() == Some(master) { " again" } else { "" };
    let why = failure.map_or_else(|| format!("{} was not promoted", order.to), str::to_owned);
    let message = format!("{why}; {master} is master{again} (epoch {epoch})");
    let option = if order.group.is_main() { String::new() } else { format!(" --group {}", order.group) };
    let hint = format!(
        "`koi status {0}` and `koi failures` say more; `koi recover{option} {0}` when it is mended",
        order.to
    );
    CommandError::local(message, hint)
}

fn withdrawn(order: &Order, status: &Status, failure: Option<&str>, told: &[Entry]) -> CommandError {
    let group = order.group_in(status).unwrap_or(GroupIn::main(status));
    let stands = match (group.target(), group.master()) {
        (Some(target), _) => format!("{target} is to become master"),
        (None, Some(master)) => format!("{master} is master"),
        (None, None) => "there is no master".to_owned(),
    };
    let own = format!("{} is to be master", order.to);
    let said =
        told.iter().map(|entry| &entry.event).filter(|event| event.group == order.group).rfind(|event| {
            match event.kind.as_str() {
                "target-dropped" => true,
                "commanded" => !event.message.starts_with(&own),
                _ => false,
            }
        });
    let why =
        said.map(|event| format!("{}: {}", event.node, event.message)).or_else(|| failure.map(str::to_owned));
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    let message = format!("the promotion of {} was withdrawn{why}; {stands}", order.to);
    CommandError::local(
        message,
        "`koi status` says how things are; `koi events` on the leader says what was ordered",
    )
}

impl Times {
    fn read(told: &[Entry], order: &Order, given: Moment) -> Times {
        let demoted = order.from.as_ref().and_then(|from| find(told, from, "lease-released"));
        let granted = find(told, &order.to, "lease-gained");
        let promoted = granted.map(|granted| last_promoted(told, granted));
        let since = |entry: Option<&Entry>| entry.map(|entry| entry.at.since(given));
        Times { demoted: since(demoted), granted: since(granted), promoted: since(promoted) }
    }
}

/// The first event of this kind that a node tells of.
pub(crate) fn find<'t>(told: &'t [Entry], node: &str, kind: &str) -> Option<&'t Entry> {
    told.iter().find(|entry| entry.event.node == node && entry.event.kind == kind)
}

/// The last service of a node that was promoted since it was granted the mastership. One without services is promoted by then.
pub(crate) fn last_promoted<'t>(told: &'t [Entry], granted: &'t Entry) -> &'t Entry {
    let is_later = |entry: &&Entry| {
        entry.event.node == granted.event.node
            && entry.event.number > granted.event.number
            && entry.event.state == Some(ServiceState::Promoted)
    };
    told.iter().rfind(is_later).unwrap_or(granted)
}
