//! `changed`: services are told when the master, the promotable nodes or the nodes that are there are not what they were.

use koi_core::io::{Command, HookRun, Observed, ServiceSpec};
use koi_core::types::{Hook, HookSet, NodeState};
use koi_sim::scripted::{Cluster, fails, saw, scores, service};

/// `web`, which has the hook.
fn web() -> ServiceSpec {
    ServiceSpec { hooks: HookSet::LIFECYCLE.with(Hook::Changed), ..service("web") }
}

/// Three machines with it, a master and no unrest.
fn three() -> Cluster {
    let mut cluster = Cluster::off(3);
    (0..3).for_each(|m| cluster.folder(m, &[web()]));
    cluster.start_all();
    cluster.run_until(10_000, "a first master", |c| c.master().is_some());
    cluster.run(2000);
    cluster
}

/// What a machine's service was told, since last forgotten.
fn told(cluster: &Cluster, m: usize) -> Vec<HookRun> {
    cluster.seen(m).calls.iter().filter(|run| run.hook == Hook::Changed).cloned().collect()
}

fn forget(cluster: &mut Cluster) {
    cluster.recorder().machines.iter_mut().for_each(|seen| seen.calls.clear());
}

/// Whom the last one named as master.
fn last_master(cluster: &Cluster, m: usize) -> Option<String> {
    told(cluster, m).last().and_then(|run| Some(run.master.as_ref()?.0.clone()))
}

/// Of a cluster with a master: leader, master and the third.
fn roles(cluster: &mut Cluster) -> (usize, usize, usize) {
    let leader = cluster.leader().expect("someone leads");
    let master = (leader + 1) % 3;
    if cluster.master() != Some(master) {
        cluster.promote(&cluster.name(master)).expect("it is done");
        cluster.run_until(2000, "the new master", |c| c.master() == Some(master));
    }
    cluster.run(2000);
    forget(cluster);
    (leader, master, 3 - leader - master)
}

#[test]
fn each_is_told_how_it_is_once_it_runs_and_again_only_when_it_is_otherwise() {
    let mut cluster = three();
    let master = cluster.master().map(|m| cluster.name(m));
    assert!((0..3).all(|m| last_master(&cluster, m) == master), "{}", cluster.story());
    forget(&mut cluster);
    cluster.run(30_000);
    assert!((0..3).all(|m| told(&cluster, m).is_empty()));

    let next = cluster.standby();
    cluster.promote(&cluster.name(next)).expect("it is done");
    cluster.run_until(2000, "the new master", |c| c.master() == Some(next));
    cluster.run(1000);
    let master = Some(cluster.name(next));
    assert!((0..3).all(|m| last_master(&cluster, m) == master), "{}", cluster.story());
    assert!((0..3).all(|m| told(&cluster, m).len() <= 4), "what follows in a row is told together");
}

#[test]
fn who_goes_and_who_comes_back_is_told() {
    let mut cluster = three();
    let (_, master, third) = roles(&mut cluster);
    let id = cluster.id(third);
    let state = |c: &Cluster| {
        let last = told(c, master).pop()?;
        Some(last.peers?.iter().find(|peer| peer.node == id)?.state)
    };
    cluster.lose_power(third);
    cluster.run_until(3000, "it is told that one has gone", |c| state(c) == Some(NodeState::Disconnected));
    cluster.start(third);
    cluster.run_until(10_000, "it is told that it is back", |c| state(c) == Some(NodeState::Standby));
}

#[test]
fn that_one_cannot_be_promoted_is_told_and_a_score_alone_is_not() {
    let mut cluster = three();
    let (_, master, third) = roles(&mut cluster);
    for score in 1..4 {
        cluster.ending(third, "web", Hook::Status, scores(score));
        cluster.run(11_000);
    }
    assert!(told(&cluster, master).is_empty());
    cluster.ending(third, "web", Hook::Status, saw(Observed::Live));
    cluster.run_until(11_000, "it is told", |c| !told(c, master).is_empty());
}

#[test]
fn nothing_waits_for_it_and_it_is_told_afterwards() {
    let mut cluster = three();
    let (leader, master, third) = roles(&mut cluster);
    cluster.slow(master, "web", Hook::Changed);
    cluster.lose_power(third);
    cluster.run_until(3000, "it begins", |c| !told(c, master).is_empty());
    cluster.machines[master].services.get_mut("web").expect("it is there").slow = HookSet::default();
    cluster.began(master);
    cluster.promote(&cluster.name(leader)).expect("it is done");
    let took = cluster.run_until(1000, "the other is master", |c| c.master() == Some(leader));
    assert!(took <= 20, "{took} ms");
    assert_eq!(cluster.began(master).first().map(String::as_str), Some("web.demote"));
    cluster.run_until(1000, "it is told how it is now", |c| {
        last_master(c, master).as_deref() == Some(c.name(leader).as_str())
    });
}

