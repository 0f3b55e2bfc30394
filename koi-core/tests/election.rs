//! Who leads: rules R1, R2, R3 and R10.

use koi_core::io::{Command, CommandError};
use koi_core::message::{Body, Heartbeat, Message, RequestVote, StaleTerm};
use koi_core::reason::{FoundingWait, NotNowReason, WaitReason};
use koi_core::record::{Durable, Record, StateOrigin};
use koi_core::types::{Session, Term};
use koi_sim::invariants::Invariants;
use koi_sim::scripted::{Cluster, Solo, ms, settings};

fn new_leader(cluster: &mut Cluster, old: usize) -> u64 {
    cluster.run_until(5000, "a new leader", |c| c.leader().is_some_and(|l| l != old))
}

/// The newest message of this kind that a machine sent.
fn last<T>(cluster: &Cluster, from: usize, pick: impl Fn(&Body) -> Option<T>) -> Option<(Message, T)> {
    let mut said = cluster.sent().iter().rev().filter(|(m, _)| *m == from);
    said.find_map(|(_, m)| Some((m.clone(), pick(&m.body)?)))
}

fn heartbeat(cluster: &Cluster, from: usize) -> (Message, Heartbeat) {
    let pick = |body: &Body| match body {
        Body::Heartbeat(h) => Some(h.clone()),
        _ => None,
    };
    last(cluster, from, pick).expect("it has led")
}

#[test]
fn the_highest_rank_wins_by_priority_and_then_by_id() {
    let mut cluster = Cluster::with_master(3);
    assert_eq!(cluster.leader(), Some(2), "the highest id");
    cluster = Cluster::off(3);
    cluster.machines[0].settings.priority = 5;
    cluster.start_all();
    cluster.run_until(5000, "a leader", |c| c.leader().is_some());
    assert_eq!(cluster.leader(), Some(0), "the highest priority");
}

#[test]
fn a_higher_rank_answers_a_campaign_with_its_own() {
    let mut cluster = Cluster::with_master(3);
    cluster.lose_power(2);
    // a is the first to miss the leader: b has heard it a little longer.
    let (beat, _) = heartbeat(&cluster, 2);
    cluster.run(300);
    cluster.deliver_later(1, beat, 1000);
    cluster.run_until(3000, "a leader", |c| c.leader().is_some());
    assert_eq!(cluster.leader(), Some(1), "{}", cluster.story());
}

#[test]
fn a_higher_rank_that_cannot_win_gives_way() {
    let mut cluster = Cluster::off(3);
    cluster.machines[1].settings.priority = 9;
    cluster.machines[0].settings.priority = 5;
    cluster.start_all();
    cluster.run_until(10_000, "a master", |c| c.master().is_some());
    assert_eq!(cluster.leader(), Some(1), "{}", cluster.story());
    // Everyone hears b, and it hears nobody.
    cluster.cut(0, 1);
    cluster.cut(2, 1);
    cluster.run_until(3000, "another leader", |c| c.leader().is_some_and(|l| l != 1));
    assert_eq!(cluster.leader(), Some(0));
}

#[test]
fn a_returning_higher_rank_does_not_displace_a_sitting_leader() {
    let mut cluster = Cluster::with_master(3);
    cluster.lose_power(2);
    new_leader(&mut cluster, 2);
    let leader = cluster.leader();
    cluster.start(2);
    cluster.run(10_000);
    assert_eq!(cluster.leader(), leader);
    assert_eq!(cluster.count(2, "leadership-gained"), 1, "only before");
}

#[test]
fn a_lost_leader_is_replaced_within_half_a_second_or_little_more() {
    let mut cluster = Cluster::with_master(3);
    cluster.run(1000);
    let leader = cluster.leader().expect("someone leads");
    cluster.lose_power(leader);
    let took = new_leader(&mut cluster, leader);
    assert!(took <= 650, "{took} ms");
}

#[test]
fn a_leader_lost_after_an_hour_of_calm_is_replaced_as_fast() {
    let mut cluster = Cluster::with_master(3);
    cluster.run(3_600_000);
    let leader = cluster.leader().expect("someone leads");
    cluster.lose_power(leader);
    let took = new_leader(&mut cluster, leader);
    assert!(took <= 650, "{took} ms: followers must still know one another");
}

#[test]
fn a_leader_that_resigns_has_a_successor_at_once() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    cluster.shut_down(leader);
    cluster.run_until(1000, "its end", |c| c.machines[leader].core.is_none());
    let took = new_leader(&mut cluster, leader);
    assert!(took <= 20, "{took} ms");
}

