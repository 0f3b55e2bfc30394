//! Commands that talk to a daemon.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use koi_proto::api::{ApiError, Done, ErrorBody, ErrorCode, Group, GroupOnNode, GroupStatus, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::fake::{Answer, Fake, healthy, promoting, refusal};
use crate::run::{Ran, command, koi};

#[test]
fn a_status_that_is_well_exits_with_0_and_one_that_is_not_with_3() {
    let well = Fake::saying(&healthy()).koi(&["status"]);
    assert_eq!(well.code, Some(0), "{well:?}");
    assert!(
        well.stdout.starts_with("cluster 13: all is well — b is master (epoch 65537)"),
        "{}",
        well.stdout
    );

    let degraded = Fake::saying(&promoting()).koi(&["status"]);
    assert_eq!(degraded.code, Some(3), "{degraded:?}");
    assert!(degraded.stdout.starts_with("cluster 13: DEGRADED — b is being promoted"), "{}", degraded.stdout);

    let mut manual = healthy();
    (manual.cluster.manual, manual.cluster.master) = (true, None);
    let manual = Fake::saying(&manual).koi(&["-o", "json", "status"]);
    assert_eq!(manual.code, Some(3), "there is no master: {manual:?}");
}

#[test]
fn json_is_what_the_daemon_said_with_what_we_do_not_know() {
    let mut said = serde_json::to_value(healthy()).unwrap();
    said["cluster"]["from_a_newer_version"] = json!({ "z": 1, "a": [2] });
    let fake = Fake::saying(&said);
    let ran = fake.koi(&["-o", "json", "status"]);
    assert_eq!((ran.code, ran.json()), (Some(0), said.clone()));
    let ran = fake.koi(&["-o", "json", "status", "b"]);
    assert_eq!((ran.code, ran.json()), (Some(0), said["nodes"][1].clone()));
}

#[test]
fn a_node_that_is_not_known_is_an_error_that_names_those_that_are() {
    let ran = Fake::saying(&healthy()).koi(&["status", "x"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stderr, "koi: no node x is known\n     known are: a, b\n");
}

#[test]
fn colour_is_for_terminals_or_who_asks_for_it() {
    let fake = Fake::saying(&healthy());
    assert!(!fake.koi(&["status"]).stdout.contains('\x1b'));
    assert!(fake.koi(&["-c", "always", "status"]).stdout.contains('\x1b'));
}

#[test]
fn a_refusal_has_its_own_exit_code_and_says_what_to_do() {
    for (code, exit) in
        [(ErrorCode::Unsafe, 5), (ErrorCode::Refused, 1), (ErrorCode::NoLeader, 4), (ErrorCode::NotFound, 1)]
    {
        let fake = Fake::refusing(code.clone());
        let ran = fake.koi(&["confirm-down", "b"]);
        assert_eq!(ran.code, Some(exit), "{code}: {ran:?}");
        assert_eq!(ran.stderr, "koi: it is not to be\n     do this instead\n");
        assert_eq!(ran.stdout, "");

        let ran = fake.koi(&["-o", "json", "confirm-down", "b"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(exit), ""));
        assert_eq!(ran.json()["error"]["code"], code.as_str());
        assert_eq!(ran.json()["error"]["hint"], "do this instead");
    }
}

#[test]
fn each_command_asks_for_its_own_thing() {
    let fake = Fake::saying(&Done { message: "it is done".into(), ..Done::default() });
    let cases: [(&[&str], &str, serde_json::Value); 20] = [
        (&["promote", "b"], "POST /v1/promote", json!({ "node": "b", "dry_run": false, "sole_group": true })),
        (&["demote"], "POST /v1/demote", json!({ "sole_group": true })),
        (&["elect"], "POST /v1/elect", json!({ "sole_group": true })),
        (&["elect", "--group", "main"], "POST /v1/elect", json!({ "group": "main" })),
        (&["demote", "--group", "web"], "POST /v1/groups/web/demote", json!({ "group": "web" })),
        (
            &["stop", "b", "--group", "web"],
            "POST /v1/groups/web/stop",
            json!({ "node": "b", "group": "web" }),
        ),
        (&["bootstrap", "--yes"], "POST /v1/bootstrap", json!({ "dry_run": false })),
        (&["bootstrap", "--dry-run"], "POST /v1/bootstrap", json!({ "dry_run": true })),
        (&["electors", "add", "d"], "POST /v1/electors", json!({ "add": "d" })),
        (&["electors", "remove", "c"], "POST /v1/electors", json!({ "remove": "c" })),
        (&["electors", "replace", "c", "d"], "POST /v1/electors", json!({ "replace": "c", "by": "d" })),
        (&["start"], "POST /v1/start", json!({ "node": null, "sole_group": true })),
        (&["stop", "b"], "POST /v1/stop", json!({ "node": "b", "sole_group": true })),
        (&["recover", "b"], "POST /v1/recover", json!({ "node": "b", "sole_group": true })),
        (&["reconfigure"], "POST /v1/reconfigure", json!({ "node": null, "wait_ms": 4500 })),
        (&["confirm-down", "b"], "POST /v1/confirm-down", json!({ "node": "b" })),
        (&["fence", "b"], "POST /v1/fence", json!({ "node": "b", "dry_run": false })),
        (&["fence", "b", "--dry-run"], "POST /v1/fence", json!({ "node": "b", "dry_run": true })),
        (&["maintenance", "on"], "POST /v1/maintenance", json!({ "on": true })),
        (&["maintenance", "off"], "POST /v1/maintenance", json!({ "on": false })),
    ];
    for (args, request, body) in cases {
        let ran = fake.koi(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "it is done\n"), "{args:?}: {ran:?}");
        let (asked, said) = fake.asked().pop().unwrap();
        assert_eq!(asked, request);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&said).unwrap(), body, "{args:?}");
    }
}

