//! What people see, as snapshots: each test is a situation.

use std::time::Duration;

use insta::assert_snapshot;
use koi_proto::api::{
    AttributesState, ClusterStatus, Done, Event, Failure, Failures, Group, GroupStatus, Local, NodeStatus,
    ServiceStatus, Status, WaitReason, Waiting,
};

use super::cluster::{done, drill, event, failures, local, node, promoted, status, tree};
use super::layout::{Paint, View, text};
use crate::commands::cluster::chronicle::Measured;
use crate::commands::cluster::drill::Report;
use crate::commands::cluster::drill::phases::{Bound, Phase};
use crate::commands::cluster::promotion::{Promoted, Times};

pub(super) const PLAIN: View = View { width: 80, paint: Paint(false) };
const COLOUR: View = View { width: 80, paint: Paint(true) };
const DAY_MS: u64 = 86_400_000;

pub(super) fn service(priority: u8, name: &str, state: &str) -> ServiceStatus {
    ServiceStatus {
        name: name.into(),
        priority: Some(priority),
        handler: "shell".into(),
        state: state.into(),
        failed: state == "Failed",
        promotable: matches!(state, "Started" | "Promoted"),
        ..ServiceStatus::default()
    }
}

/// A node with the services `vip`, `db` and `web` in one state.
fn runner(name: &str, state: &str, services: &str) -> NodeStatus {
    let number = u32::from(name.as_bytes()[0] - b'a') + 1;
    NodeStatus {
        name: name.into(),
        id: format!("{number:08x}-0000-4000-8000-000000000000"),
        address: Some(format!("10.0.0.{number}:42012")),
        state: state.into(),
        elector: true,
        runner: true,
        leader: name == "a",
        seen_ms: 40,
        uptime_ms: 3 * DAY_MS + 4 * 3_600_000,
        version: "0.1.0".into(),
        action: Some("Start".into()),
        services: Some(
            [(10, "vip"), (20, "db"), (30, "web")].map(|(p, name)| service(p, name, services)).to_vec(),
        ),
        ..NodeStatus::default()
    }
}

pub(super) fn healthy() -> Status {
    Status {
        cluster: ClusterStatus {
            id: 13,
            leader: Some("a".into()),
            master: Some("b".into()),
            epoch: 65_537,
            term: 1,
            quorum: 2,
            electors: 3,
            electors_seen: 3,
            healthy: true,
            seen_by: "a".into(),
            record: "1.4".into(),
            ..ClusterStatus::default()
        },
        nodes: vec![
            runner("a", "Standby", "Started"),
            runner("b", "Master", "Promoted"),
            runner("c", "Standby", "Started"),
        ],
        groups: Vec::new(),
    }
}

/// `vip` has failed on c.
fn failed() -> Status {
    let mut status = healthy();
    status.cluster.healthy = false;
    let node = &mut status.nodes[2];
    node.state = "Failed".into();
    node.action = Some("Fail".into());
    node.message = "vip failed".into();
    node.recovers_in_ms = Some(8_200);
    let services = node.services.as_mut().unwrap();
    services[0].state = "Failed".into();
    services[0].failed = true;
    services[0].message =
        Some("start: exit 2: RTNETLINK answers: Operation not permitted, is this root?".into());
    services[1].state = "Stopping".into();
    services[1].hook = Some("stop".into());
    services[1].hook_ms = Some(1_250);
    services[2].state = "Stopped".into();
    node.last_failure = Some(failure("c", "vip", 1_800));
    status
}

pub(super) fn failure(node: &str, service: &str, ago_ms: u64) -> Failure {
    Failure {
        node: node.into(),
        group: Group::default(),
        service: service.into(),
        hook: "start".into(),
        message: "exit 2: RTNETLINK answers: Operation not permitted".into(),
        ago_ms,
    }
}

/// b, the master, is lost with its machine; a leads and waits.
fn lost_master() -> Status {
    let mut status = healthy();
    let cluster = &mut status.cluster;
    (cluster.healthy, cluster.master, cluster.electors_seen) = (false, None, 2);
    cluster.waiting = vec![
        Waiting {
            what: "b may still be promoted: it is lost, and its lease and grace are not over.".into(),
            node: Some("b".into()),
            remaining_ms: Some(1_430),
            rule: Some("R6".into()),
            hint: "koi confirm-down b, if it is certain that b is off".into(),
            reason: Some(WaitReason::MasterSilent),
        },
        Waiting {
            what: "the services of c are not promotable".into(),
            node: Some("c".into()),
            hint: "koi status c".into(),
            ..Waiting::default()
        },
    ];
    cluster.warnings = vec!["1 of 3 electors is missing; one more and nothing can be decided".into()];
    let b = &mut status.nodes[1];
    (b.state, b.seen_ms, b.services, b.action) = ("Disconnected".into(), 62_000, None, None);
    status
}