#[test]
fn a_status_that_is_due_ends_it_and_it_begins_again() {
    let mut cluster = three();
    let (_, master, third) = roles(&mut cluster);
    cluster.slow(master, "web", Hook::Changed);
    cluster.lose_power(third);
    cluster.run_until(3000, "it begins", |c| told(c, master).len() == 1);
    cluster.ending(master, "web", Hook::Status, fails());
    cluster
        .run_until(10_500, "its status has told of the failure", |c| c.master().is_some_and(|m| m != master));
}

#[test]
fn one_that_is_never_done_before_a_status_is_shown_and_waits_longer_each_time() {
    let mut cluster = three();
    let (_, master, third) = roles(&mut cluster);
    cluster.slow(master, "web", Hook::Changed);
    cluster.lose_power(third);
    let said = |c: &Cluster| c.service(master, "web").message.unwrap_or_default();
    cluster.run_until(40_000, "it is shown", |c| said(c).contains("its status was due"));
    cluster.run(300_000);
    let times = told(&cluster, master).len();
    assert!((8..=16).contains(&times), "{times} times in five minutes");
    assert_eq!(cluster.master(), Some(master));
}

/// What the service has done by then nobody knows.
#[test]
fn one_that_was_cut_off_is_repeated_though_all_is_as_it_was() {
    let mut cluster = three();
    let (_, master, third) = roles(&mut cluster);
    cluster.slow(master, "web", Hook::Changed);
    cluster.lose_power(third);
    cluster.run_until(3000, "it is told that one has gone", |c| told(c, master).len() == 1);
    cluster.start(third);
    cluster.run(2000);
    cluster.machines[master].services.get_mut("web").expect("it is there").slow = HookSet::default();
    cluster.run_until(15_000, "it is told that it is back", |c| {
        told(c, master).len() >= 2 && c.service(master, "web").message.is_none()
    });
}

#[test]
fn news_do_not_wait_because_older_ones_could_not_be_told() {
    let mut cluster = three();
    let (leader, master, third) = roles(&mut cluster);
    cluster.ending(leader, "web", Hook::Changed, fails());
    cluster.lose_power(third);
    cluster.run(60_000);
    let before = told(&cluster, leader).len();
    cluster.start(third);
    cluster.run_until(3000, "it is told at once", |c| told(c, leader).len() > before);
    assert_eq!(cluster.master(), Some(master));
}

#[test]
fn maintenance_ends_one_that_runs() {
    let mut cluster = three();
    let (_, master, third) = roles(&mut cluster);
    cluster.slow(master, "web", Hook::Changed);
    cluster.lose_power(third);
    cluster.run_until(3000, "it begins", |c| told(c, master).len() == 1);
    cluster.order(Command::Maintenance(true));
    cluster.run_until(1000, "it is over", |c| c.machines[master].hooks.is_empty());
}

#[test]
fn who_is_about_to_be_promoted_is_told_when_it_is() {
    let mut cluster = three();
    let (leader, master, _) = roles(&mut cluster);
    cluster.promote(&cluster.name(leader)).expect("it is done");
    cluster.run_until(2000, "the new master", |c| c.master() == Some(leader));
    cluster.run(2000);
    let own = cluster.name(leader);
    let as_standby = |run: &HookRun| {
        run.master.as_ref().is_some_and(|(name, _)| *name == own) && run.state != NodeState::Master
    };
    assert!(!told(&cluster, leader).iter().any(as_standby), "{:?}", told(&cluster, leader));
    assert_eq!(last_master(&cluster, leader).as_deref(), Some(own.as_str()));
    assert_eq!(cluster.node_state(master), NodeState::Standby);
}

#[test]
fn one_that_fails_is_shown_and_tried_again_and_moves_nothing() {
    let mut cluster = three();
    let (_, master, third) = roles(&mut cluster);
    cluster.ending(master, "web", Hook::Changed, fails());
    cluster.lose_power(third);
    cluster.run_until(10_000, "it was tried three times", |c| told(c, master).len() == 3);
    assert_eq!(cluster.service(master, "web").message.as_deref(), Some("`changed` fails: exit status 1"));
    assert_eq!(cluster.master(), Some(master));
    cluster.ending(master, "web", Hook::Changed, koi_core::io::HookEnd::Done);
    cluster.run_until(10_000, "it is told", |c| c.service(master, "web").message.is_none());
    forget(&mut cluster);
    cluster.run(40_000);
    assert!(told(&cluster, master).is_empty());
}

#[test]
fn in_maintenance_nothing_is_told_and_afterwards_what_has_changed() {
    let mut cluster = three();
    let (_, master, third) = roles(&mut cluster);
    cluster.order(Command::Maintenance(true));
    cluster.run(1000);
    cluster.lose_power(third);
    cluster.run(5000);
    assert!(told(&cluster, master).is_empty());
    cluster.order(Command::Maintenance(false));
    cluster.run_until(3000, "it is told", |c| !told(c, master).is_empty());
}

#[test]
fn one_that_is_started_again_is_told_again() {
    let mut cluster = three();
    let (_, _, third) = roles(&mut cluster);
    let name = cluster.name(third);
    cluster.order(Command::Stop(name.clone()));
    cluster.run(1000);
    forget(&mut cluster);
    cluster.order(Command::Start(name));
    cluster.run_until(3000, "it is told", |c| !told(c, third).is_empty());
}
