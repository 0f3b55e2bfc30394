use std::os::unix::process::CommandExt;
use std::time::Duration;

use koi_child::group::NotedGroup;
use koi_core::group::GroupName;
use koi_core::io::{HandlerInstance, StatusReport, TargetRole};
use koi_core::types::{Epoch, NodeState};
use koi_plugin_api::{Call, Called, Context, Handler, HookSet, Metadata};

use super::super::call::Patience;
use super::super::handlers::Runnable;
use super::super::process_groups::{GroupKind, KillOnDrop};
use super::super::statistics::counters::HookCount;
use super::*;

/// How hooks ended.
type Ends = mpsc::UnboundedReceiver<(RunId, HookEnd)>;

/// Does in each hook what a test wants to see.
struct Scripted;

impl Handler for Scripted {
    fn metadata(&self) -> Metadata {
        Metadata {
            name: "scripted".into(),
            version: "1".into(),
            description: String::new(),
            hooks: HookSet::LIFECYCLE,
            ..Metadata::default()
        }
    }

    fn call(&self, mut call: Call) -> Called {
        Box::pin(async move {
            match call.hook {
                plugin::Hook::Start => Ok(Outcome::Done),
                plugin::Hook::Stop => panic!("the handler is broken"),
                plugin::Hook::Promote => {
                    call.abort.asked_for(Abort::Gently).await;
                    Err(HookError::Aborted)
                }
                plugin::Hook::Demote => std::future::pending().await,
                plugin::Hook::Status => Ok(Outcome::Status(plugin::StatusReport {
                    observed: plugin::Observed::Standby,
                    message: format!("{:?}", call.context.master),
                    score: Some(3),
                    details: vec![("lag".into(), "0".into())],
                    processes: Vec::new(),
                })),
                plugin::Hook::Failed => Err(HookError::TimedOut("too slow".into())),
                plugin::Hook::Changed => Ok(Outcome::Done),
            }
        })
    }
}

/// A runner with one scripted service, and how its hooks end.
fn runner() -> (mpsc::UnboundedSender<HookCommand>, Ends, ProcessGroups) {
    runner_with(Details::default(), Handlers::default())
}

fn runner_with(
    details: Details,
    handlers: Handlers,
) -> (mpsc::UnboundedSender<HookCommand>, Ends, ProcessGroups) {
    let (orders, wanted) = mpsc::unbounded_channel();
    let (ended, ends) = mpsc::unbounded_channel();
    let runnable = Runnable {
        instance: HandlerInstance(0),
        handler: Arc::new(Scripted),
        home: "/".into(),
        workdir: "/".into(),
        config: Vec::new(),
        plugin_hash: None,
        output: Arc::default(),
        status_lines: Arc::default(),
        counters: Arc::default(),
    };
    handlers.update([("web".to_owned(), runnable)]);
    let identity = NodeIdentity {
        name: "a".into(),
        id: "id".into(),
        cluster: "13".into(),
        address: Some("127.0.0.7".parse().unwrap()),
    };
    let groups = ProcessGroups::default();
    let identity = Arc::new(RwLock::new(identity));
    tokio::spawn(
        HookExecutor {
            orders: wanted,
            handlers,
            identity,
            groups: groups.clone(),
            ended,
            newest_epoch: NewestEpoch::default(),
            details,
            drilled: DrilledStatuses::default(),
            processes: None,
            guardian: None,
            attributes: None,
        }
        .run(),
    );
    (orders, ends, groups)
}

fn hook(run: u64, hook: Hook) -> HookCommand {
    HookCommand::Run(Box::new(HookRun {
        run: RunId(run),
        group: GroupName::MAIN,
        service: "web".into(),
        instance: HandlerInstance(0),
        hook,
        timeout: Duration::from_secs(30),
        left: Duration::from_secs(30),
        reason: None,
        attempt: 1,
        role: TargetRole::Standby,
        state: NodeState::Standby,
        epoch: Epoch(5),
        promoted_epoch: Epoch(4),
        master: Some(("a".into(), None)),
        previous: None,
        peers: None,
        cause: None,
    }))
}

async fn ended(inputs: &mut Ends) -> (u64, HookEnd) {
    let (run, end) = inputs.recv().await.expect("a hook should have ended");
    (run.0, end)
}

