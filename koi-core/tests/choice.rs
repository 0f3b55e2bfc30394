//! Whom the leader makes master, and what operators can say about it: classic manual, section 4.

use koi_core::io::{Command, CommandError, HookEnd, Observed};
use koi_core::message::{Body, Message};
use koi_core::reason::{NotNowReason, UnsafeReason, WaitReason};
use koi_core::types::{Hook, NodeState, ServiceState};
use koi_sim::scripted::{Cluster, fails, saw, scores, service};

fn stop(name: &str) -> Command {
    Command::Stop(name.to_owned())
}

fn dry_run(name: &str) -> Command {
    Command::Promote { node: name.to_owned(), dry_run: true }
}

#[test]
fn a_new_cluster_has_a_master_as_soon_as_all_are_there_and_ready() {
    let mut cluster = Cluster::off(3);
    cluster.start_all();
    let took = cluster.run_until(5000, "a master", |c| c.master().is_some());
    assert!(took < 2000, "the initial delay is cut short: {took} ms");
}

#[test]
fn a_cluster_that_is_not_complete_waits_for_the_rest() {
    let mut cluster = Cluster::with_master(3);
    for m in 0..3 {
        cluster.shut_down(m);
    }
    cluster.run(1000);
    (0..2).for_each(|m| cluster.start(m));
    let took = cluster.run_until(10_000, "a master", |c| c.master().is_some());
    assert!((5000..6500).contains(&took), "{took} ms");
}

#[test]
fn one_that_is_not_promotable_is_no_candidate() {
    let mut cluster = Cluster::off(3);
    cluster.ending(0, "web", Hook::Status, saw(Observed::Live));
    cluster.ending(1, "web", Hook::Start, fails());
    cluster.start_all();
    cluster.run_until(10_000, "a master", |c| c.master().is_some());
    assert_eq!(cluster.master(), Some(2));
    assert_eq!([cluster.node_state(0), cluster.node_state(1)], [NodeState::Live, NodeState::Failed]);
}

#[test]
fn the_highest_score_wins_and_then_the_longest_uptime() {
    let mut cluster = Cluster::off(3);
    cluster.ending(1, "web", Hook::Status, scores(10));
    cluster.ending(0, "web", Hook::Status, scores(5));
    cluster.ending(2, "web", Hook::Status, scores(5));
    cluster.start_all();
    cluster.run_until(10_000, "a master", |c| c.master().is_some());
    assert_eq!(cluster.master(), Some(1));

    // Both are beyond 32 bits, as places in a log are.
    let mut cluster = Cluster::off(3);
    cluster.ending(0, "web", Hook::Status, scores(1 << 40));
    cluster.ending(2, "web", Hook::Status, scores((1 << 40) + 1));
    cluster.ending(1, "web", Hook::Status, scores(i64::MIN));
    cluster.start_all();
    cluster.run_until(10_000, "a master", |c| c.master().is_some());
    assert_eq!(cluster.master(), Some(2));

    let mut cluster = Cluster::off(3);
    cluster.start(1);
    cluster.run(3000);
    cluster.start(0);
    cluster.start(2);
    cluster.run_until(10_000, "a master", |c| c.master().is_some());
    assert_eq!(cluster.master(), Some(1));
}

#[test]
fn one_that_has_failed_of_late_is_passed_over_unless_there_is_no_other() {
    let mut cluster = Cluster::with_master(3);
    let master = cluster.master().expect("there is one");
    let [failed, other] = [1, 2].map(|n| (master + n) % 3);
    cluster.ending(failed, "web", Hook::Status, fails());
    cluster.run(10_500);
    cluster.ending(failed, "web", Hook::Status, saw(Observed::Healthy));
    cluster.run(11_000);
    assert_eq!(cluster.node_state(failed), NodeState::Standby, "it has recovered");
    cluster.order(stop(&cluster.name(master)));
    cluster.run_until(3000, "another master", |c| c.master().is_some_and(|m| m != master));
    assert_eq!(cluster.master(), Some(other), "the calm one");
    cluster.order(stop(&cluster.name(other)));
    cluster.run_until(3000, "the last one", |c| c.master() == Some(failed));
}

