//! Where the masters of groups are wanted (R15): preference, apart, together, and how masters move back.

use std::collections::BTreeSet;
use std::time::Duration;

use koi_core::concern::Concern;
use koi_core::event::Event;
use koi_core::group::GroupName;
use koi_core::io::{Answered, Command, CommandError, HookEnd, Input};
use koi_core::message::{Body, Verdict};
use koi_core::placing::{GroupPlacement, PlacementPolicy, Preference};
use koi_core::reason::{DropReason, NotNowReason};
use koi_core::types::Hook;
use koi_sim::scripted::{Cluster, fails, scores, service};

const MAIN: GroupName = GroupName::MAIN;

fn web() -> GroupName {
    "web".parse().expect("it is a name")
}

/// Machines with a service `db` in `main` and `nginx` in the group `web`; none of them is started, and nothing is said of places.
fn off(size: usize) -> Cluster {
    let mut cluster = Cluster::off(size);
    for m in 0..size {
        cluster.folder(m, &[service("db")]);
        cluster.machines[m].settings.groups.insert(web());
        cluster.group_folder(m, &web(), &[service("nginx")]);
    }
    cluster
}

/// Two runners, and an elector that runs nothing and knows no group by its configuration.
fn two() -> Cluster {
    let mut cluster = off(3);
    cluster.machines[2].settings.runner = false;
    cluster.machines[2].settings.groups.clear();
    cluster
}

fn placement<'c>(cluster: &'c mut Cluster, m: usize, group: &GroupName) -> &'c mut GroupPlacement {
    cluster.machines[m].settings.placement.entry(group.clone()).or_default()
}

/// The group is preferred on these machines so much.
fn prefer(cluster: &mut Cluster, group: &GroupName, preferences: &[u64]) {
    for (m, number) in preferences.iter().enumerate() {
        placement(cluster, m, group).preference = Preference::new(*number).expect("it is in range");
    }
}

/// This holds of the group on all machines.
fn agree(cluster: &mut Cluster, group: &GroupName, policy: &PlacementPolicy) {
    (0..cluster.machines.len()).for_each(|m| placement(cluster, m, group).policy = policy.clone());
}

fn failback(seconds: u64) -> PlacementPolicy {
    PlacementPolicy::new(BTreeSet::new(), None, Some(Duration::from_secs(seconds)), 0)
}

fn apart(from: &GroupName, back: Option<u64>) -> PlacementPolicy {
    PlacementPolicy::new([from.clone()].into(), None, back.map(Duration::from_secs), 0)
}

fn together(with: &GroupName) -> PlacementPolicy {
    PlacementPolicy::new(BTreeSet::new(), Some(with.clone()), None, 0)
}

/// Everything is started, and every group has a master.
fn start(cluster: &mut Cluster) {
    cluster.start_all();
    cluster.run_until(10_000, "masters", |c| c.all_masters().values().all(|masters| masters.len() == 1));
    cluster.run(500);
}

/// The settings of a machine are read anew.
fn reconfigure(cluster: &mut Cluster, m: usize) {
    let settings = cluster.machines[m].settings.clone();
    cluster.input(m, Input::Configure(Box::new(settings)));
}

/// An operator says something about a group, to the leader.
fn order(cluster: &mut Cluster, group: &GroupName, command: Command) -> Result<Answered, CommandError> {
    let leader = cluster.leader().expect("someone leads");
    let id = cluster.command_about(leader, group.clone(), command);
    cluster.run(300);
    cluster.answer(id).expect("it is answered").clone()
}

fn promote(cluster: &mut Cluster, group: &GroupName, m: usize) {
    let node = cluster.name(m);
    order(cluster, group, Command::Promote { node, dry_run: false }).expect("it is done");
    cluster.run_until(3000, "the new master", |c| c.masters_of(group) == [m]);
}

fn masters(cluster: &Cluster) -> (Vec<usize>, Vec<usize>) {
    (cluster.masters(), cluster.masters_of(&web()))
}

