//! Several groups of services in one cluster, each with a master of its own (R14, and R4 to R9 for each group).

use koi_core::concern::Concern;
use koi_core::group::GroupName;
use koi_core::io::{Answered, Command, CommandError, Input};
use koi_core::message::{Body, GROUPS_RULE};
use koi_core::reason::{NotNowReason, UnsafeReason};
use koi_core::types::{Hook, NodeState};
use koi_sim::scripted::{Cluster, fails, service};

fn web() -> GroupName {
    "web".parse().expect("it is a name")
}

/// Three machines with a service `db` in `main` and `nginx` in the group `web`; none of them is started.
fn off() -> Cluster {
    let mut cluster = Cluster::off(3);
    for m in 0..3 {
        cluster.folder(m, &[service("db")]);
        cluster.machines[m].settings.groups.insert(web());
        cluster.group_folder(m, &web(), &[service("nginx")]);
    }
    cluster
}

/// The same, started, with a master in each group.
fn started() -> Cluster {
    let mut cluster = off();
    cluster.start_all();
    cluster.run_until(10_000, "two masters", has_both);
    cluster.run(500);
    cluster
}

/// The same, with `main` on the first machine and `web` on the second.
fn apart() -> Cluster {
    let mut cluster = started();
    promote(&mut cluster, &GroupName::MAIN, 0);
    promote(&mut cluster, &web(), 1);
    cluster
}

fn has_both(cluster: &Cluster) -> bool {
    cluster.all_masters().values().all(|masters| masters.len() == 1) && cluster.is_well()
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
    cluster.run_until(3000, "the new master", |c| c.masters_of(group) == [m] && c.is_well());
}

fn epoch(cluster: &Cluster, group: &GroupName) -> u64 {
    cluster.record().group(group).master.as_ref().expect("there is a master").epoch.0
}

#[test]
fn each_group_has_a_master_of_its_own_and_epochs_are_counted_together() {
    let mut cluster = apart();
    let (main, other) = (epoch(&cluster, &GroupName::MAIN), epoch(&cluster, &web()));
    assert_ne!(other, main, "an epoch is given once, whatever the group");
    assert_eq!(cluster.promoted(0), ["db"]);
    assert_eq!(cluster.promoted(1), ["nginx"]);
    let call = cluster.seen(1).calls.iter().rev().find(|call| call.hook == Hook::Promote).cloned();
    let call = call.expect("it was promoted");
    assert_eq!((call.group, call.epoch.0), (web(), other));
    let told = call.master.expect("hooks hear who is master of their group");
    assert_eq!(told.0, cluster.name(1));
    cluster.run(20_000);
    assert_eq!((cluster.masters(), cluster.masters_of(&web())), (vec![0], vec![1]), "nothing moves");
}

#[test]
fn a_service_that_fails_takes_down_its_group_there_and_no_other() {
    let mut cluster = started();
    promote(&mut cluster, &GroupName::MAIN, 0);
    promote(&mut cluster, &web(), 0);
    let before = epoch(&cluster, &GroupName::MAIN);
    cluster.ending(0, "nginx", Hook::Status, fails());
    cluster.run_until(15_000, "web elsewhere", |c| matches!(c.masters_of(&web())[..], [m] if m != 0));
    assert_eq!((cluster.promoted(0), epoch(&cluster, &GroupName::MAIN)), (vec!["db"], before));
    let leader = cluster.leader().expect("someone leads");
    let view = cluster.view(leader);
    let failed = Concern::Failed { node: cluster.name(0) };
    assert!(
        view.concerns.contains(&Concern::OfGroup { group: web(), concern: Box::new(failed) }),
        "{view:?}"
    );
    assert_eq!(view.groups[0].states[&cluster.id(0)], NodeState::Failed);
    assert_eq!(cluster.node_state(0), NodeState::Master, "its state in `main` is what it was");
    assert_eq!(order(&mut cluster, &GroupName::MAIN, Command::Elect).map(|_| ()), Ok(()));
}