#[tokio::test]
async fn what_a_handler_says_reaches_the_core() {
    let (orders, mut inputs, _) = runner();
    orders.send(hook(1, Hook::Start)).unwrap();
    assert_eq!(ended(&mut inputs).await, (1, HookEnd::Done));
    orders.send(hook(2, Hook::Failed)).unwrap();
    let failed = HookEnd::Failed { message: "too slow".into(), timed_out: true, lasting: false };
    assert_eq!(ended(&mut inputs).await, (2, failed));
    orders.send(hook(3, Hook::Status)).unwrap();
    let message = r#"Some(("a", "127.0.0.7"))"#.to_owned();
    let seen = StatusReport { message, score: Some(3), ..koi_core::io::Observed::Standby.into() };
    assert_eq!(ended(&mut inputs).await, (3, HookEnd::Status(seen)), "its own address, if it is the master");
}

#[tokio::test]
async fn what_a_service_says_besides_is_kept_until_it_is_stopped() {
    let details = Details::default();
    let (orders, mut inputs, _) = runner_with(details.clone(), Handlers::default());
    orders.send(hook(1, Hook::Status)).unwrap();
    ended(&mut inputs).await;
    assert_eq!(details.for_service("web").details, [("lag".to_owned(), "0".to_owned())]);
    orders.send(hook(2, Hook::Failed)).unwrap();
    ended(&mut inputs).await;
    assert!(details.for_service("web").details.is_empty(), "what went wrong makes it void");
    orders.send(hook(3, Hook::Status)).unwrap();
    ended(&mut inputs).await;
    orders.send(hook(4, Hook::Start)).unwrap();
    ended(&mut inputs).await;
    assert!(details.for_service("web").details.is_empty());
}

#[tokio::test]
async fn a_handler_that_panics_is_a_failed_hook_and_no_dead_daemon() {
    let (orders, mut inputs, groups) = runner();
    let mut child = std::process::Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
    groups.began(RunId(1), NotedGroup::now(child.id() as i32), GroupKind::Plain);
    orders.send(hook(1, Hook::Stop)).unwrap();
    let (run, how) = ended(&mut inputs).await;
    assert!(run == 1 && matches!(how, HookEnd::Failed { timed_out: false, .. }), "{how:?}");
    // What it had started went with it.
    let status = std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap());
    assert_eq!(status, Some(9));
    orders.send(hook(2, Hook::Start)).unwrap();
    assert_eq!(ended(&mut inputs).await, (2, HookEnd::Done));
}

#[tokio::test]
async fn every_call_is_counted_by_how_it_ended() {
    let handlers = Handlers::default();
    let statistics = handlers.statistics();
    let (orders, mut inputs, _) = runner_with(Details::default(), handlers);
    let each = [Hook::Start, Hook::Status, Hook::Status, Hook::Failed, Hook::Stop, Hook::Promote];
    for (run, of) in (1..).zip(each) {
        orders.send(hook(run, of)).unwrap();
        if of == Hook::Promote {
            orders.send(HookCommand::Abort { run: RunId(run), now: false }).unwrap();
        }
        assert_eq!(ended(&mut inputs).await.0, run);
    }
    let counters = statistics.for_service("web").unwrap().current;
    let counted = |hook| {
        let HookCount { calls, failures, timed_out, crashed, aborted, no_room, .. } = counters.of(hook);
        [calls, failures, timed_out, crashed, aborted, no_room]
    };
    assert_eq!(counted(Hook::Start), [1, 0, 0, 0, 0, 0]);
    assert_eq!(counted(Hook::Status), [2, 0, 0, 0, 0, 0]);
    assert_eq!(counted(Hook::Failed), [1, 1, 1, 0, 0, 0], "it was too slow");
    assert_eq!(counted(Hook::Stop), [1, 1, 0, 1, 0, 0], "the handler has panicked");
    assert_eq!(counted(Hook::Promote), [1, 0, 0, 0, 1, 0], "koi has ended it");
    assert_eq!(counted(Hook::Demote), [0; 6]);
    let status = counters.of(Hook::Status);
    assert!(status.last_us <= status.longest_us && status.longest_us <= status.total_us, "{status:?}");
}