/// c sees nobody else.
fn without_quorum() -> Status {
    let mut status = healthy();
    let cluster = &mut status.cluster;
    (cluster.leader, cluster.master, cluster.healthy, cluster.electors_seen) = (None, None, false, 1);
    cluster.seen_by = "c".into();
    cluster.waiting = vec![Waiting {
        what: "one more elector is needed: a, b".into(),
        hint: "are these machines up, and can they be reached on UDP port 42012?".into(),
        ..Waiting::default()
    }];
    for node in &mut status.nodes {
        node.leader = false;
        node.state = "Disconnected".into();
        if node.name != "c" {
            (node.seen_ms, node.services) = (3_700, None);
        }
    }
    let c = &mut status.nodes[2];
    (c.state, c.seen_ms) = ("Live".into(), 0);
    status
}

/// Each node has 500 services; on b 10 are still to be promoted, and on c 44 have failed.
fn five_hundred() -> Status {
    let mut status = failed();
    for node in &mut status.nodes {
        let state = if node.name == "b" { "Promoted" } else { "Started" };
        let services =
            (0..500).map(|n| ServiceStatus { priority: None, ..service(0, &format!("app-{n:03}"), state) });
        node.services = Some(services.collect());
    }
    for service in status.nodes[1].services.iter_mut().flatten().take(10) {
        service.state = "Promoting".into();
        service.hook = Some("promote".into());
        service.hook_ms = Some(300);
    }
    for service in status.nodes[2].services.iter_mut().flatten().skip(100).take(34) {
        (service.state, service.failed, service.message) =
            ("Failed".into(), true, Some("status: exit 1".into()));
    }
    status
}

pub(super) fn seen(value: &Status) -> String {
    fits(status::status(value, &PLAIN))
}

/// No line is longer than the screen is wide.
pub(super) fn fits(page: String) -> String {
    for line in page.lines() {
        assert!(text::width(line) <= PLAIN.width, "too long: {line:?}");
        assert_eq!(line.trim_end(), line, "a line ends in spaces");
    }
    page
}

#[test]
fn all_is_well() {
    assert_snapshot!(seen(&healthy()));
}