#[test]
fn a_machine_that_is_lost_loses_all_its_masterships() {
    let mut cluster = started();
    let leader = cluster.leader().expect("someone leads");
    let lost = (leader + 1) % 3;
    promote(&mut cluster, &GroupName::MAIN, lost);
    promote(&mut cluster, &web(), lost);
    cluster.lose_power(lost);
    cluster.run_until(5000, "both elsewhere", |c| {
        let elsewhere = |masters: &Vec<usize>| matches!(masters[..], [m] if m != lost);
        c.all_masters().values().all(elsewhere)
    });
}

#[test]
fn a_change_of_leader_moves_no_group() {
    let mut cluster = started();
    let leader = cluster.leader().expect("someone leads");
    promote(&mut cluster, &GroupName::MAIN, (leader + 1) % 3);
    promote(&mut cluster, &web(), (leader + 2) % 3);
    let (settled, moved) = (cluster.all_masters(), cluster.demotes);
    cluster.lose_power(leader);
    cluster.run_until(5000, "another leader", |c| c.leader().is_some_and(|l| l != leader));
    cluster.run(3000);
    assert_eq!((cluster.all_masters(), cluster.demotes), (settled, moved));
}

#[test]
fn manual_mode_stops_and_recovery_are_of_one_group() {
    let mut cluster = apart();
    order(&mut cluster, &web(), Command::Demote).expect("it is done");
    cluster.run_until(2000, "no master of web", |c| c.masters_of(&web()).is_empty());
    assert_eq!(cluster.masters(), [0]);
    let record = cluster.record();
    assert_eq!((record.main.manual, record.group(&web()).manual), (false, true));
    order(&mut cluster, &web(), Command::Elect).expect("it is done");
    cluster.run_until(3000, "a master of web", |c| c.masters_of(&web()).len() == 1);

    let name = cluster.name(0);
    order(&mut cluster, &web(), Command::Stop(name.clone())).expect("it is done");
    cluster.run(1000);
    assert_eq!(cluster.promoted(0), ["db"], "main runs on where web was stopped");
    assert!(!cluster.machines[0].services["nginx"].started, "web is down there");
    order(&mut cluster, &web(), Command::Start(name)).expect("it is done");
    cluster.run_until(3000, "web runs there again", |c| c.machines[0].services["nginx"].started);

    let unknown = order(&mut cluster, &"mail".parse().expect("a name"), Command::Elect);
    let known = vec![GroupName::MAIN, web()];
    let group = "mail".parse().expect("a name");
    assert_eq!(unknown, Err(NotNowReason::UnknownGroup { group, known }.into()));
}

#[test]
fn maintenance_is_the_clusters_and_every_mastership_outlives_it() {
    let mut cluster = apart();
    cluster.order(Command::Maintenance(true));
    cluster.run(500);
    let began = (cluster.seen(0).calls.len(), cluster.seen(1).calls.len());
    cluster.run(15_000);
    let since = (cluster.seen(0).calls.len(), cluster.seen(1).calls.len());
    assert_eq!(since, began, "no hook runs in any group");
    let flags = |c: &Cluster| c.record().masters().map(|(_, m)| m.in_maintenance).collect::<Vec<_>>();
    assert_eq!(flags(&cluster), [true, true]);
    cluster.order(Command::Maintenance(false));
    cluster.run(3000);
    assert_eq!(flags(&cluster), [false, false]);
    assert_eq!((cluster.masters(), cluster.masters_of(&web())), (vec![0], vec![1]));
}

#[test]
fn a_guardians_word_on_one_group_frees_that_one() {
    let mut cluster = started();
    let leader = cluster.leader().expect("someone leads");
    let lost = (leader + 1) % 3;
    promote(&mut cluster, &GroupName::MAIN, lost);
    promote(&mut cluster, &web(), lost);
    cluster.kill_daemon(lost, Some(false));
    cluster.run(50);
    cluster.machines[lost].take_down_group(&web());
    cluster.obituary_of(lost, &web());
    let took =
        cluster.run_until(2000, "web elsewhere", |c| matches!(c.masters_of(&web())[..], [m] if m != lost));
    assert!(took < 500, "its word is enough: {took} ms");
    assert_eq!(cluster.masters(), [lost], "main is still promoted there, and nobody else is");
    cluster.machines[lost].take_down();
    cluster.obituary(lost, true);
    cluster.run_until(500, "main elsewhere", |c| matches!(c.masters()[..], [m] if m != lost));
}

