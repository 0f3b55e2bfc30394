//! Each rule, broken, must be found out. Built with `RUSTFLAGS="--cfg koi_mutants"`; `cargo xtask mutants` does that.

#![cfg(koi_mutants)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use koi_core::attributes::{AttributeWrite, AttributesVersion, WriteNumber};
use koi_core::event::Event;
use koi_core::fence::{FenceId, FenceOutcome};
use koi_core::group::GroupName;
use koi_core::io::{Command, HookRun, Input, ServiceSpec};
use koi_core::message::{Body, Message};
use koi_core::mutant::{Mutant, break_rule};
use koi_core::types::{Epoch, Hook, HookSet, ServiceState};
use koi_sim::scripted::{Cluster, Solo, fails, scores, service};
use koi_sim::survey;
use koi_sim::world::{Lacks, change};

/// Seeds that no mutant may survive.
const BUDGET: u64 = 20_000;

/// Seeds that show what few others do: a campaign that does not wait for disks, and a lease that is counted from its answer. They are tried
/// first.
const RARE: [u64; 2] = [1027, 5647];

/// Whoever looks up a rule finds what shows that it is kept.
#[test]
fn the_protocols_page_names_every_mutant() {
    let page = include_str!("../../../docs/protocol.md");
    let unnamed: Vec<_> = Mutant::ALL.into_iter().filter(|m| !page.contains(&format!("`{m:?}`"))).collect();
    assert!(unnamed.is_empty(), "docs/protocol.md does not name {unnamed:?}");
}

/// `KOI_MUTANT=NAME` hunts one only.
#[test]
fn every_broken_rule_is_found_out() {
    let only = std::env::var("KOI_MUTANT").ok();
    let wanted = |m: &Mutant| only.as_ref().is_none_or(|name| *name == format!("{m:?}"));
    let hunted: Vec<Mutant> = Mutant::ALL.into_iter().filter(wanted).collect();
    assert!(!hunted.is_empty(), "KOI_MUTANT={only:?} is none of {:?}", Mutant::ALL);
    // A mutant may trip an assertion: that is a way to be found out, and no news.
    std::panic::set_hook(Box::new(|_| {}));
    let mut survivors = Vec::new();
    for (n, mutant) in hunted.iter().enumerate() {
        let (name, at) = (format!("{mutant:?}"), format!("{:2} of {}", n + 1, hunted.len()));
        break_rule(None);
        assert_eq!(story(*mutant), None, "no rule is broken");
        break_rule(Some(*mutant));
        if let Some(seen) = story(*mutant) {
            println!("{at}  {name:24} a story     {seen}");
            continue;
        }
        let rare = || RARE.into_iter().find_map(|seed| survey::survey(seed..seed + 1, |_| {}));
        match rare().or_else(|| survey::survey(0..BUDGET, |_| {})) {
            Some(report) => {
                let violation = report.violations.first().cloned().unwrap_or_default();
                println!("{at}  {name:24} seed {:6}  {violation}", report.seed);
            }
            None => {
                println!("{at}  {name:24} SURVIVES {BUDGET} seeds");
                survivors.push(name);
            }
        }
    }
    break_rule(None);
    let _ = std::panic::take_hook();
    assert!(survivors.is_empty(), "rules that nothing misses: {survivors:?}");
}

/// What a story of its own has seen of a mutant; none: it has none, or has seen nothing. Chance shows some mutants only now and then.
fn story(mutant: Mutant) -> Option<String> {
    match mutant {
        Mutant::VoteNotDurable => a_vote_is_on_no_disk(),
        Mutant::GroupsForgotten => an_older_koi_leads(),
        Mutant::FarewellOfAnyGroup => one_group_is_left_unclean(),
        Mutant::FenceOfAnyTerm => the_word_of_a_fence_comes_a_term_later(),
        Mutant::FenceOfAnotherRun => the_word_of_a_fence_comes_a_run_later(),
        Mutant::FencedIsCandidate => a_node_is_wanted_that_is_being_fenced(),
        Mutant::AttributesForgotten => an_elector_forgets_attributes(),
        Mutant::OldEpochWrites => a_write_of_the_past_comes_late(),
        Mutant::LowerWriteTaken => a_write_is_overtaken(),
        Mutant::PromoteActsOnOld => a_lease_overtakes_the_attributes(),
        Mutant::OlderRecordHeard => a_node_leaves_whose_mastership_no_record_names_yet(),
        Mutant::ChangesHoldUp => a_slow_changed_and_an_order(),
        Mutant::CutOffLeavesTold => one_comes_back_while_its_going_is_told(),
        Mutant::EndedEarlyIsTold => a_changed_that_a_status_has_ended(),
        Mutant::OldScoresDecide => a_standby_has_come_further_since_its_last_status(),
        Mutant::WritesFirst => operators_write_while_a_master_is_lost(),
        _ => None,
    }
}