/// What the leader waits for in a group, in words.
fn waits(cluster: &Cluster, group: &GroupName) -> Vec<String> {
    let view = cluster.view(cluster.leader().expect("someone leads"));
    let of_group = view.groups.iter().find(|g| g.name == *group).map(|g| g.waiting.clone());
    of_group.unwrap_or(view.waiting).iter().map(|w| w.reason.to_string()).collect()
}

/// How often a master was told to demote since last forgotten, for what.
fn drops(cluster: &Cluster) -> Vec<DropReason> {
    let all = (0..cluster.machines.len()).flat_map(|m| cluster.seen(m).events.clone());
    all.filter_map(|event| match event {
        Event::MasterDropped { reason, .. } => Some(reason),
        _ => None,
    })
    .collect()
}

// --- the choice ---

#[test]
fn the_more_preferred_node_is_chosen_whatever_its_uptime() {
    let mut cluster = off(3);
    prefer(&mut cluster, &MAIN, &[500, 501, 499]);
    prefer(&mut cluster, &web(), &[500, 500, 1000]);
    start(&mut cluster);
    assert_eq!(masters(&cluster), (vec![1], vec![2]));
}

#[test]
fn the_score_comes_first_unless_it_is_close() {
    let scored = |slack: u64| {
        let mut cluster = off(2);
        prefer(&mut cluster, &MAIN, &[900, 100]);
        agree(&mut cluster, &MAIN, &PlacementPolicy::new(BTreeSet::new(), None, None, slack));
        cluster.ending(0, "db", Hook::Status, scores(1_000_000));
        cluster.ending(1, "db", Hook::Status, scores(1_000_400));
        start(&mut cluster);
        cluster.masters()
    };
    assert_eq!(scored(0), [1], "the newest place in the log");
    assert_eq!(scored(399), [1]);
    assert_eq!(scored(400), [0], "so close counts as equal");
}

#[test]
fn a_node_of_preference_0_is_never_master() {
    let mut cluster = two();
    prefer(&mut cluster, &MAIN, &[0, 500]);
    start(&mut cluster);
    assert_eq!(cluster.masters(), [1]);
    let name = cluster.name(0);
    let refused = order(&mut cluster, &MAIN, Command::Promote { node: name.clone(), dry_run: false });
    assert_eq!(refused, Err(NotNowReason::NeverHere { node: name }.into()));
    assert!(cluster.is_well(), "that nobody could take over is as configured: {:?}", cluster.concerns());
    cluster.lose_power(1);
    cluster.run(60_000);
    assert_eq!(masters(&cluster), (vec![], vec![0]), "web is not bound to it");
    assert_eq!(
        waits(&cluster, &MAIN),
        ["no runner can be promoted: a is never master (preference = 0), b is Master"]
    );
}

#[test]
fn a_master_whose_preference_becomes_0_goes_where_another_can_be() {
    let mut cluster = two();
    start(&mut cluster);
    promote(&mut cluster, &MAIN, 0);
    cluster.forget_events();
    prefer(&mut cluster, &MAIN, &[0, 0]);
    reconfigure(&mut cluster, 1);
    cluster.run(300);
    reconfigure(&mut cluster, 0);
    cluster.run(3000);
    assert_eq!(cluster.masters(), [0], "nobody could take its place");
    prefer(&mut cluster, &MAIN, &[0, 1]);
    reconfigure(&mut cluster, 1);
    cluster.run_until(3000, "the other", |c| c.masters() == [1]);
    assert_eq!(drops(&cluster), [DropReason::NeverHere]);
}

#[test]
fn masterships_are_spread_where_nothing_else_decides() {
    let mut cluster = off(2);
    start(&mut cluster);
    let (main, web) = masters(&cluster);
    assert_ne!(main, web);
}

// --- apart ---