#[test]
fn on_a_node_that_answers_confirm_down_frees_only_what_is_unclean() {
    let mut cluster = started();
    let leader = cluster.leader().expect("someone leads");
    let master = (leader + 1) % 3;
    promote(&mut cluster, &GroupName::MAIN, master);
    promote(&mut cluster, &web(), master);
    let name = cluster.name(master);
    let refused = order(&mut cluster, &GroupName::MAIN, Command::ConfirmDown(name.clone()));
    assert_eq!(refused, Err(CommandError::Unsafe(UnsafeReason::NodeAnswers { node: name.clone() })));
    // What is wrong with nginx cannot be stopped.
    for hook in [Hook::Demote, Hook::Stop] {
        cluster.ending(master, "nginx", hook, fails());
    }
    cluster.ending(master, "nginx", Hook::Status, fails());
    cluster.run_until(15_000, "web waits", |c| {
        c.record().group(&web()).master.as_ref().is_some_and(|m| m.unclean)
    });
    assert_eq!(cluster.masters_of(&web()), [master]);
    let main = epoch(&cluster, &GroupName::MAIN);
    cluster.split_brain_expected = true; // the operator's word is not true here
    order(&mut cluster, &GroupName::MAIN, Command::ConfirmDown(name)).expect("it is believed");
    cluster.run(1000);
    assert_eq!(epoch(&cluster, &GroupName::MAIN), main, "main was healthy, and stays where it is");
    assert_ne!(cluster.record().group(&web()).master.as_ref().map(|m| m.node), Some(cluster.id(master)));
}

#[test]
fn an_elector_that_knows_no_groups_holds_up_all_but_main() {
    let mut cluster = off();
    cluster.machines[2].set_groupless(true);
    cluster.start_all();
    cluster.run_until(10_000, "a master of main", |c| c.masters().len() == 1);
    cluster.run(3000);
    assert_eq!(cluster.masters_of(&web()), Vec::<usize>::new());
    let leader = cluster.leader().expect("someone leads");
    if leader != 2 {
        let waiting: Vec<String> =
            cluster.view(leader).groups[0].waiting.iter().map(|w| w.reason.to_string()).collect();
        assert_eq!(waiting, ["not every elector has said that it knows groups of services: c"]);
        let refused = order(&mut cluster, &web(), Command::Elect);
        let nodes = vec![cluster.name(2)];
        assert_eq!(refused, Err(NotNowReason::GroupsUnknown { nodes }.into()));
    }
    // It is upgraded.
    cluster.kill_daemon(2, Some(true));
    cluster.machines[2].take_down();
    cluster.machines[2].set_groupless(false);
    cluster.start(2);
    cluster.run_until(10_000, "a master of web", |c| c.masters_of(&web()).len() == 1);
    assert_eq!(cluster.record().needs, GROUPS_RULE);
}

#[test]
fn nobody_votes_for_an_elector_that_knows_no_groups_where_there_are_some() {
    let mut cluster = apart();
    // One was downgraded by mistake.
    let leader = cluster.leader().expect("someone leads");
    let old = (0..3).find(|m| *m != leader).expect("there are three");
    let third = (0..3).find(|m| *m != leader && *m != old).expect("there are three");
    cluster.shut_down(old);
    cluster.run(1500);
    cluster.machines[old].set_groupless(true);
    cluster.start(old);
    cluster.run(3000);
    cluster.lose_power(leader);
    cluster.run(20_000);
    assert_eq!(
        cluster.leader(),
        None,
        "it is not elected, and what it keeps of the record counts for nobody"
    );
    assert_eq!(cluster.masters_of(&web()).len(), 0, "nothing is promoted without a leader");
    cluster.shut_down(old);
    cluster.run(1500);
    cluster.machines[old].set_groupless(false);
    cluster.start(old);
    cluster.run_until(10_000, "a leader", |c| [Some(old), Some(third)].contains(&c.leader()));
    cluster.run_until(10_000, "a master of each group", |c| c.all_masters().values().all(|m| m.len() == 1));
}