/// Three machines with `main` and the group `web`, and a master of each. `configure` does the rest before they are started.
fn two_groups(web: &GroupName, configure: impl FnOnce(&mut Cluster)) -> Cluster {
    let mut cluster = Cluster::off(3);
    for machine in 0..3 {
        cluster.folder(machine, &[service("db")]);
        cluster.machines[machine].settings.groups.insert(web.clone());
        cluster.group_folder(machine, web, &[service("nginx")]);
    }
    configure(&mut cluster);
    cluster.start_all();
    let has_both = |c: &Cluster| c.all_masters().values().all(|masters| masters.len() == 1) && c.is_well();
    cluster.run_until(10_000, "two masters", has_both);
    cluster
}

/// A cluster of two groups in which a fence is under way.
struct Fenced {
    cluster: Cluster,
    web: GroupName,
    leader: usize,
    /// It has `web`, cannot stop it, and is being turned off.
    master: usize,
    id: FenceId,
}

/// A leader has begun the fence of another node, which is heard and could not stop `web`. `main` has moved away from there.
fn being_fenced() -> Fenced {
    let web: GroupName = "web".parse().expect("it is a name");
    let mut cluster = two_groups(&web, |cluster| {
        let all: BTreeMap<String, Duration> =
            (0..3).map(|m| (cluster.name(m), Duration::from_secs(30))).collect();
        cluster.machines.iter_mut().for_each(|m| m.configure_fences(all.clone()));
    });
    cluster.run(2000);
    let leader = cluster.leader().expect("someone leads");
    let master = (leader + 1) % 3;
    for group in [&GroupName::MAIN, &web] {
        let node = cluster.name(master);
        cluster.command_about(leader, group.clone(), Command::Promote { node, dry_run: false });
        cluster.run_until(5000, "the new master", |c| c.masters_of(group) == [master] && c.is_well());
    }
    for hook in [Hook::Demote, Hook::Stop, Hook::Status] {
        cluster.ending(master, "nginx", hook, fails());
    }
    cluster.run_until(20_000, "the fence", |c| !c.seen(leader).fencing.is_empty());
    let id = cluster.seen(leader).fencing[0].id;
    Fenced { cluster, web, leader, master, id }
}

/// What comes of it when the leader's device says that the node is off, though all that it has done is over by now.
fn a_late_word(mut fenced: Fenced) -> Option<String> {
    let (leader, id, master) = (fenced.leader, fenced.id, fenced.master);
    let next = catch_unwind(AssertUnwindSafe(|| {
        fenced.cluster.input(leader, Input::FenceEnded { id, outcome: FenceOutcome::Off });
        fenced.cluster.run(20_000);
        fenced.cluster.masters_of(&fenced.web).into_iter().find(|machine| *machine != master)
    }));
    match next {
        Ok(None) => None,
        Ok(Some(machine)) => Some(format!("m{machine} has web, and m{master} has it promoted still")),
        Err(_) => Some("two have web, by the late word of a fence".to_owned()),
    }
}