#[test]
fn a_failed_status_moves_the_mastership_at_once() {
    let mut cluster = Cluster::with_master(3);
    let master = cluster.master().expect("there is one");
    cluster.slow(master, "web", Hook::Status);
    cluster.run_until(11_000, "a status", |c| !c.machines[master].hooks.is_empty());
    cluster.finish(master, "web", Hook::Status, fails());
    let took = cluster.run_until(1000, "another master", |c| c.master().is_some());
    assert!(took <= 20, "{took} ms");
    assert_ne!(cluster.master(), Some(master));
}

#[test]
fn promote_demotes_the_old_master_first_and_leaves_manual_mode() {
    let mut cluster = Cluster::with_master(3);
    let (old, new) = (cluster.master().expect("there is one"), cluster.standby());
    cluster.order(Command::Demote);
    cluster.run(1000);
    assert_eq!(cluster.master(), None);
    assert!(cluster.record().main.manual);
    cluster.run(5000);
    assert_eq!(cluster.master(), None, "nobody is chosen in manual mode");
    cluster.promote(&cluster.name(new)).expect("it is done");
    cluster.run_until(1000, "the new master", |c| c.master() == Some(new));
    assert!(!cluster.record().main.manual);
    assert_eq!(cluster.record().main.target, None);

    cluster.slow(new, "web", Hook::Demote);
    cluster.promote(&cluster.name(old)).expect("it is done");
    cluster.run(10_000);
    assert_eq!(cluster.promoted(new).len(), 1, "a demotion by order is in no hurry");
    assert!(cluster.view(new).lease.is_some_and(|l| !l.is_zero()), "and keeps the lease");
    assert_eq!(cluster.count(new, "lease-lost"), 0);
    cluster.finish(new, "web", Hook::Demote, HookEnd::Done);
    let took = cluster.run_until(1000, "the old master again", |c| c.master() == Some(old));
    assert!(took <= 20, "{took} ms");
}

#[test]
fn elect_lets_masters_be_chosen_again() {
    let mut cluster = Cluster::with_master(3);
    cluster.order(Command::Demote);
    cluster.run_until(1000, "no master", |c| c.record().main.master.is_none());
    cluster.order(Command::Elect);
    cluster.run_until(1000, "a master", |c| c.master().is_some());
}

#[test]
fn manual_mode_target_and_stops_outlive_any_change_of_leader_and_any_restart() {
    let mut cluster = Cluster::with_master(3);
    let (master, other) = (cluster.master().expect("there is one"), cluster.standby());
    cluster.order(Command::Demote);
    cluster.order(stop(&cluster.name(other)));
    let leader = cluster.leader().expect("someone leads");
    cluster.lose_power(leader);
    cluster.run_until(3000, "a new leader", |c| c.leader().is_some());
    assert!(cluster.record().main.manual);
    (0..3).for_each(|m| cluster.lose_power(m));
    cluster.start_all();
    cluster.run_until(5000, "a leader", |c| c.leader().is_some());
    cluster.run(8000);
    assert!(cluster.record().main.manual);
    assert_eq!(cluster.node_state(other), NodeState::Stopped);
    assert_eq!((cluster.master(), cluster.promoted(master).len()), (None, 0));
}

#[test]
fn a_target_that_cannot_be_promoted_is_dropped_and_normal_election_goes_on() {
    let mut cluster = Cluster::with_master(3);
    let (old, target) = (cluster.master().expect("there is one"), cluster.standby());
    cluster.slow(old, "web", Hook::Demote);
    cluster.promote(&cluster.name(target)).expect("it is done");
    cluster.lose_power(target);
    cluster.run(1500);
    cluster.finish(old, "web", Hook::Demote, HookEnd::Done);
    cluster.run_until(5000, "some master", |c| c.master().is_some());
    assert_eq!(cluster.record().main.target, None);
}

#[test]
fn stop_demotes_and_stops_a_node_and_start_lets_it_run_again() {
    let mut cluster = Cluster::with_master(3);
    let master = cluster.master().expect("there is one");
    cluster.began(master);
    cluster.order(stop(&cluster.name(master)));
    cluster.run_until(1000, "another master", |c| c.master().is_some_and(|m| m != master));
    assert_eq!(cluster.began(master), ["web.demote", "web.stop"]);
    assert_eq!(cluster.node_state(master), NodeState::Stopped);
    let now = cluster.master();
    cluster.order(Command::Start(cluster.name(master)));
    cluster.run(2000);
    assert_eq!(cluster.node_state(master), NodeState::Standby);
    assert_eq!(cluster.master(), now, "a node that comes back displaces nobody");
}