#[test]
fn a_part_of_the_record_is_no_copy_of_it() {
    let mut cluster = apart();
    let leader = cluster.leader().expect("someone leads");
    let old = (0..3).find(|m| *m != leader).expect("there are three");
    cluster.shut_down(old);
    cluster.run(1500);
    cluster.machines[old].set_groupless(true);
    cluster.start(old);
    cluster.run(3000);
    cluster.shut_down(old);
    cluster.run(1500);
    cluster.machines[old].set_groupless(false);
    let stripped = cluster.machines[old].disk.synced.as_ref().map(|d| (d.record.others.len(), d.rules));
    assert_eq!(stripped, Some((0, 0)), "what an older koi keeps");
    let before = cluster.sent().len();
    cluster.machines[old].disk_delay = 3_000_000;
    cluster.start(old);
    cluster.run(10_000);
    let own = cluster.sent()[before..].iter().filter(|(m, _)| *m == old);
    let first = own.filter_map(|(_, message)| match &message.body {
        Body::Report(report) => Some(report.durable.n),
        _ => None,
    });
    assert_eq!(
        first.collect::<Vec<_>>().first(),
        Some(&0),
        "it does not claim to have what it has only in part"
    );
    let whole = cluster.machines[old].disk.synced.as_ref().map(|d| d.record.clone());
    assert_eq!(whole.as_ref(), Some(&cluster.record()), "the leader has said the whole once more");
}

#[test]
fn a_group_that_is_not_configured_any_more_is_taken_down_in_order() {
    let mut cluster = apart();
    let mut settings = cluster.machines[1].settings.clone();
    settings.groups.clear();
    cluster.machines[1].settings = settings.clone();
    cluster.forget_events();
    let _ = cluster.began(1);
    cluster.input(1, Input::Configure(Box::new(settings)));
    cluster.run_until(3000, "web elsewhere", |c| matches!(c.masters_of(&web())[..], [m] if m != 1));
    cluster.run(500);
    let hooks: Vec<String> =
        cluster.began(1).into_iter().filter(|h| h.starts_with("nginx") && !h.ends_with("status")).collect();
    assert_eq!(hooks, ["nginx.demote", "nginx.stop"]);
    let core = cluster.machines[1].core.as_ref().expect("it runs");
    assert_eq!(core.groups(), [GroupName::MAIN], "and forgotten");
    assert!(cluster.machines[1].services["db"].started, "main is as it was");
}

#[test]
fn of_a_group_that_no_node_runs_any_more_no_status_speaks() {
    let mut cluster = apart();
    for m in 0..cluster.machines.len() {
        let mut settings = cluster.machines[m].settings.clone();
        settings.groups.clear();
        cluster.machines[m].settings = settings.clone();
        cluster.input(m, Input::Configure(Box::new(settings)));
    }
    cluster.run_until(3000, "nobody has web", |c| c.masters_of(&web()).is_empty());
    cluster.run(5000);
    let leader = cluster.leader().expect("someone leads");
    let view = cluster.view(leader);
    assert!(view.healthy && view.groups.is_empty(), "{:?} {:?}", view.concerns, view.groups);
}

#[test]
fn what_a_killed_daemon_left_is_taken_down_group_by_group() {
    let mut cluster = apart();
    let held = |c: &Cluster, m: usize| c.machines[m].disk.synced.as_ref().map(|d| d.marks().count());
    assert_eq!((held(&cluster, 0), held(&cluster, 1), held(&cluster, 2)), (Some(1), Some(1), Some(0)));
    cluster.kill_daemon(1, None);
    let _ = cluster.began(1);
    cluster.start(1);
    cluster.run(200);
    let began: Vec<String> = cluster.began(1);
    assert!(began.contains(&"nginx.demote".to_owned()), "{began:?}");
    assert!(!began.contains(&"db.demote".to_owned()), "nothing of main was promoted there: {began:?}");
    cluster.run_until(20_000, "all is well", |c| c.is_well());
}