#[test]
fn an_obituary_frees_the_votes_at_once() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    cluster.kill_daemon(leader, Some(false));
    let took = new_leader(&mut cluster, leader);
    assert!(took <= 20, "{took} ms");
}

#[test]
fn an_obituary_is_told_once_and_outlives_late_datagrams_of_the_dead() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    let dead = (leader + 1) % 3;
    let (late, _) =
        last(&cluster, dead, |b| matches!(b, Body::Report(_)).then_some(())).expect("it reported");
    cluster.forget_events();
    cluster.kill_daemon(dead, Some(false));
    cluster.run(10);
    cluster.deliver_later(leader, late, 1000);
    cluster.run(10);
    cluster.machines[dead].take_down();
    cluster.obituary(dead, true);
    cluster.obituary(dead, false);
    cluster.run(300);
    assert_eq!(cluster.count(leader, "node-dead"), 1, "{}", cluster.story());
    assert_eq!(cluster.count(leader, "node-seen"), 0);
    let view = cluster.view(leader);
    let node = view.nodes.iter().find(|n| n.id == cluster.id(dead)).expect("it is known");
    assert_eq!(node.state, koi_core::types::NodeState::Disconnected);
    cluster.start(dead);
    cluster.run(1000);
    assert_eq!(cluster.count(leader, "node-seen"), 1, "that it is back is told");
}

#[test]
fn a_new_leader_does_not_take_those_for_lost_that_it_could_not_hear_before() {
    let mut cluster = Cluster::off(4);
    cluster.machines.iter_mut().for_each(|m| {
        m.settings.electors = koi_core::settings::Electors::Count(3);
        m.settings.quorum = 2;
    });
    cluster.machines[0].settings.elector = false;
    cluster.start_all();
    cluster.run_until(10_000, "a master", |c| c.master().is_some());
    cluster.run(60_000);
    let leader = cluster.leader().expect("someone leads");
    cluster.forget_events();
    cluster.kill_daemon(leader, Some(true));
    new_leader(&mut cluster, leader);
    cluster.run(2000);
    let now = cluster.leader().expect("someone leads");
    assert_eq!(cluster.count(now, "node-lost"), 0, "{}", cluster.story());
}

#[test]
fn a_promise_blocks_votes_until_it_is_over() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    let [voter, other] = [1, 2].map(|n| (leader + n) % 3);
    let (mut claim, beat) = heartbeat(&cluster, leader);
    (claim.from, claim.session) = (cluster.id(other), Session { count: 9, random: 9 });
    let mut info = beat.info.clone();
    info.name = cluster.name(other);
    claim.body =
        Body::RequestVote(RequestVote { info, term: Term(beat.term.0 + 7), founding: Default::default() });
    cluster.deliver_later(voter, claim, 1000);
    cluster.run(5);
    let answer = |b: &Body| match b {
        Body::Vote(v) => Some(v.clone()),
        _ => None,
    };
    let (_, vote) = last(&cluster, voter, answer).expect("it has answered");
    assert!(!vote.granted);
    assert!(vote.wait > ms(300) && vote.wait <= ms(505), "{:?}", vote.wait);
}

#[test]
fn a_restarted_elector_counts_as_having_acknowledged_at_its_own_start() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    let others = [1, 2].map(|n| (leader + n) % 3);
    for m in others {
        cluster.lose_power(m);
    }
    cluster.lose_power(leader);
    // Whatever it promised may still hold, and the other may have been the leader.
    others.into_iter().for_each(|m| cluster.start(m));
    let took = new_leader(&mut cluster, leader);
    assert!(took >= 500, "{took} ms");
    let mut votes = cluster.sent().iter().filter_map(|(_, m)| match &m.body {
        Body::Vote(v) if v.granted => v.acknowledged_ago_us,
        _ => None,
    });
    let ago = votes.next_back().expect("a vote with an acknowledgement");
    assert!(ago / 1000 <= took, "as if at its start: {ago} µs ago");
}