#[test]
fn every_mastership_has_a_greater_epoch_and_handlers_are_told() {
    let mut cluster = Cluster::with_master(3);
    let mut last = 0;
    for round in 0..4 {
        let master = cluster.master().expect("there is one");
        let told = cluster.seen(master).calls.iter().rev().find(|c| c.hook == Hook::Promote).expect("it was");
        assert_eq!(told.epoch, cluster.record().last_epoch);
        assert!(told.epoch.0 > last);
        last = told.epoch.0;
        if round % 2 == 0 {
            let leader = cluster.leader().expect("someone leads");
            cluster.lose_power(leader);
            cluster.run_until(10_000, "a master", |c| c.leader().is_some() && c.master().is_some());
            cluster.start(leader);
            cluster.run(2000);
        }
        let next = cluster.name(cluster.standby());
        cluster.promote(&next).expect("it is done");
        cluster.run_until(2000, "the next master", |c| c.master().is_some_and(|m| c.name(m) == next));
    }
}

#[test]
fn a_machine_that_was_stopped_stays_so_with_a_new_disk_until_it_is_started_by_hand() {
    for started_at_once in [false, true] {
        let mut cluster = Cluster::with_master(3);
        let leader = cluster.leader().expect("someone leads");
        let other = (0..3).find(|m| *m != leader && Some(*m) != cluster.master()).expect("a third");
        cluster.order(stop(&cluster.name(other)));
        cluster.run(1000);
        cluster.lose_power(other);
        cluster.wipe(other);
        cluster.run(3000);
        cluster.start(other);
        let id = cluster.id(other).to_string();
        if started_at_once {
            // In the instant in which the leader knows its name: the stop of what it was has not passed to it yet.
            let name = cluster.name(other);
            let said = |answer: &str| answer.ends_with(&name);
            while !cluster.command(leader, Command::Start(id.clone())).is_ok_and(|a| said(&a.message)) {
                cluster.run(1);
            }
            cluster.run(3000);
        } else {
            cluster.run(3000);
            assert_eq!(cluster.node_state(other), NodeState::Stopped);
            cluster.order(Command::Start(id));
            cluster.run(2000);
        }
        assert_eq!(cluster.node_state(other), NodeState::Standby, "at once: {started_at_once}");
    }
}

#[test]
fn a_failed_or_unknown_or_stopped_node_is_not_promoted() {
    let mut cluster = Cluster::with_master(3);
    let failed = cluster.standby();
    cluster.ending(failed, "web", Hook::Status, fails());
    cluster.run(11_000);
    let refused = cluster.promote(&cluster.name(failed)).expect_err("it has failed");
    assert!(
        matches!(&refused, CommandError::NotNow(NotNowReason::Failed { node, .. }) if *node == cluster.name(failed)),
        "{refused:?}"
    );
    assert_eq!(cluster.promote("nobody"), Err(CommandError::UnknownNode("nobody".to_owned())));
    let other = (0..3).find(|m| *m != failed && Some(*m) != cluster.master()).expect("a third");
    cluster.order(stop(&cluster.name(other)));
    assert!(matches!(
        cluster.promote(&cluster.name(other)),
        Err(CommandError::NotNow(NotNowReason::StoppedByHand { .. }))
    ));
    cluster.lose_power(other);
    cluster.run(1000);
    assert!(matches!(
        cluster.promote(&cluster.name(other)),
        Err(CommandError::NotNow(NotNowReason::NotThere { .. }))
    ));
}

#[test]
fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let mut cluster = Cluster::with_master(3);
    let (leader, other) = (cluster.leader().expect("someone leads"), cluster.name(cluster.standby()));
    let before = cluster.record();
    let said = cluster.command(leader, dry_run(&other)).expect("it is said");
    assert_eq!(said.steps.len(), 5, "{:?}", said.steps);
    cluster.run(1000);
    assert_eq!(cluster.record(), before);
}