#[test]
fn a_group_that_comes_back_does_not_take_what_it_has_given_back() {
    let mut cluster = apart();
    let before = epoch(&cluster, &web());
    let with = cluster.machines[1].settings.clone();
    let mut without = with.clone();
    without.groups.clear();
    cluster.input(1, Input::Configure(Box::new(without)));
    let took =
        cluster.run_until(3000, "web elsewhere", |c| matches!(c.masters_of(&web())[..], [m] if m != 1));
    assert!(
        took < 500,
        "the leader has heard that it was given back, and does not wait for the lease: {took} ms"
    );
    cluster.run(200);
    assert_eq!(cluster.machines[1].core.as_ref().expect("it runs").groups(), [GroupName::MAIN]);

    // It is configured again, and reports at once what it has released.
    let sent = cluster.sent().len();
    cluster.input(1, Input::Configure(Box::new(with)));
    cluster.group_folder(1, &web(), &[service("nginx")]);
    cluster.run(50);
    let released = cluster.sent()[sent..].iter().filter(|(m, _)| *m == 1).find_map(|(_, message)| {
        let Body::Report(report) = &message.body else { return None };
        report.others.get(&web()).map(|summary| summary.released.0)
    });
    assert_eq!(released, Some(before), "an old lease would be refused");
}

#[test]
fn a_group_of_which_only_the_past_is_known_makes_room_for_one_that_is_there() {
    let mut cluster = started();
    // One group after the other, as operators rename them.
    for n in 0..10 {
        let group: GroupName = format!("g{n}").parse().expect("it is a name");
        for m in 0..3 {
            let mut settings = cluster.machines[m].settings.clone();
            settings.groups = [group.clone()].into();
            cluster.machines[m].settings = settings.clone();
            cluster.input(m, Input::Configure(Box::new(settings)));
            cluster.group_folder(m, &group, &[service(&format!("s{n}"))]);
        }
        cluster.run_until(5000, "a master of it", |c| c.masters_of(&group).len() == 1);
        cluster.run(300);
    }
    let record = cluster.record();
    assert!(record.others.len() < koi_core::limits::GROUPS, "{}", record.others.len());
    let bytes = minicbor::to_vec(&record).expect("it is written");
    assert_eq!(minicbor::decode::<koi_core::record::Record>(&bytes).expect("it is read"), record);
}

#[test]
fn that_groups_are_known_replaces_nothing_that_counts() {
    let mut cluster = off();
    cluster.machines[2].set_groupless(true);
    cluster.machines[0].settings.priority = 10;
    cluster.start_all();
    cluster.run_until(10_000, "a master of main", |c| c.masters().len() == 1 && c.leader() == Some(0));
    cluster.run(1000);
    // The last elector is upgraded, and the leader writes down that all know groups; nobody hears of it.
    cluster.kill_daemon(2, Some(true));
    cluster.machines[2].take_down();
    cluster.machines[2].set_groupless(false);
    let before = cluster.sent().len();
    cluster.start(2);
    let needs = |c: &Cluster, m: usize| c.machines[m].disk.synced.as_ref().map(|d| d.record.needs);
    cluster
        .run_until(5000, "it is there", |c| c.sent()[before..].iter().filter(|(m, _)| *m == 2).count() >= 3);
    for other in [1, 2] {
        cluster.cut(0, other);
    }
    cluster.run_until(400, "it is noted", |c| needs(c, 0) == Some(GROUPS_RULE));
    for other in [1, 2] {
        cluster.cut(other, 0);
    }
    // Those who go on are started anew, and have never heard of it since.
    for m in [1, 2] {
        cluster.kill_daemon(m, Some(true));
        cluster.machines[m].take_down();
        cluster.start(m);
    }
    cluster.run_until(20_000, "another leader", |c| [Some(1), Some(2)].contains(&c.leader()));
    let leader = cluster.leader().expect("someone leads");
    cluster.run_until(20_000, "another master", |c| c.masters().iter().any(|m| *m != 0));
    cluster.run(1000);
    let counted = cluster.machines[leader].core.as_ref().expect("it runs").applied().clone();
    println!("{counted:?}");
    assert_eq!(counted.needs, 0);
    // Now this leader is cut off, and the earlier one is back.
    cluster.network.cut.clear();
    let other = 3 - leader;
    for to in [0, other] {
        cluster.cut(leader, to);
        cluster.cut(to, leader);
    }
    cluster.run_until(20_000, "a third leader", |c| [Some(0), Some(other)].contains(&c.leader()));
    let third = cluster.leader().expect("someone leads");
    cluster.run(2000);
    let record = cluster.machines[third].core.as_ref().expect("it runs").applied().clone();
    println!("{record:?}");
    assert!(record.last_epoch >= counted.last_epoch, "{record:?} forgets {counted:?}");
}