/// R12: the command has taken the node off the network, its leader leads no more, and somebody puts the node back. Then that leader leads again, and
/// hears what its command has done in an earlier term.
fn the_word_of_a_fence_comes_a_term_later() -> Option<String> {
    let mut fenced = being_fenced();
    let (leader, other) = (fenced.leader, 3 - fenced.leader - fenced.master);
    let cluster = &mut fenced.cluster;
    cluster.isolate(leader);
    cluster.run_until(5000, "another leader", |c| c.leader() == Some(other));
    cluster.network.cut.clear();
    cluster.run(1000);
    cluster.isolate(other);
    cluster.run_until(5000, "the first leader leads again", |c| c.leader() == Some(leader));
    cluster.network.cut.clear();
    cluster.run(1000);
    a_late_word(fenced)
}

/// R12: the command has taken the node off the network, its koid is started anew, and somebody puts it back before the command has said so.
fn the_word_of_a_fence_comes_a_run_later() -> Option<String> {
    let mut fenced = being_fenced();
    let master = fenced.master;
    let cluster = &mut fenced.cluster;
    cluster.isolate(master);
    cluster.run(1000);
    cluster.kill_daemon(master, None);
    cluster.start(master);
    cluster.run(1000);
    cluster.network.cut.clear();
    cluster.run(1000);
    a_late_word(fenced)
}

/// R12: what is well may not move to a node that is about to go off.
fn a_node_is_wanted_that_is_being_fenced() -> Option<String> {
    let Fenced { mut cluster, leader, master, .. } = being_fenced();
    let node = cluster.name(master);
    cluster.forget_events();
    cluster.command_about(leader, GroupName::MAIN, Command::Promote { node: node.clone(), dry_run: false });
    cluster.run(5000);
    let is_it = |event: &Event| matches!(event, Event::MasterNamed { node: named, .. } if *named == node);
    let named = cluster.seen(leader).events.iter().any(is_it);
    named.then(|| format!("m{master} has main, and m{leader} is about to turn it off"))
}

/// R7, R14: a node leaves in order, and could take one group down and not the other: nobody else may have that one.
fn one_group_is_left_unclean() -> Option<String> {
    let web: GroupName = "web".parse().expect("it is a name");
    let mut cluster = two_groups(&web, |_| {});
    cluster.run(500);
    let master = cluster.masters_of(&web)[0];
    // Its mastership of main is the later one.
    for to in [(master + 1) % 3, master] {
        let node = cluster.name(to);
        let leader = cluster.leader().expect("someone leads");
        cluster.command_about(leader, GroupName::MAIN, Command::Promote { node, dry_run: false });
        cluster.run_until(5000, "main has moved", |c| c.masters() == [to] && c.is_well());
    }
    for hook in [Hook::Demote, Hook::Stop] {
        cluster.ending(master, "nginx", hook, fails());
    }
    let next = catch_unwind(AssertUnwindSafe(|| {
        cluster.shut_down(master);
        cluster.run(20_000);
        cluster.masters_of(&web).into_iter().find(|machine| *machine != master)
    }));
    match next {
        Ok(None) => None,
        Ok(Some(machine)) => Some(format!("m{machine} has web, and m{master} has left it promoted")),
        Err(_) => Some("two have web, and one of them has left it promoted".to_owned()),
    }
}

/// R14: an elector is exchanged for one that knows no groups, and the leader is lost: nobody may lead with a part of the record.
fn an_older_koi_leads() -> Option<String> {
    let web: GroupName = "web".parse().expect("it is a name");
    let mut cluster = two_groups(&web, |_| {});
    let leader = cluster.leader().expect("someone leads");
    let old = (0..3).find(|machine| *machine != leader).expect("there are three");
    cluster.shut_down(old);
    cluster.run(1500);
    cluster.machines[old].set_groupless(true);
    cluster.start(old);
    cluster.run(3000);
    cluster.lose_power(leader);
    let leads = catch_unwind(AssertUnwindSafe(|| {
        cluster.run(20_000);
        cluster.leader()
    }));
    match leads {
        Ok(None) => None,
        Ok(Some(machine)) => Some(format!("m{machine} leads, though of two electors one knows no groups")),
        Err(_) => Some("a promise is broken while an older koi leads".to_owned()),
    }
}