#[test]
fn attributes_are_listed_by_their_keys_where_a_group_has_some() {
    let values = [("sync", "db2"), ("alone", "no")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let attributes = Some(AttributesState { version: "1.7".into(), values: values.into() });
    let mut status = healthy();
    status.groups = vec![GroupStatus { attributes, ..GroupStatus::default() }];
    let page = seen(&status);
    assert!(page.contains("\n  attributes: alone, sync (version 1.7)\n"), "{page}");
    assert!(!page.contains("db2"));
}

#[test]
fn all_is_well_in_colour() {
    assert_snapshot!(status::status(&healthy(), &COLOUR).replace('\x1b', "␛"));
}

#[test]
fn a_service_has_failed() {
    assert_snapshot!(seen(&failed()));
}

#[test]
fn a_service_has_failed_in_colour() {
    assert_snapshot!(status::status(&failed(), &COLOUR).replace('\x1b', "␛"));
}

#[test]
fn colour_changes_nothing_but_colour() {
    for status in [healthy(), failed(), lost_master(), without_quorum(), five_hundred()] {
        let coloured = status::status(&status, &COLOUR);
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once('\x1b') {
            plain.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        assert_eq!(plain + rest, seen(&status));
    }
}

#[test]
fn the_master_is_lost_and_its_lease_must_run_out() {
    assert_snapshot!(seen(&lost_master()));
}

#[test]
fn a_node_alone_sees_no_leader() {
    assert_snapshot!(seen(&without_quorum()));
}

#[test]
fn maintenance() {
    let mut status = healthy();
    (status.cluster.maintenance, status.cluster.healthy) = (true, false);
    status.nodes.iter_mut().for_each(|node| node.maintenance = true);
    assert_snapshot!(seen(&status));
}

#[test]
fn no_warning_stands_below_all_is_well() {
    for healthy_it_says in [false, true] {
        let mut status = healthy();
        status.cluster.healthy = healthy_it_says;
        status.cluster.warnings = vec![
            "flapping: 11 masterships in 12 s; the time between them grows".into(),
            "c cannot be master: its state cannot be written: No space left on device".into(),
        ];
        assert_snapshot!("works_with_warnings", seen(&status));
    }
}

#[test]
fn a_node_that_hears_nobody() {
    let mut status = healthy();
    status.cluster.healthy = false;
    status.cluster.warnings =
        vec!["c hears nobody: its network passes only one way; look at the firewalls".into()];
    let c = &mut status.nodes[2];
    (c.state, c.deaf, c.services) = ("Disconnected".into(), true, None);
    c.message = "it hears nobody: its network passes only one way".into();
    assert_snapshot!(seen(&status));
}

#[test]
fn manual_mode() {
    let mut status = healthy();
    (status.cluster.manual, status.cluster.master) = (true, None);
    status.nodes[1] = runner("b", "Standby", "Started");
    assert_snapshot!(seen(&status));
}

#[test]
fn a_switch_over_is_under_way() {
    let mut status = healthy();
    (status.cluster.healthy, status.cluster.target) = (false, Some("c".into()));
    status.cluster.waiting = vec![Waiting {
        what: "b has to be demoted first".into(),
        node: Some("b".into()),
        ..Waiting::default()
    }];
    for service in status.nodes[1].services.iter_mut().flatten().take(2) {
        (service.state, service.hook, service.hook_ms) =
            ("Demoting".into(), Some("demote".into()), Some(420));
    }
    assert_snapshot!(seen(&status));
}

#[test]
fn five_hundred_services_fit_one_screen() {
    let page = seen(&five_hundred());
    assert!(page.lines().count() <= 24, "{page}");
    assert_snapshot!(page);
}

#[test]
fn an_unclean_node_blocks_the_rest() {
    let mut status = failed();
    status.cluster.master = None;
    status.cluster.waiting = vec![Waiting {
        what: "c could not stop what it had promoted".into(),
        node: Some("c".into()),
        rule: Some("R7".into()),
        hint: "mend it and koi recover c; or cut its power and koi confirm-down c".into(),
        ..Waiting::default()
    }];
    let c = &mut status.nodes[2];
    (c.unclean, c.recovers_in_ms) = (true, None);
    c.message = "stop of vip failed (exit 1), so it is not known whether the address is still there; \
                 nobody is promoted elsewhere until someone has looked"
        .into();
    assert_snapshot!(seen(&status));
}

#[test]
fn two_machines_without_quorum_and_a_long_name() {
    let mut status = healthy();
    let cluster = &mut status.cluster;
    (cluster.quorum, cluster.electors, cluster.electors_seen) = (0, 0, 2);
    cluster.advice =
        vec!["quorum is off: two halves that cannot see each other will both have a master".into()];
    status.nodes.truncate(2);
    status.nodes[0].name = "database-server-number-one.example".into();
    status.nodes[1].stopped = true;
    status.cluster.leader = Some(status.nodes[0].name.clone());
    assert_snapshot!(seen(&status));
}

#[test]
fn one_node_in_detail() {
    assert_snapshot!(fits(node::node(&failed().nodes[2], &PLAIN)));
}

#[test]
fn the_tree() {
    let mut status = failed();
    status.nodes.push(NodeStatus {
        name: "witness".into(),
        state: "Elector".into(),
        elector: true,
        ..NodeStatus::default()
    });
    status.nodes[0].services = None;
    status.nodes[1]
        .services
        .as_mut()
        .unwrap()
        .push(ServiceStatus { priority: None, ..service(0, "cron", "Started") });
    assert_snapshot!(fits(tree::tree(&status, &PLAIN)));
}

#[test]
fn what_a_handler_says_besides_is_shown_where_there_is_room() {
    let mut status = healthy();
    for node in &mut status.nodes {
        let db = &mut node.services.as_mut().unwrap()[1];
        db.message = Some("in sync".into());
        db.score = Some(7);
        db.details = vec![("lag".into(), "0".into()), ("version".into(), "7.2.4 ".repeat(40))];
    }
    assert_snapshot!("details_of_a_node", fits(node::node(&status.nodes[1], &PLAIN)));
    assert_snapshot!("details_in_the_tree", fits(tree::tree(&status, &PLAIN)));
    let db = &mut status.nodes[0].services.as_mut().unwrap()[1];
    db.details = vec![("kept".into(), "/usr/bin/x, process 8587".into())];
    let page = fits(tree::tree(&status, &PLAIN));
    assert!(page.contains("in sync; kept: /usr/bin/x, process 8587\n"), "{page}");
}

#[test]
fn recent_failures() {
    let list = vec![failure("a", "db", 7_300_000), failure("c", "vip", 1_800)];
    assert_snapshot!(fits(failures::failures(&Failures { failures: list }, &PLAIN)));
    assert_eq!(failures::failures(&Failures::default(), &PLAIN), "no failures\n");
    let mut long = failure("a", "db", 1_800);
    long.message =
        format!("{}: run `koi recover` when it is mended", "it cannot be reached ".repeat(8).trim());
    let page = fits(failures::failures(&Failures { failures: vec![long] }, &PLAIN));
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.ends_with("it cannot be reached: run `koi recover` when it is mended"),
        "the remedy is there: {page}"
    );
}

#[test]
fn a_node_as_it_sees_itself() {
    let value = Local {
        node: runner("b", "Master", "Promoted"),
        port: 42012,
        started_at: 1_795_219_200,
        now_ms: None,
        newest_event: None,
        timing: None,
        restarted_by: None,
        nodes: 3,
        leader: Some("a".into()),
        leader_address: Some("10.0.0.1:42012".into()),
        lease_ms: Some(940),
        epoch: Some(65_537),
        term: 1,
        standing: "member".into(),
        slowest_demote_ms: Some(120),
        dropped: [("wrong key".to_owned(), 3), ("wrong cluster".to_owned(), 1)].into(),
        warnings: vec![
            "/etc/koi/koi.toml may be changed by others (mode 0666): `chmod go-w /etc/koi/koi.toml`".into(),
        ],
        advice: vec!["10.0.0.9:7600 belongs to another cluster".to_owned()],
    };
    assert_snapshot!(fits(local::local(&value, &PLAIN)));
}

#[test]
fn what_happens() {
    let mut value = Event {
        number: 7,
        at_ms: 43_384_123,
        node: "c".into(),
        kind: "hook-finished".into(),
        message: "vip: start ended after 12 ms: exit 2".into(),
        level: "error".into(),
        group: Group::default(),
        service: Some("vip".into()),
        state: None,
    };
    assert_eq!(
        event::event(&value, &PLAIN),
        "12:03:04.123Z c error   vip: start ended after 12 ms: exit 2\n"
    );
    (value.level, value.service, value.message) = ("info".into(), None, "a leads in term 2".into());
    assert_eq!(event::event(&value, &PLAIN), "12:03:04.123Z c info    a leads in term 2\n");
    (value.group, value.message) = ("web".parse().unwrap(), "c is to be master, epoch 7".into());
    assert_eq!(event::event(&value, &PLAIN), "12:03:04.123Z c info    web: c is to be master, epoch 7\n");
}

fn measured(took_ms: u64) -> Option<Measured> {
    Some(Measured { took: Duration::from_millis(took_ms), within: Duration::from_micros(1_200) })
}

#[test]
fn a_promotion_that_is_done() {
    let times = Times { demoted: measured(21), granted: measured(34), promoted: measured(1_061) };
    let page = |from: Option<&str>, already, times| {
        let (node, from) = ("c".to_owned(), from.map(str::to_owned));
        promoted::promoted(
            &Promoted { node, group: Group::default(), epoch: 65_538, from, already, times },
            &PLAIN,
        )
    };
    assert_snapshot!(fits(
        page(Some("b"), false, times)
            + &page(None, false, Times { demoted: None, ..times })
            + &page(Some("b"), false, Times::default())
            + &page(Some("c"), true, Times::default())
    ));
}

#[test]
fn a_drill_that_is_over() {
    let bound = |name, ms| Some(Bound { at_most: Duration::from_millis(ms), name });
    let phase = |what: &str, took, bound| Phase { id: "", what: what.into(), took, bound };
    let report = Report {
        head: "drill daemon-crash of b".into(),
        phases: vec![
            phase("the others know that koid of b is dead", measured(6), bound("master_lease", 1_000)),
            phase(
                "guardian demotes, c is granted the role",
                measured(800),
                bound("demote_grace + leader_lease", 1_500),
            ),
            phase("c promotes its services", measured(29), None),
            phase("c does something", None, bound("leader_lease", 500)),
            phase("until c may promote", measured(2_100), bound("master_lease + demote_grace", 2_000)),
        ],
        end: "b is master again, 84ms after the order to promote it back".into(),
        exceeded: true,
        amiss: true,
    };
    assert_snapshot!(fits(drill::report(&report, &PLAIN)));
}

#[test]
fn what_would_be_done() {
    let value = Done {
        message: "c would become master".into(),
        steps: vec!["b is demoted: web, db, vip".into(), "c is promoted: vip, db, web".into()],
        ..Done::default()
    };
    assert_snapshot!(fits(done::done(&value, &PLAIN)));
}

#[test]
fn what_is_to_be_known_besides() {
    let value = Done {
        message: "the configuration /etc/koi/koi.toml is in force".into(),
        notes: vec![
            "still loading /etc/koi/plugins/mydb.wasm (for 4 s): a component is compiled once. Services keep the handlers that they \
             have meanwhile; `koi plugins list` says when it is done"
                .into(),
            "the service web cannot run: `port` is missing under [config]".into(),
        ],
        ..Done::default()
    };
    assert_snapshot!(fits(done::done(&value, &PLAIN)));
}