#[tokio::test]
async fn a_hook_is_aborted_and_others_go_on() {
    let (orders, mut inputs, _) = runner();
    orders.send(hook(1, Hook::Promote)).unwrap();
    orders.send(hook(2, Hook::Start)).unwrap();
    assert_eq!(ended(&mut inputs).await, (2, HookEnd::Done));
    orders.send(HookCommand::Abort { run: RunId(1), now: false }).unwrap();
    assert_eq!(ended(&mut inputs).await, (1, HookEnd::Aborted));
}

#[tokio::test]
async fn a_handler_that_is_deaf_is_dropped() {
    let deaf = || -> Called { Box::pin(std::future::pending()) };
    let (soon, never) = (Duration::from_millis(10), Duration::from_secs(3600));
    let (_aborter, abort) = plugin::abort_pair();
    let how = within(deaf(), soon, Patience { late: soon, told: never }, abort).await;
    assert!(matches!(how, HookEnd::Failed { timed_out: true, .. }), "{how:?}");
    let (aborter, abort) = plugin::abort_pair();
    aborter.abort(Abort::Now);
    let how = within(deaf(), never, Patience { late: never, told: soon }, abort).await;
    assert_eq!(how, HookEnd::Aborted);
}

#[test]
fn the_daemons_end_kills_every_hook() {
    // A broker ends what it has started, and so it must not be killed.
    for (kind, signal) in [(GroupKind::Plain, 9), (GroupKind::Broker, 15)] {
        let groups = ProcessGroups::default();
        let mut child = std::process::Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        groups.began(RunId(1), NotedGroup::now(child.id() as i32), kind);
        drop(KillOnDrop(groups));
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(signal));
    }
}

/// Has no room for a call as often as a test wants.
struct Crowded(std::sync::atomic::AtomicU32);

impl Handler for Crowded {
    fn metadata(&self) -> Metadata {
        Scripted.metadata()
    }

    fn call(&self, _: Call) -> Called {
        let left = self.0.load(std::sync::atomic::Ordering::SeqCst);
        self.0.store(left.saturating_sub(1), std::sync::atomic::Ordering::SeqCst);
        Box::pin(async move {
            if left > 0 { Err(HookError::NoRoom("too many processes".into())) } else { Ok(Outcome::Done) }
        })
    }
}

async fn crowded(hook: Hook, times: u32, timeout: Duration) -> Result<Outcome, HookError> {
    let HookCommand::Run(run) = super::tests::hook(1, hook) else { unreachable!("it is one") };
    let identity = NodeIdentity { name: "a".into(), id: "id".into(), cluster: "13".into(), address: None };
    let runnable = Runnable {
        instance: HandlerInstance(0),
        handler: Arc::new(Scripted),
        home: "/".into(),
        workdir: "/".into(),
        config: Vec::new(),
        plugin_hash: None,
        output: Arc::default(),
        status_lines: Arc::default(),
        counters: Arc::default(),
    };
    let context = Context { timeout, ..context(*run, &runnable, &identity) };
    let log = HookLog {
        service: "web".into(),
        hook: hook.as_str(),
        run: RunId(1),
        groups: ProcessGroups::default(),
        guardian: None,
        counters: Arc::default(),
        crashed: false.into(),
        started: Mutex::default(),
    };
    let (_aborter, abort) = plugin::abort_pair();
    let newest_epoch = NewestEpoch::default();
    let attributes = Arc::new(plugin::NoCluster);
    let call = RetriedCall { hook, context, log: Arc::new(log), abort, newest_epoch, attributes };
    call.until_there_is_room(&Crowded(times.into())).await
}

#[tokio::test]
async fn what_takes_down_waits_for_room_and_nothing_else_does() {
    let long = Duration::from_secs(30);
    for hook in [Hook::Demote, Hook::Stop, Hook::Failed] {
        assert_eq!(crowded(hook, 2, long).await, Ok(Outcome::Done), "{hook:?}");
    }
    let never = crowded(Hook::Stop, u32::MAX, Duration::from_secs(1)).await;
    assert_eq!(never, Err(HookError::TimedOut("too many processes".into())), "not for ever");
    for hook in [Hook::Start, Hook::Promote, Hook::Status] {
        let said = crowded(hook, 1, long).await;
        assert_eq!(said, Err(HookError::NoRoom("too many processes".into())), "the core decides: {hook:?}");
    }
}