#[test]
fn apart_is_kept_where_it_can_be_and_is_a_wish() {
    let mut cluster = two();
    prefer(&mut cluster, &MAIN, &[900, 100]);
    prefer(&mut cluster, &web(), &[900, 100]);
    agree(&mut cluster, &web(), &apart(&MAIN, None));
    start(&mut cluster);
    assert_eq!(masters(&cluster), (vec![0], vec![1]), "although a is preferred");
    cluster.lose_power(0);
    cluster.run_until(10_000, "both on one", |c| masters(c) == (vec![1], vec![1]));
    cluster.start(0);
    cluster.run(60_000);
    assert_eq!(masters(&cluster), (vec![1], vec![1]), "without failback nothing moves back");
}

#[test]
fn after_a_failure_one_goes_back_and_the_other_never_moves() {
    let mut cluster = two();
    prefer(&mut cluster, &MAIN, &[900, 100]);
    prefer(&mut cluster, &web(), &[100, 900]);
    agree(&mut cluster, &MAIN, &apart(&web(), Some(10)));
    agree(&mut cluster, &web(), &apart(&MAIN, Some(10)));
    start(&mut cluster);
    assert_eq!(masters(&cluster), (vec![0], vec![1]));
    cluster.lose_power(0);
    cluster.run_until(10_000, "both on one", |c| masters(c) == (vec![1], vec![1]));
    cluster.run(3000);
    cluster.start(0);
    cluster.forget_events();
    cluster.run(9500);
    assert_eq!(masters(&cluster), (vec![1], vec![1]), "not before it was ready for so long");
    cluster.run_until(3000, "main is back", |c| masters(c) == (vec![0], vec![1]));
    cluster.run(120_000);
    assert_eq!(masters(&cluster), (vec![0], vec![1]));
    assert_eq!(drops(&cluster), [DropReason::Preferred { node: cluster.name(0) }], "one move in all");
}

#[test]
fn two_that_want_the_same_node_and_to_be_apart_do_not_swap() {
    let mut cluster = two();
    for group in [MAIN, web()] {
        prefer(&mut cluster, &group, &[900, 100]);
        let other = if group.is_main() { web() } else { MAIN };
        agree(&mut cluster, &group, &apart(&other, Some(2)));
    }
    start(&mut cluster);
    cluster.forget_events();
    cluster.run(120_000);
    assert_eq!(drops(&cluster), [], "neither may go where the other is");
    // Both were driven to one node: of the two that could go back one does, and then the other may not.
    cluster.lose_power(0);
    cluster.run_until(10_000, "both on one", |c| masters(c) == (vec![1], vec![1]));
    cluster.start(0);
    cluster.run(120_000);
    assert_eq!(masters(&cluster), (vec![0], vec![1]));
    assert_eq!(drops(&cluster).len(), 1);
}

// --- together ---

#[test]
fn a_group_is_promoted_where_and_after_the_one_that_it_goes_together_with() {
    let mut cluster = two();
    prefer(&mut cluster, &MAIN, &[100, 900]);
    prefer(&mut cluster, &web(), &[900, 100]);
    agree(&mut cluster, &web(), &together(&MAIN));
    cluster.slow(1, "db", Hook::Promote);
    cluster.start_all();
    let named = |c: &Cluster| c.leader().is_some() && c.record().main.master.is_some();
    cluster.run_until(10_000, "a master of main", named);
    cluster.run(5000);
    assert!(cluster.record().group(&web()).master.is_none(), "main is not promoted yet");
    assert_eq!(
        waits(&cluster, &web()),
        ["the group goes together with main, and waits until that one has a promoted master"]
    );
    cluster.finish(1, "db", Hook::Promote, HookEnd::Done);
    cluster.run_until(3000, "both", |c| masters(c) == (vec![1], vec![1]));
}