#[test]
fn only_the_leader_takes_commands_and_others_name_it() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    let other = (leader + 1) % 3;
    let id = cluster.id(leader);
    assert_eq!(cluster.command(other, Command::Demote), Err(CommandError::NotLeader { leader: Some(id) }));
    cluster.isolate(other);
    cluster.run(3000);
    assert_eq!(
        cluster.command(other, Command::Demote),
        Err(CommandError::NotLeader { leader: None }),
        "a leader that is long silent is not named"
    );
}

#[test]
fn a_command_whose_change_does_not_count_is_not_answered_done() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    cluster.isolate(leader);
    let id = cluster.ask(leader, Command::Demote);
    cluster.run(200);
    assert_eq!(cluster.answer(id), None);
    cluster.run(2000);
    assert_eq!(cluster.answer(id), Some(&Err(CommandError::LostLeadership)));
}

#[test]
fn too_many_commands_are_refused_before_they_change_anything() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    cluster.isolate(leader);
    let ids: Vec<_> = (0..65)
        .map(|n| cluster.ask(leader, if n % 2 == 0 { Command::Demote } else { Command::Elect }))
        .collect();
    assert!(matches!(
        cluster.answer(ids[64]),
        Some(Err(CommandError::NotNow(NotNowReason::TooManyCommands)))
    ));
    assert_eq!(cluster.answer(ids[63]), None);
    let newest = cluster.sent().iter().rev().find_map(|(_, m)| match &m.body {
        koi_core::message::Body::Heartbeat(h) => Some(h.record.main.manual),
        _ => None,
    });
    assert_eq!(newest, Some(false), "the last that was taken is an elect");
}

#[test]
fn confirm_down_frees_the_mastership_of_a_machine_that_is_silent() {
    let (mut cluster, leader, other) = Cluster::apart(3);
    cluster.order(Command::Maintenance(true));
    cluster.run(500);
    cluster.lose_power(other);
    cluster.order(Command::Maintenance(false));
    cluster.run(10_000);
    assert_eq!(cluster.master(), None, "it may still be promoted: only its word or an operator's counts");
    let node = cluster.name(other);
    assert_eq!(cluster.view(leader).waiting[0].reason, WaitReason::MasterInMaintenance { node });
    cluster.order(Command::ConfirmDown(cluster.name(other)));
    cluster.run_until(1000, "another master", |c| c.master().is_some());
}

#[test]
fn confirm_down_of_a_node_that_answers_is_not_safe() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    let name = cluster.name(cluster.master().expect("there is one"));
    assert!(matches!(
        cluster.command(leader, Command::ConfirmDown(name)),
        Err(CommandError::Unsafe(UnsafeReason::NodeAnswers { .. }))
    ));
}

#[test]
fn maintenance_runs_no_hook_anywhere_and_changes_no_master() {
    let mut cluster = Cluster::with_master(3);
    let master = cluster.master().expect("there is one");
    cluster.order(Command::Maintenance(true));
    cluster.run(500);
    let before: Vec<usize> = (0..3).map(|m| cluster.seen(m).calls.len()).collect();
    cluster.folder((master + 1) % 3, &[service("web"), service("new")]);
    cluster.run(60_000);
    let after: Vec<usize> = (0..3).map(|m| cluster.seen(m).calls.len()).collect();
    assert_eq!(before, after);
    assert_eq!(cluster.service((master + 1) % 3, "new").state, ServiceState::Started, "presumed");
    assert!(matches!(cluster.promote("a"), Err(CommandError::NotNow(NotNowReason::Maintenance))));
    cluster.order(Command::Maintenance(false));
    cluster.run(500);
    assert_eq!(cluster.master(), Some(master));
    assert!(
        cluster.seen(master).calls.last().is_some_and(|c| c.hook == Hook::Status),
        "how things are is asked"
    );
}