#[test]
fn a_longer_promise_outlives_a_setting_that_was_mended_and_then_costs_nothing() {
    let mut solo = Solo::off(&[], |own| own.elector = true);
    let record = solo.record.clone();
    solo.machines[0].disk.synced =
        Some(Durable { origin: StateOrigin::Member, record, ..Durable::default() });
    solo.start(0);
    solo.pass(1000);
    let on_disk = |solo: &Solo| solo.machines[0].disk.synced.as_ref().map(|durable| durable.promised_lease);
    solo.lease = ms(10_000);
    solo.heartbeat();
    solo.run(10);
    assert_eq!(on_disk(&solo), Some(ms(10_000)));
    solo.lease = ms(500);
    solo.pass(9000);
    assert_eq!(on_disk(&solo), Some(ms(10_000)), "a restart must not free it before the promise is over");
    solo.pass(2000);
    assert_eq!(on_disk(&solo), Some(ms(500)), "and later restarts wait no longer than they must");
}

#[test]
fn a_refused_leader_claims_again_and_the_master_is_not_disturbed() {
    let mut cluster = Cluster::with_master(3);
    let (leader, master) = (cluster.leader().expect("one leads"), cluster.master().expect("one is master"));
    let other = (leader + 1) % 3;
    (0..3).for_each(|m| _ = cluster.began(m));
    let newest = Term(cluster.view(leader).term.0 + 5);
    cluster.say(other, Body::StaleTerm(StaleTerm { newest }));
    cluster.run(2000);
    assert_eq!(cluster.leader(), Some(leader));
    assert!(cluster.view(leader).term > newest);
    assert_eq!(cluster.master(), Some(master));
    assert!((0..3).all(|m| cluster.began(m).is_empty()), "no hook ran");
    assert!((0..3).all(|m| cluster.view(m).term == cluster.view(leader).term));
}

#[test]
fn a_change_of_leader_alone_runs_no_hook() {
    let (mut cluster, leader, other) = Cluster::apart(3);
    (0..3).for_each(|m| _ = cluster.began(m));
    cluster.lose_power(leader);
    new_leader(&mut cluster, leader);
    cluster.run(5000);
    assert_eq!(cluster.master(), Some(other));
    assert!((0..3).all(|m| cluster.began(m).is_empty()), "no hook ran");
    assert_eq!(cluster.count(other, "lease-lost"), 0);
}

#[test]
fn without_a_quorum_nobody_leads_and_a_master_demotes() {
    let mut cluster = Cluster::with_master(3);
    let master = cluster.master().expect("there is one");
    for m in (0..3).filter(|m| *m != master) {
        cluster.lose_power(m);
    }
    cluster.run(1200);
    assert_eq!(cluster.leader(), None);
    assert!(cluster.promoted(master).is_empty());
}

// --- R10 ---

#[test]
fn electors_without_state_wait_until_all_have_been_seen() {
    let mut cluster = Cluster::off(3);
    cluster.start(0);
    cluster.start(1);
    cluster.run(20_000);
    assert_eq!(cluster.leader(), None);
    assert!([0, 1].into_iter().all(|m| cluster.origin(m) == StateOrigin::Empty));
    let missing = FoundingWait::ElectorsMissing { configured: 3, missing: 1 };
    assert_eq!(cluster.view(0).waiting[0].reason, WaitReason::Founding(missing));
    cluster.start(2);
    cluster.run_until(3000, "a leader", |c| c.leader().is_some());
}

#[test]
fn bootstrap_begins_with_the_electors_that_were_agreed_to_or_not_at_all() {
    let mut cluster = Cluster::off(3);
    cluster.start(0);
    cluster.start(1);
    cluster.run(1000);
    let rehearsed = cluster.command(0, Command::Bootstrap { dry_run: true, electors: Vec::new() });
    let agreed = rehearsed.expect("nothing is in the way").steps;
    assert_eq!(agreed, ["a", "b"]);
    cluster.kill_daemon(1, None);
    cluster.run(10_000);
    assert_eq!(
        cluster.command(0, begin(&agreed)),
        Err(NotNowReason::OtherElectors { electors: vec!["a".into()] }.into())
    );
    assert_eq!(cluster.origin(0), StateOrigin::Empty, "nothing was begun");
    cluster.start(1);
    cluster.run(1000);
    cluster.command(0, begin(&agreed)).expect("it begins");
}

fn begin(agreed: &[String]) -> Command {
    Command::Bootstrap { dry_run: false, electors: agreed.to_vec() }
}

#[test]
fn bootstrap_begins_a_cluster_without_the_rest() {
    let mut cluster = Cluster::off(3);
    cluster.start(0);
    cluster.start(1);
    cluster.run(1000);
    cluster.command(0, begin(&[])).expect("it begins");
    cluster.run(2000);
    assert_eq!(cluster.leader(), None, "one is no quorum");
    cluster.command(1, begin(&[])).expect("it begins");
    cluster.run_until(3000, "a leader", |c| c.leader().is_some());
    cluster.start(2);
    cluster.run(2000);
    assert_eq!(cluster.origin(2), StateOrigin::Member, "the third is given the record");
    assert!(matches!(cluster.command(2, begin(&[])), Err(CommandError::NotNow(NotNowReason::HasRecord))));
}