#[test]
fn it_follows_a_switch_over_and_is_demoted_first_and_promoted_last() {
    let mut cluster = two();
    agree(&mut cluster, &web(), &together(&MAIN));
    start(&mut cluster);
    let [from] = cluster.masters()[..] else { panic!("one master of main") };
    let to = 1 - from;
    (0..2).for_each(|m| drop(cluster.began(m)));
    cluster.slow(from, "nginx", Hook::Demote);
    let node = cluster.name(to);
    let rehearsed = order(&mut cluster, &MAIN, Command::Promote { node: node.clone(), dry_run: true });
    let steps = rehearsed.expect("it can be done").steps;
    let along = "group web goes along: it is demoted before, and promoted after".to_owned();
    assert!(steps.contains(&along), "{steps:?}");
    order(&mut cluster, &MAIN, Command::Promote { node, dry_run: false }).expect("it is done");
    cluster.run(2000);
    assert_eq!(cluster.promoted(from).len(), 2, "main is promoted while web demotes");
    let name = cluster.name(from);
    assert_eq!(
        waits(&cluster, &MAIN),
        [format!(
            "{name} is to demote, after the group web, which goes together with this one: {} is to be master",
            cluster.name(to)
        )]
    );
    cluster.finish(from, "nginx", Hook::Demote, HookEnd::Done);
    cluster.run_until(3000, "both", |c| masters(c) == (vec![to], vec![to]));
    assert_eq!(cluster.began(from), ["nginx.demote", "db.demote"]);
    assert_eq!(cluster.began(to), ["db.promote", "nginx.promote"]);
}

#[test]
fn it_goes_nowhere_else_and_status_says_why() {
    let mut cluster = two();
    agree(&mut cluster, &web(), &together(&MAIN));
    start(&mut cluster);
    let [at] = cluster.masters()[..] else { panic!("one master of main") };
    cluster.ending(at, "nginx", Hook::Status, fails());
    cluster.run_until(15_000, "web is down", |c| c.masters_of(&web()).is_empty());
    cluster.run(3000);
    assert_eq!(masters(&cluster), (vec![at], vec![]), "main waits for nothing of it");
    let name = cluster.name(at);
    assert_eq!(
        waits(&cluster, &web()),
        [format!(
            "the group goes together with main, whose master is {name}: it cannot be promoted there, and is not promoted elsewhere"
        )]
    );
    let node = cluster.name(1 - at);
    let refused = order(&mut cluster, &web(), Command::Promote { node: node.clone(), dry_run: false });
    assert_eq!(refused, Err(NotNowReason::GoesTogether { group: web(), with: MAIN, node }.into()));
    // An operator moves the other, and it follows.
    promote(&mut cluster, &MAIN, 1 - at);
    cluster.run_until(3000, "both", |c| masters(c) == (vec![1 - at], vec![1 - at]));
}

#[test]
fn when_the_one_fails_both_come_down_at_once_and_it_waits_for_nothing_of_the_other() {
    let mut cluster = two();
    agree(&mut cluster, &web(), &together(&MAIN));
    start(&mut cluster);
    let [at] = cluster.masters()[..] else { panic!("one master of main") };
    cluster.slow(at, "nginx", Hook::Demote);
    cluster.slow(at, "db", Hook::Status);
    cluster.run_until(12_000, "a status", |c| c.machines[at].hooks.values().any(|r| r.service == "db"));
    cluster.finish(at, "db", Hook::Status, fails());
    let took = cluster.run_until(1000, "main elsewhere", |c| c.masters() == [1 - at]);
    assert!(took <= 20, "{took} ms");
    let demotes =
        cluster.machines[at].hooks.values().any(|r| (r.service.as_str(), r.hook) == ("nginx", Hook::Demote));
    assert!(demotes, "web was told to come down at once");
    assert_eq!(cluster.masters_of(&web()), [at], "and takes its time");
    cluster.finish(at, "nginx", Hook::Demote, HookEnd::Done);
    cluster.run_until(1000, "both", |c| masters(c) == (vec![1 - at], vec![1 - at]));
}