/// `b` is master of `main`, and `a` of `web`.
fn two_groups() -> Status {
    let mut status = healthy();
    // The leader itself says so.
    status.cluster.seen_by = status.cluster.leader.clone().unwrap();
    let web: Group = "web".parse().unwrap();
    let main = GroupStatus { master: Some("b".into()), epoch: 65_537, ..GroupStatus::default() };
    let other =
        GroupStatus { name: web.clone(), master: Some("a".into()), epoch: 65_538, ..GroupStatus::default() };
    status.groups = vec![main, other];
    for (node, states) in status.nodes.iter_mut().zip([["Standby", "Master"], ["Master", "Standby"]]) {
        let names = [Group::default(), web.clone()];
        let on_node =
            |(name, state): (Group, &str)| GroupOnNode { name, state: state.into(), ..Default::default() };
        node.groups = names.into_iter().zip(states).map(on_node).collect();
    }
    status
}

#[test]
fn where_there_are_several_groups_one_is_named() {
    let fake = Fake::saying(&two_groups());
    for args in [&["promote", "a", "--wait"][..], &["drill", "switch-over", "--yes"]] {
        let ran = fake.koi(args);
        assert_eq!(ran.code, Some(1), "{args:?}: {ran:?}");
        assert!(
            ran.stderr.contains("there are several groups, and this is for one of them: main, web"),
            "{ran:?}"
        );
        assert!(ran.stderr.contains("--group web"), "{ran:?}");
    }
    let ran = fake.koi(&["drill", "switch-over", "--yes", "--group", "mail"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (Some(1), "koi: there is no group mail\n     the groups are main, web\n")
    );
    assert!(fake.asked().iter().all(|(asked, _)| asked == "GET /v1/status"), "nothing was ordered");

    let ran = fake.koi(&["wait", "--for", "master"]);
    assert_eq!(ran.stdout, "b is master (epoch 65537), a is master of web (epoch 65538)\n", "{ran:?}");
    let ran = fake.koi(&["wait", "--for", "master", "--group", "web"]);
    assert_eq!(ran.stdout, "a is master of web (epoch 65538)\n", "{ran:?}");
    let ran = fake.koi(&["wait", "--for", "master", "--group", "mail", "--timeout", "60s"]);
    assert_eq!(ran.code, Some(1), "a cluster that is well knows all its groups: {ran:?}");
    let ran = fake.koi(&["wait", "--for", "leader", "--group", "web"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let ran = fake.koi(&["demote", "--group", "a/b"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("not a name of a group"), "{ran:?}");
}

#[test]
fn a_koid_that_knows_no_groups_is_named_as_the_reason() {
    let fake = Fake::new(|asked| {
        let path = asked.trim_start_matches("POST ");
        Answer::Whole(404, serde_json::to_string(&ErrorBody { error: ApiError::no_command(path) }).unwrap())
    });
    let ran = fake.koi(&["demote", "--group", "web"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("knows no groups of services"), "{ran:?}");
    assert_eq!(fake.asked()[0].0, "POST /v1/groups/web/demote", "it has no such path, so it does nothing");
}

#[test]
fn a_dry_run_prints_the_steps() {
    let steps = vec!["demote b".to_owned(), "promote a".to_owned()];
    let fake = Fake::saying(&Done { message: "a would become master".into(), steps, ..Done::default() });
    let ran = fake.koi(&["promote", "a", "--dry-run"]);
    assert_eq!(ran.stdout, "a would become master\n  1. demote b\n  2. promote a\n");
    assert!(fake.asked()[0].1.contains("\"dry_run\":true"));
}

#[test]
fn wait_returns_as_soon_as_the_master_is_promoted() {
    let polls = AtomicUsize::new(0);
    let fake = Fake::new(move |_| match polls.fetch_add(1, Ordering::SeqCst) {
        0 => refusal(ErrorCode::NoLeader),
        1 | 2 => Answer::Whole(200, serde_json::to_string(&promoting()).unwrap()),
        _ => Answer::Whole(200, serde_json::to_string(&healthy()).unwrap()),
    });
    let ran = fake.koi(&["wait", "--for", "master"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "b is master (epoch 65537)\n"), "{ran:?}");
    assert_eq!(fake.asked().len(), 4);
}

#[test]
fn wait_exits_with_3_when_it_was_not_reached_and_with_4_when_nobody_answered() {
    let ran = Fake::saying(&promoting()).koi(&["wait", "--for", "healthy", "--timeout", "300ms"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("is not healthy after 300ms: b is being promoted"), "{}", ran.stderr);
    assert!(!ran.stderr.contains('\r'), "no progress but on a terminal");

    let ran = Fake::new(|_| Answer::Silence).koi(&["wait", "--for", "leader", "--timeout", "300ms"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let ran = koi(&["--socket", "/nowhere/koid.sock", "wait", "--for", "leader", "--timeout", "300ms"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
}

#[test]
fn nobody_there_and_no_answer_in_time_exit_with_4() {
    let ran = koi(&["--socket", "/nowhere/koid.sock", "status"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""), "{ran:?}");
    assert!(ran.stderr.starts_with("koi: cannot reach koid at /nowhere/koid.sock"), "{}", ran.stderr);

    let ran = koi(&["--socket", "/nowhere/koid.sock", "-o", "json", "status"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(4), ""));
    assert_eq!(ran.json()["error"]["code"], "no-daemon");

    let ran = Fake::new(|_| Answer::Silence).koi(&["-t", "200ms", "status"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
}

const EVENT: &str =
    r#"{"number":7,"at_ms":43384123,"node":"c","kind":"leader-elected","message":"a leads","level":"info"}"#;

#[test]
fn events_that_are_kept_are_shown_and_then_it_ends() {
    let fake = Fake::new(|_| Answer::Whole(200, format!("{EVENT}\n{EVENT}\n")));
    let ran = fake.koi(&["events", "--no-follow", "--since", "7"]);
    let line = "12:03:04.123Z c info    a leads\n";
    assert_eq!((ran.code, ran.stdout), (Some(0), format!("{line}{line}")));
    assert_eq!(fake.asked()[0].0, "GET /v1/events?since=7&follow=false");
    let ran = fake.koi(&["events", "--no-follow", "-o", "json"]);
    assert_eq!(ran.stdout, format!("{EVENT}\n{EVENT}\n"));
}

/// Starts `koi ARGS` on an endless answer, reads a line, and hands over the rest.
fn after_one_line(
    args: &[&str],
    answer: impl Fn() -> Answer + Send + Sync + 'static,
    end: impl FnOnce(Pid, bool),
) -> Ran {
    let fake = Fake::new(move |_| answer());
    let mut child = command()
        .arg("--socket")
        .arg(fake.socket())
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    end(Pid::from_raw(i32::try_from(child.id()).unwrap()), line.is_empty());
    drop(stdout);
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let ran = after_one_line(&["events"], || Answer::Endless(EVENT.into()), |_, _| ());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let status = || Answer::Whole(200, serde_json::to_string(&healthy()).unwrap());
    let ran = after_one_line(&["watch"], status, |_, _| ());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
}

#[test]
fn ctrl_c_is_a_good_end() {
    let interrupt = |pid, nothing_read: bool| {
        assert!(!nothing_read);
        kill(pid, Signal::SIGINT).unwrap();
    };
    let status = || Answer::Whole(200, serde_json::to_string(&healthy()).unwrap());
    let ran = after_one_line(&["watch"], status, interrupt);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let kept = || Answer::Endless(EVENT.into());
    let ran = after_one_line(&["events"], kept, interrupt);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
}