/// R16: an elector is exchanged for one that knows no attributes, and the leader is lost: nobody may lead with what that one has.
fn an_elector_forgets_attributes() -> Option<String> {
    let (mut cluster, leader, master) = Cluster::apart(3);
    cluster.write(master, "k", "v").expect("it is written");
    let old = (0..3).find(|m| *m != leader && *m != master).expect("there are three");
    cluster.shut_down(old);
    cluster.run(1500);
    cluster.machines[old].set_lacks(Some(Lacks::Attributes));
    cluster.start(old);
    cluster.run(3000);
    cluster.lose_power(leader);
    let leads = catch_unwind(AssertUnwindSafe(|| {
        cluster.run(20_000);
        cluster.leader()
    }));
    match leads {
        Ok(None) => None,
        Ok(Some(machine)) => {
            Some(format!("m{machine} leads, though of two electors one has lost the attributes"))
        }
        Err(_) => Some("a promise is broken while an elector has lost the attributes".to_owned()),
    }
}

/// R1: of three electors the leader is lost, and the disk of another takes nothing. That one votes for nobody, and not for itself either.
fn a_vote_is_on_no_disk() -> Option<String> {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let voter = 3 - leader - master;
    cluster.hang_disk(voter);
    cluster.lose_power(leader);
    let said = cluster.sent().len();
    cluster.run(5000);
    let has_voted = |(from, message): &(usize, Message)| {
        let shows = matches!(message.body, Body::RequestVote(_) | Body::Vote(_) | Body::Heartbeat(_));
        *from == voter && shows
    };
    let voted = cluster.sent().iter().skip(said).any(has_voted);
    voted.then(|| format!("m{voter} has voted, and its vote is on no disk"))
}

/// R9: what the last statuses scored is not so any more when the master is lost.
fn a_standby_has_come_further_since_its_last_status() -> Option<String> {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let third = 3 - leader - master;
    cluster.ending(leader, "web", Hook::Status, scores(5));
    cluster.ending(third, "web", Hook::Status, scores(3));
    cluster.run(12_000);
    cluster.ending(third, "web", Hook::Status, scores(9));
    cluster.lose_power(master);
    cluster.run_until(10_000, "another master", |c| c.master().is_some_and(|m| m != master));
    let next = cluster.master();
    (next != Some(third)).then(|| format!("m{leader} is promoted, and m{third} is further by then"))
}

/// R7: a lease came before the record that names its master, and the services cannot be stopped: the daemon does not end before others know, or
/// lease and grace are over.
fn a_node_leaves_whose_mastership_no_record_names_yet() -> Option<String> {
    let mut solo = Solo::standby(&[service("db")]);
    solo.appoint();
    solo.run(100);
    solo.answer();
    solo.run(50);
    for hook in [Hook::Demote, Hook::Stop] {
        solo.will_end("db", hook, fails());
    }
    solo.shut_down(0);
    solo.run(200);
    let gone = solo.machines[0].core.is_none();
    gone.then(|| "a node leaves while db is promoted, and nobody knows".to_owned())
}

/// Three machines whose master is being told that the third has gone, which takes its time: leader and master.
fn told_slowly() -> (Cluster, usize, usize) {
    let mut cluster = Cluster::off(3);
    for machine in 0..3 {
        let hooks = HookSet::LIFECYCLE.with(Hook::Changed);
        cluster.folder(machine, &[ServiceSpec { hooks, ..service("web") }]);
    }
    cluster.start_all();
    cluster.run_until(10_000, "a first master", |c| c.master().is_some());
    cluster.run(2000);
    let master = cluster.master().expect("there is one");
    let third = (0..3).find(|m| *m != master && cluster.leader() != Some(*m)).expect("there are three");
    cluster.slow(master, "web", Hook::Changed);
    cluster.recorder().machines[master].calls.clear();
    cluster.lose_power(third);
    cluster.run_until(3000, "it is told", |c| c.machines[master].hooks.values().any(is_changed));
    if let Some(web) = cluster.machines[master].services.get_mut("web") {
        web.slow = HookSet::default();
    }
    (cluster, master, 3 - master - third)
}

fn is_changed(run: &HookRun) -> bool {
    run.hook == Hook::Changed
}