#[test]
fn a_clean_stop_takes_them_down_in_order() {
    let mut cluster = two();
    agree(&mut cluster, &web(), &together(&MAIN));
    start(&mut cluster);
    let [at] = cluster.masters()[..] else { panic!("one master of main") };
    let _ = cluster.began(at);
    cluster.slow(at, "nginx", Hook::Demote);
    cluster.shut_down(at);
    cluster.run(1500);
    assert!(cluster.promoted(at).contains(&"db"), "main stays while web demotes");
    cluster.finish(at, "nginx", Hook::Demote, HookEnd::Done);
    cluster.run_until(3000, "both", |c| masters(c) == (vec![1 - at], vec![1 - at]));
    let began: Vec<String> = cluster.began(at).into_iter().filter(|h| h.ends_with("demote")).collect();
    assert_eq!(began, ["nginx.demote", "db.demote"]);
}

#[test]
fn a_stop_by_hand_of_the_one_takes_both_down_in_order() {
    let mut cluster = two();
    agree(&mut cluster, &web(), &together(&MAIN));
    start(&mut cluster);
    let [at] = cluster.masters()[..] else { panic!("one master of main") };
    let _ = cluster.began(at);
    let name = cluster.name(at);
    order(&mut cluster, &MAIN, Command::Stop(name)).expect("it is done");
    cluster.run_until(3000, "both", |c| masters(c) == (vec![1 - at], vec![1 - at]));
    let began: Vec<String> = cluster.began(at).into_iter().filter(|h| h.ends_with("demote")).collect();
    assert_eq!(began, ["nginx.demote", "db.demote"]);
}

#[test]
fn groups_of_two_configurations_that_go_together_in_a_circle_go_by_themselves() {
    let mut cluster = two();
    agree(&mut cluster, &web(), &together(&MAIN));
    agree(&mut cluster, &MAIN, &together(&web()));
    start(&mut cluster);
    cluster.run(10_000);
    assert!(cluster.all_masters().values().all(|masters| masters.len() == 1));
}

// --- failback ---

#[test]
fn failback_never_undoes_a_promote_until_elect_or_a_failover() {
    let mut cluster = off(3);
    prefer(&mut cluster, &MAIN, &[900, 100, 100]);
    agree(&mut cluster, &MAIN, &failback(5));
    start(&mut cluster);
    assert_eq!(cluster.masters(), [0]);
    promote(&mut cluster, &MAIN, 1);
    cluster.run(60_000);
    assert_eq!(cluster.masters(), [1], "the operator's word stands");
    // It stands whoever leads.
    let leader = cluster.leader().expect("someone leads");
    if leader != 1 {
        cluster.lose_power(leader);
        cluster.run(3000);
        cluster.start(leader);
    }
    cluster.run(30_000);
    assert_eq!(cluster.masters(), [1]);
    order(&mut cluster, &MAIN, Command::Elect).expect("it is done");
    cluster.run_until(10_000, "it goes back", |c| c.masters() == [0]);

    promote(&mut cluster, &MAIN, 1);
    cluster.lose_power(1);
    cluster.run_until(10_000, "a failover", |c| c.masters().iter().any(|m| *m != 1));
    cluster.run_until(20_000, "where it is preferred", |c| c.masters() == [0]);
}

#[test]
fn a_promote_of_the_master_says_that_it_is_to_stay() {
    let mut cluster = two();
    prefer(&mut cluster, &MAIN, &[900, 100]);
    agree(&mut cluster, &MAIN, &failback(20));
    cluster.ending(0, "db", Hook::Start, fails());
    cluster.start_all();
    cluster.run_until(10_000, "the other", |c| c.masters() == [1]);
    promote(&mut cluster, &MAIN, 1);
    cluster.ending(0, "db", Hook::Start, HookEnd::Done);
    cluster.run(150_000);
    assert_eq!(cluster.masters(), [1]);
}

#[test]
fn it_does_not_go_back_to_where_it_failed_of_late() {
    let mut cluster = two();
    prefer(&mut cluster, &MAIN, &[900, 100]);
    agree(&mut cluster, &MAIN, &failback(2));
    start(&mut cluster);
    cluster.ending(0, "db", Hook::Status, fails());
    cluster.run_until(15_000, "the other", |c| c.masters() == [1]);
    cluster.ending(0, "db", Hook::Status, HookEnd::Done);
    // It has recovered after 10 s; failure_promotion_timeout is 60 s.
    cluster.run(55_000);
    assert_eq!(cluster.masters(), [1]);
    cluster.run_until(10_000, "it goes back", |c| c.masters() == [0]);
}