#[test]
fn a_target_survives_a_leader_that_has_to_claim_again() {
    let mut cluster = Cluster::with_master(3);
    let leader = cluster.leader().expect("someone leads");
    cluster.order(Command::Demote);
    cluster.run(500);
    let target = (leader + 1) % 3;
    cluster.ending(target, "web", Hook::Status, saw(Observed::Live));
    cluster.run(10_500);
    cluster.promote(&cluster.name(target)).expect("it is wanted as soon as it can");
    cluster.run(100);
    cluster.forget_events();
    // Someone spent a term in vain; the target's next report is late.
    cluster.cut(target, leader);
    let newest = koi_core::types::Term(cluster.view(leader).term.0 + 1);
    let body = koi_core::message::Body::StaleTerm(koi_core::message::StaleTerm { newest });
    cluster.say((leader + 2) % 3, body);
    cluster.run(150);
    cluster.mend_network();
    cluster.run(1000);
    assert_eq!(cluster.count(leader, "leadership-gained"), 1, "it has claimed again");
    assert_eq!(cluster.count(leader, "target-dropped"), 0, "{}", cluster.story());
}

/// Leader, master and third of three, after statuses in which the leader scored 5 and the third 3.
fn scored() -> (Cluster, usize, usize, usize) {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let third = 3 - leader - master;
    cluster.ending(leader, "web", Hook::Status, scores(5));
    cluster.ending(third, "web", Hook::Status, scores(3));
    cluster.run(12_000);
    (cluster, leader, master, third)
}

/// How often a leader has asked somebody how it is.
fn questions(cluster: &Cluster) -> usize {
    let asks = |message: &Message| match &message.body {
        Body::Answer(answer) => answer.ask.is_some(),
        _ => false,
    };
    cluster.sent().iter().filter(|(_, message)| asks(message)).count()
}

#[test]
fn candidates_are_asked_for_their_scores_while_a_lost_masters_lease_runs_out() {
    let (mut cluster, _, master, third) = scored();
    cluster.ending(third, "web", Hook::Status, scores(9));
    cluster.lose_power(master);
    cluster.run_until(10_000, "another master", |c| c.master().is_some_and(|m| m != master));
    assert_eq!(cluster.master(), Some(third), "it has come further since its last status");
}

#[test]
fn a_lost_masters_role_moves_no_later_for_it() {
    let took = |scored: bool| {
        let (mut cluster, leader, master) = Cluster::apart(3);
        for m in (0..3).filter(|_| scored) {
            cluster.ending(m, "web", Hook::Status, scores(if m == leader { 5 } else { 3 }));
        }
        cluster.run(12_000);
        cluster.lose_power(master);
        cluster.run_until(10_000, "another master", |c| c.master().is_some_and(|m| m != master))
    };
    let (with, without) = (took(true), took(false));
    assert!(with <= without + 2, "{with} ms with scores, {without} ms without");
}

#[test]
fn candidates_are_asked_when_a_master_fails() {
    let (mut cluster, _, master, third) = scored();
    cluster.ending(third, "web", Hook::Status, scores(9));
    cluster.ending(master, "web", Hook::Status, fails());
    cluster.run_until(15_000, "another master", |c| c.master().is_some_and(|m| m != master));
    assert_eq!(cluster.master(), Some(third));
}

#[test]
fn a_status_that_hangs_holds_nobody_up_for_long() {
    let (mut cluster, leader, master, third) = scored();
    cluster.slow(third, "web", Hook::Status);
    cluster.ending(master, "web", Hook::Status, fails());
    cluster.run_until(15_000, "it fails", |c| c.node_state(master) == NodeState::Failed);
    let took = cluster.run_until(5000, "another master", |c| c.master().is_some_and(|m| m != master));
    assert_eq!(cluster.master(), Some(leader), "what was said last counts");
    assert!(took <= 150, "{took} ms");
}

#[test]
fn nobody_is_asked_where_scores_decide_nothing() {
    let (mut cluster, _, master) = Cluster::apart(3);
    cluster.lose_power(master);
    cluster.run_until(10_000, "another master", |c| c.master().is_some_and(|m| m != master));
    assert_eq!(questions(&cluster), 0, "there are no scores");
    let (mut cluster, leader, master, other) = scored();
    cluster.lose_power(other);
    cluster.run(5000);
    cluster.ending(master, "web", Hook::Status, fails());
    cluster.run_until(15_000, "another master", |c| c.master() == Some(leader));
    assert_eq!(questions(&cluster), 0, "only {leader} could be next");
    let (mut cluster, _, _, third) = scored();
    cluster.promote(&cluster.name(third)).expect("it is done");
    cluster.run_until(5000, "the new master", |c| c.master() == Some(third));
    assert_eq!(questions(&cluster), 0, "an operator has chosen");
}
