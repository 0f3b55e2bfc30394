//! A program ends with its call, however that ends, and before it when its time is over.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use koi_plugin_api::{
    Abort, Call, CallLog, Called, Handler, Hook, HookError, LogLevel, Metadata, abort_pair,
};

use crate::guests::node::Ask;
use crate::probing::Probe;
use crate::sleeper::{Sleeper, all_are_gone, runs, wait_until};

#[tokio::test]
async fn a_program_that_takes_too_long_is_killed_with_all_that_it_started() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new("trap '' TERM\nwait");
    // Long enough for it to start on a loaded machine.
    let op = format!("exec:~5000 {}", sleeper.program().display());
    let exec = sleeper.grant();
    let (tried, ids) = tokio::join!(probe.tries(&exec, &op), sleeper.started());
    assert_eq!(tried.result, Err("timed out".into()));
    assert!(!ids.iter().any(|id| runs(*id)), "nothing of it runs once the guest is told");
}

#[tokio::test]
async fn a_program_ends_with_its_call_however_that_ends() {
    let Some(probe) = Probe::net() else { return };
    // Aborted gently: SIGTERM comes first, and this one obeys.
    let sleeper = Sleeper::new("trap 'exit 7' TERM\nwait");
    let handler = probe.open(&sleeper.grant(), &format!("exec:{}", sleeper.program().display())).unwrap();
    let (aborter, abort) = abort_pair();
    let call = Ask::new(&handler).with_abort(abort).hook(Hook::Start);
    let (ended, ids) = tokio::join!(call, async {
        let ids = sleeper.started().await;
        aborter.abort(Abort::Gently);
        ids
    });
    assert!(ended.is_err(), "{ended:?}");
    all_are_gone(&ids).await;

    // Aborted at once, and one that does not obey.
    let sleeper = Sleeper::new("trap '' TERM\nwait");
    let handler = probe.open(&sleeper.grant(), &format!("exec:{}", sleeper.program().display())).unwrap();
    let (aborter, abort) = abort_pair();
    let call = Ask::new(&handler).with_abort(abort).hook(Hook::Start);
    let (ended, ids) = tokio::join!(call, async {
        let ids = sleeper.started().await;
        aborter.abort(Abort::Now);
        ids
    });
    assert_eq!(ended, Err(HookError::Aborted));
    all_are_gone(&ids).await;

    // Nobody waits for the call any more.
    let sleeper = Sleeper::new("wait");
    let handler = probe.open(&sleeper.grant(), &format!("exec:{}", sleeper.program().display())).unwrap();
    let call = Ask::new(&handler).hook(Hook::Start);
    let ids = tokio::select! {
        ended = call => panic!("{ended:?}"),
        ids = sleeper.started() => ids,
    };
    all_are_gone(&ids).await;
}

#[tokio::test]
async fn what_a_program_left_in_the_background_is_asked_to_end_too_before_it_is_killed() {
    let Some(probe) = Probe::net() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (ready, trace) = (folder.path().join("ready"), folder.path().join("trace"));
    // The program obeys at once. What it has started cleans up for a moment.
    let cleans_up = format!(
        "(trap 'sleep 0.2; echo > {}; exit' TERM; sleep 1000 & echo > {}; wait; wait) &",
        trace.display(),
        ready.display()
    );
    let sleeper = Sleeper::new(&format!("{cleans_up}\ntrap 'exit 7' TERM\nwait"));
    let handler = probe.open(&sleeper.grant(), &format!("exec:{}", sleeper.program().display())).unwrap();
    let (aborter, abort) = abort_pair();
    let call = Ask::new(&handler).with_abort(abort).hook(Hook::Start);
    let (ended, ids) = tokio::join!(call, async {
        let ids = sleeper.started().await;
        wait_until("what is in the background is ready", || ready.exists()).await;
        aborter.abort(Abort::Gently);
        ids
    });
    assert!(ended.is_err(), "{ended:?}");
    wait_until("it has cleaned up", || trace.exists()).await;
    all_are_gone(&ids).await;
}

#[tokio::test]
async fn the_call_s_own_time_ends_a_program_too() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new("wait");
    let op = format!("exec:~86400000 {}", sleeper.program().display());
    let handler = probe.open(&sleeper.grant(), &op).unwrap();
    let call = Ask::new(&handler).with_timeout(Duration::from_secs(5)).hook(Hook::Start);
    let (ended, ids) = tokio::join!(call, sleeper.started());
    assert!(matches!(ended, Err(HookError::TimedOut(_) | HookError::Failed(_))), "{ended:?}");
    all_are_gone(&ids).await;
}

/// The process groups that calls of a handler have told of.
struct Told {
    handler: Arc<dyn Handler>,
    groups: Arc<Groups>,
}

#[derive(Default)]
struct Groups(Mutex<Vec<Event>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Group(i32),
    Broker(i32),
    Gone,
}

impl CallLog for Groups {
    fn line(&self, _: LogLevel, _: &str) {}

    fn group_began(&self, id: i32) {
        self.0.lock().unwrap().push(Event::Group(id));
    }

    fn broker_began(&self, id: i32) {
        self.0.lock().unwrap().push(Event::Broker(id));
    }

    fn group_gone(&self, _: i32) {
        self.0.lock().unwrap().push(Event::Gone);
    }
}

impl Handler for Told {
    fn metadata(&self) -> Metadata {
        self.handler.metadata()
    }

    fn call(&self, call: Call) -> Called {
        self.handler.call(Call { log: self.groups.clone(), ..call })
    }
}

#[tokio::test]
async fn a_program_leads_a_group_of_its_own_that_koid_is_told_of() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new("kill $!");
    let handler = probe.open(&sleeper.grant(), &format!("exec:{}", sleeper.program().display())).unwrap();
    let groups = Arc::new(Groups::default());
    let told: Arc<dyn Handler> = Arc::new(Told { handler, groups: groups.clone() });
    Ask::new(&told).hook(Hook::Start).await.unwrap();
    let ids = sleeper.started().await;
    let told = groups.0.lock().unwrap();
    use Event::{Broker, Gone, Group};
    assert!(
        matches!(**told, [Group(_), Broker(_), Group(program), Gone, Gone, Gone] if program == ids[0]),
        "{told:?}: the helper's, the broker's, and in it the program's"
    );
}

#[tokio::test]
async fn a_program_that_is_gone_or_ended_by_a_signal_is_told_apart() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new("kill $!\nkill -9 $$");
    let op = format!("exec:{}", sleeper.program().display());
    assert!(probe.finds(&sleeper.grant(), &op).await.starts_with("code None "));
    let handler = probe.open(&sleeper.grant(), &op).unwrap();
    fs::remove_file(sleeper.program()).unwrap();
    assert_eq!(Ask::new(&handler).hook(Hook::Start).await, Err(HookError::Failed("not found".into())));
    let missing = probe.open(&sleeper.grant(), &op).err().unwrap();
    assert!(missing.contains("install it or correct the line"), "{missing}");
    assert!(!Path::new(&sleeper.program()).exists());
}