#[test]
fn patience_counts_from_when_the_node_is_ready_again() {
    let mut cluster = two();
    prefer(&mut cluster, &MAIN, &[900, 100]);
    agree(&mut cluster, &MAIN, &failback(20));
    start(&mut cluster);
    cluster.shut_down(0);
    cluster.run_until(5000, "the other", |c| c.masters() == [1]);
    cluster.start(0);
    cluster.run(15_000);
    cluster.shut_down(0);
    cluster.run(1500);
    cluster.start(0);
    cluster.run(15_000);
    assert_eq!(cluster.masters(), [1], "ready for 30 s in all, and never for 20 s");
    cluster.run_until(10_000, "it goes back", |c| c.masters() == [0]);
}

#[test]
fn failback_moves_one_group_at_a_time_and_what_goes_together_moves_along() {
    let mut cluster = two();
    let mail: GroupName = "mail".parse().expect("it is a name");
    for m in [0, 1] {
        cluster.machines[m].settings.groups.insert(mail.clone());
        cluster.group_folder(m, &mail, &[service("postfix")]);
    }
    for group in [&MAIN, &mail] {
        prefer(&mut cluster, group, &[900, 100]);
        agree(&mut cluster, group, &failback(5));
    }
    agree(&mut cluster, &web(), &together(&MAIN));
    start(&mut cluster);
    cluster.shut_down(0);
    cluster.run_until(10_000, "all on b", |c| c.all_masters().values().all(|masters| *masters == [1]));
    cluster.slow(1, "db", Hook::Demote);
    cluster.start(0);
    cluster.run_until(10_000, "main demotes", |c| {
        c.machines[1].hooks.values().any(|r| (r.service.as_str(), r.hook) == ("db", Hook::Demote))
    });
    cluster.run(5000);
    assert_eq!(cluster.masters_of(&mail), [1], "mail waits until main has moved");
    cluster.finish(1, "db", Hook::Demote, HookEnd::Done);
    cluster.run_until(5000, "all are back", |c| c.all_masters().values().all(|masters| *masters == [0]));
}

#[test]
fn a_move_is_given_up_when_another_group_comes_there_that_is_to_be_apart() {
    let mut cluster = two();
    let mail: GroupName = "mail".parse().expect("it is a name");
    cluster.machines[0].settings.groups.insert(mail.clone());
    cluster.group_folder(0, &mail, &[service("postfix")]);
    prefer(&mut cluster, &MAIN, &[900, 100]);
    agree(&mut cluster, &MAIN, &apart(&mail, Some(5)));
    agree(&mut cluster, &web(), &together(&MAIN));
    start(&mut cluster);
    order(&mut cluster, &mail, Command::Demote).expect("it is done");
    promote(&mut cluster, &MAIN, 1);
    cluster.run_until(5000, "web follows", |c| masters(c) == (vec![1], vec![1]));

    cluster.slow(1, "nginx", Hook::Demote);
    // What an operator has wanted is undone by `elect`: main may go back, and web is demoted before.
    order(&mut cluster, &MAIN, Command::Elect).expect("it is done");
    cluster.run_until(20_000, "web demotes", |c| {
        c.machines[1].hooks.values().any(|r| (r.service.as_str(), r.hook) == ("nginx", Hook::Demote))
    });
    order(&mut cluster, &mail, Command::Elect).expect("it is done");
    cluster.run_until(5000, "mail is back", |c| c.masters_of(&mail) == [0]);
    cluster.finish(1, "nginx", Hook::Demote, HookEnd::Done);
    cluster
        .run_until(5000, "web is promoted again where main has stayed", |c| masters(c) == (vec![1], vec![1]));
    cluster.run(10_000);
    assert_eq!(masters(&cluster), (vec![1], vec![1]));
    let moved = |reason: &DropReason| matches!(reason, DropReason::Preferred { .. });
    assert!(!drops(&cluster).iter().any(moved), "main was never told to go");
}