/// R11: a `changed` takes its time, and the mastership is wanted elsewhere.
fn a_slow_changed_and_an_order() -> Option<String> {
    let (mut cluster, _, other) = told_slowly();
    let name = cluster.name(other);
    cluster.promote(&name).ok()?;
    cluster.run(500);
    (cluster.master() != Some(other)).then(|| "a demote waits for a `changed`".to_owned())
}

/// R11: a `changed` that told of a loss was cut off, and all is by then as it was: the service has to hear that.
fn one_comes_back_while_its_going_is_told() -> Option<String> {
    let (mut cluster, master, other) = told_slowly();
    let third = 3 - master - other;
    cluster.start(third);
    cluster.run(30_000);
    let told = cluster.seen(master).calls.iter().filter(|run| is_changed(run)).count();
    (told < 2).then(|| "a service was told by halves that one has gone, and not that it is back".to_owned())
}

/// R11: a status was due, and has ended a `changed`: it is repeated.
fn a_changed_that_a_status_has_ended() -> Option<String> {
    let (mut cluster, master, _) = told_slowly();
    cluster.run(15_000);
    let told = cluster.seen(master).calls.iter().filter(|run| is_changed(run)).count();
    (told < 2).then(|| "a service was never told what a status has kept from it".to_owned())
}

/// R16: operators write without a pause, and the master is lost: another is promoted all the same.
fn operators_write_while_a_master_is_lost() -> Option<String> {
    let (mut cluster, leader, master) = Cluster::apart(3);
    cluster.force("k", Some("0")).expect("it is written");
    cluster.lose_power(master);
    for _ in 0..10_000 {
        for _ in cluster.open_commands()..2 {
            cluster.ask(leader, Command::ForceAttribute(change("k", Some("x"))));
        }
        cluster.run(1);
        if cluster.masters().iter().any(|m| *m != master) {
            return None;
        }
    }
    Some("nobody is promoted for 10 s, while operators write".to_owned())
}

/// R16: a lease comes, and the attributes that count with it are not there yet: nothing is promoted.
fn a_lease_overtakes_the_attributes() -> Option<String> {
    let mut solo = Solo::standby(&[service("db")]);
    solo.appoint();
    let (changed, written) = (solo.record.version, WriteNumber { epoch: Epoch(7), n: 1 });
    solo.change(|record| record.main.attributes = Some(AttributesVersion { changed, written }));
    solo.since = Some(solo.record.version);
    solo.pass(1000);
    let state = solo.is("db");
    (state != ServiceState::Started).then(|| format!("db is {} without the attributes", state.as_str()))
}

/// R16: a write is on its way for so long that another is master meanwhile.
fn a_write_of_the_past_comes_late() -> Option<String> {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let epoch = cluster.epoch_of(&GroupName::MAIN);
    cluster.write(master, "k", "old").expect("it is written");
    let other = (0..3).find(|m| *m != leader && *m != master).expect("there are three");
    cluster.promote(&cluster.name(other)).expect("it is done");
    cluster.run_until(3000, "the new master", |c| c.master() == Some(other));
    says_late(&mut cluster, master, WriteNumber { epoch, n: 2 });
    let said = cluster.attribute(leader, "k");
    (said.as_deref() == Some("late")).then(|| "who was master writes, and another is".to_owned())
}

/// R16: a write is on its way for so long that a later one has counted.
fn a_write_is_overtaken() -> Option<String> {
    let (mut cluster, leader, master) = Cluster::apart(3);
    let epoch = cluster.epoch_of(&GroupName::MAIN);
    for n in 0..3 {
        cluster.write(master, "k", &n.to_string()).expect("it is written");
    }
    says_late(&mut cluster, master, WriteNumber { epoch, n: 2 });
    let said = cluster.attribute(leader, "k");
    (said.as_deref() == Some("late")).then(|| "an earlier write replaces a later one".to_owned())
}

fn says_late(cluster: &mut Cluster, master: usize, number: WriteNumber) {
    let write = AttributeWrite { group: GroupName::MAIN, number, change: change("k", Some("late")) };
    cluster.say(master, Body::AttributeWrite(write));
    cluster.run(500);
}