#[test]
fn a_wiped_disk_neither_votes_nor_leads_until_it_is_given_the_record() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    let [wiped, other] = [1, 2].map(|n| (leader + n) % 3);
    cluster.lose_power(wiped);
    cluster.wipe(wiped);
    // The record is on the other's disk only now.
    cluster.lose_power(leader);
    cluster.start(wiped);
    cluster.run(10_000);
    assert_eq!(cluster.leader(), None, "{} and an empty disk are no quorum", cluster.name(other));
    cluster.start(leader);
    cluster.run_until(5000, "a leader", |c| c.leader().is_some());
    cluster.run(7000);
    assert_eq!(cluster.origin(wiped), StateOrigin::Member);
    assert_eq!(cluster.count(wiped, "joined"), 1);
}

#[test]
fn heartbeats_alone_initialise_nobody() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    let wiped = (leader + 1) % 3;
    let (old, _) = heartbeat(&cluster, leader);
    cluster.lose_power(wiped);
    cluster.wipe(wiped);
    cluster.isolate(wiped);
    cluster.start(wiped);
    (0..20).for_each(|n| cluster.deliver_later(wiped, old.clone(), 1000 * n));
    cluster.run(3000);
    assert_eq!(cluster.origin(wiped), StateOrigin::Empty);
    assert!(cluster.machines[wiped].disk.synced.as_ref().is_none_or(|d| d.record == Record::default()));
}

#[test]
fn an_empty_elector_whose_leader_is_gone_says_hello_and_can_be_told_to_begin() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    let wiped = (leader + 1) % 3;
    let (old, _) = heartbeat(&cluster, leader);
    (0..3).for_each(|m| cluster.lose_power(m));
    (0..3).for_each(|m| cluster.wipe(m));
    // What follows is another cluster: its terms begin anew.
    cluster.invariants = Invariants::default();
    cluster.start(wiped);
    // An old datagram makes it believe in a leader that is long gone.
    cluster.deliver_later(wiped, old, 1000);
    cluster.run(5000);
    for m in (0..3).filter(|m| *m != wiped) {
        cluster.start(m);
    }
    cluster.run_until(5000, "a new cluster", |c| c.leader().is_some());
}

#[test]
fn a_known_member_keeps_empty_electors_from_beginning_anew() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    let member = (leader + 1) % 3;
    (0..3).for_each(|m| cluster.lose_power(m));
    // Three new machines stand beside one that has the record.
    for n in 0..3_u8 {
        let name = char::from(b'x' + n).to_string();
        cluster.add(50 + u64::from(n), settings(&name, 3), &[]);
    }
    cluster.start(member);
    cluster.run(500);
    (3..6).for_each(|m| cluster.start(m));
    cluster.run(10_000);
    assert!((3..6).all(|m| cluster.origin(m) == StateOrigin::Empty), "{}", cluster.story());
}

// --- what grows ---

#[test]
fn a_disk_that_hangs_does_not_pile_up_what_waits_for_it() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    let follower = (leader + 1) % 3;
    cluster.hang_disk(follower);
    cluster.order(Command::Demote);
    cluster.run(60_000);
    cluster.recorder().sent.clear();
    cluster.mend_disk(follower);
    let reports = cluster
        .sent()
        .iter()
        .filter(|(m, sent)| *m == follower && matches!(sent.body, Body::Report(_)))
        .count();
    assert!(reports <= koi_core::limits::IN_FLIGHT + 4, "{reports} acknowledgements at once");
}

#[test]
fn a_calm_cluster_writes_nothing_to_its_disks_and_tells_nothing() {
    let mut cluster = Cluster::with_master(3);
    cluster.run(15_000);
    cluster.forget_events();
    let persists = |c: &Cluster| (0..3).map(|m| c.seen(m).persists).collect::<Vec<_>>();
    let before = persists(&cluster);
    cluster.run(120_000);
    assert_eq!(before, persists(&cluster));
    for m in 0..3 {
        let told: Vec<_> = cluster.seen(m).events.iter().filter(|e| !e.is_routine()).collect();
        assert!(told.is_empty(), "{told:?}");
    }
}