/// The record names a master that nobody has told so: its leader died first. The next one knows better when that record counts.
#[test]
fn who_an_earlier_leader_has_named_is_told_at_once_that_it_is_not_wanted_any_more() {
    let mut cluster = two();
    cluster.machines[2].settings.priority = 10;
    prefer(&mut cluster, &MAIN, &[900, 100]);
    agree(&mut cluster, &web(), &together(&MAIN));
    start(&mut cluster);
    assert_eq!((cluster.leader(), masters(&cluster)), (Some(2), (vec![0], vec![0])));
    order(&mut cluster, &web(), Command::Demote).expect("it is done");
    cluster.run_until(5000, "no web", |c| c.masters_of(&web()).is_empty());

    let a = cluster.id(0);
    cluster.command_about(2, web(), Command::Elect);
    let named = |c: &Cluster, m: usize| {
        let durable = c.machines[m].disk.synced.as_ref();
        durable.is_some_and(|durable| durable.record.group(&web()).master.is_some())
    };
    cluster.run_until(5000, "the record names a again", |c| named(c, 0) && named(c, 1));
    cluster.kill_daemon(2, None);
    cluster.ending(0, "db", Hook::Status, fails());
    cluster.input(0, Input::ProcessEnded { service: "db".to_owned() });
    cluster.run_until(20_000, "both on b", |c| masters(c) == (vec![1], vec![1]));
    let told = cluster.sent().iter().filter_map(|(from, message)| match &message.body {
        Body::Answer(answer) if *from == 1 && message.to.is_some_and(|to| to.node == a) => {
            answer.others.get(&web()).filter(|verdict| verdict.lease.is_some())
        }
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert!(!told.is_empty(), "the record that counts names it");
    let both = |verdict: &&Verdict| verdict.release == verdict.lease.map(|lease| lease.epoch);
    assert!(told.iter().all(both), "a lease, and nothing of its end: {told:?}");
}

// --- who says what ---

#[test]
fn an_elector_without_groups_leads_by_what_runners_say() {
    let mut cluster = two();
    cluster.machines[2].settings.priority = 10;
    prefer(&mut cluster, &MAIN, &[100, 900]);
    agree(&mut cluster, &web(), &together(&MAIN));
    cluster.machines[2].settings.placement.clear();
    start(&mut cluster);
    assert_eq!(cluster.leader(), Some(2));
    assert_eq!(masters(&cluster), (vec![1], vec![1]));
}

#[test]
fn what_runners_disagree_on_is_not_kept_and_status_names_them() {
    let mut cluster = two();
    prefer(&mut cluster, &MAIN, &[900, 100]);
    prefer(&mut cluster, &web(), &[100, 900]);
    agree(&mut cluster, &web(), &together(&MAIN));
    placement(&mut cluster, 1, &web()).policy = PlacementPolicy::default();
    start(&mut cluster);
    assert_eq!(masters(&cluster), (vec![0], vec![1]), "preference is each node's own");
    let differs = Concern::PlacementDiffers {
        one: cluster.name(0),
        other: cluster.name(1),
        keys: vec!["together_with"],
    };
    let of_web = Concern::OfGroup { group: web(), concern: Box::new(differs) };
    assert!(cluster.concerns().expect("someone leads").contains(&of_web), "{:?}", cluster.concerns());
    assert_eq!(
        of_web.to_string(),
        "group web: a and b disagree on together_with of this group: none of them is kept until their configurations agree"
    );
    placement(&mut cluster, 1, &web()).policy = together(&MAIN);
    reconfigure(&mut cluster, 1);
    cluster.run_until(3000, "it follows", |c| masters(c) == (vec![0], vec![0]));
    cluster.run(500);
    assert!(cluster.is_well(), "{:?}", cluster.concerns());
}
