//! Plugins come, change and break while the daemons run: what is in force changes only when somebody says so, and the guardian
//! has it too.

use std::fs;

use koi_cluster_tests::{Cluster, Node, Service, native, skip};
use koi_plugin_tests::examples;
use koi_plugin_tests::guests::Guest;
use koi_plugin_tests::peace::Peace;
use koi_plugin_tests::plugins::{Folder, inspected, listed, message, replace};
use koi_proto::api::{Plugin, Reconfigure};

/// Calls of `status` that a replaced file must not be seen in.
const CALLS: usize = 3;

/// A component that says `word` in its log at every hook, and in its status.
fn says(word: &str) -> Guest {
    promotes(word, "(call $done)")
}

/// The same one, with more to do in `promote`.
fn promotes(word: &str, promote: &str) -> Guest {
    let log = |what: &str| format!("(call $log (i32.const 2) %{{{word}: {what}}})");
    ["start", "stop", "demote"]
        .into_iter()
        .fold(Guest::new("db"), |guest, hook| guest.hook(hook, &format!("{} (call $done)", log(hook))))
        .hook("promote", &format!("{} {promote}", log("promote")))
        .hook(
            "status",
            &format!(
                "{} (call $status (i32.const 0) %{{{word}}} (i32.const 0) (i32.const 0))",
                log("status")
            ),
        )
}

fn named(handler: &str) -> Service {
    Service::empty().file("service.toml", &format!("handler = \"{handler}\"\n"), 0o644)
}

fn in_its_folder(component: &[u8]) -> Service {
    Service::empty().bytes("handler.wasm", component, 0o644)
}

/// One node with a service `db`, whose handler of the same name lies in a folder of plugins.
fn single(component: &[u8]) -> (Cluster, Folder) {
    let plugins = Folder::default();
    plugins.put("db.wasm", component);
    // So that the log has what `status` says each time, and not only when it changes.
    let builder =
        Cluster::builder().nodes(1).service("10-db", named("db")).set("node.log_level", "\"debug\"");
    (builder.set("plugins.dirs", &plugins.setting()).start(), plugins)
}

/// How often a node's log has these words in a line.
fn count(node: &Node, words: &str) -> usize {
    node.log().lines().filter(|line| line.contains(words)).count()
}

#[test]
fn a_replaced_file_is_taken_when_an_operator_says_so_and_not_before() {
    let (cluster, plugins) = single(&says("the old code").build());
    cluster.wait_healthy();
    let node = cluster.any();
    let old = listed(node, "db").expect("it is listed");
    assert_eq!((old.state.as_str(), old.services.as_slice()), ("ready", &["db".to_owned()][..]));
    assert_eq!(inspected(node, "db").plugin.on_disk, "same");

    plugins.put("db.wasm", &says("the new code").build());
    let before = count(node, "the old code: status");
    cluster.wait_for("status is called some more times", |_| {
        count(node, "the old code: status") >= before + CALLS
    });
    assert_eq!(count(node, "the new code"), 0, "{}", cluster.report());
    // What it costs is another matter.
    let listed_now = listed(node, "db").map(|now| Plugin { statistics: old.statistics.clone(), ..now });
    assert_eq!(
        (inspected(node, "db").plugin.on_disk.as_str(), listed_now),
        ("changed", Some(Plugin { on_disk: "changed".into(), ..old.clone() }))
    );
    cluster.wait_shown(
        node,
        &["plugins", "inspect", "db"],
        0,
        &["changed since it was loaded", "koi reconfigure"],
    );

    node.order(&["reconfigure"]).exits(0);
    cluster.wait_for("the new code serves", |c| {
        message(c, "a", "db").as_deref() == Some("the new code")
            && listed(node, "db").is_some_and(|p| p.hash != old.hash)
    });
    assert_eq!(inspected(node, "db").plugin.on_disk, "same");
    assert_eq!(
        count(node, "the new code: start") + count(node, "the new code: promote"),
        0,
        "the service ran on"
    );
    assert_eq!(cluster.wait_healthy(), "a");
}

#[test]
fn a_hook_that_is_under_way_ends_with_the_code_it_began_with() {
    let promote = "(drop (call $sleep (i64.const 6000))) (call $log (i32.const 2) %{the old code is done}) (call $done)";
    let slow = promotes("the old code", promote).build();
    let (cluster, plugins) = single(&slow);
    let node = cluster.any();
    cluster.wait_for("it begins", |_| count(node, "the old code: promote") > 0);
    plugins.put("db.wasm", &says("the new code").build());
    node.order(&["reconfigure"]).exits(0);
    cluster.wait_for("the new code serves", |c| message(c, "a", "db").as_deref() == Some("the new code"));
    assert_eq!(
        (count(node, "the old code is done"), count(node, "the new code: promote")),
        (1, 0),
        "{}",
        cluster.report()
    );
    assert_eq!(cluster.wait_healthy(), "a");
}

#[test]
fn a_native_hook_that_is_under_way_ends_with_the_code_it_began_with() {
    let go = tempfile::tempdir().unwrap();
    let file = go.path().join("go");
    let wait = format!("while (access({:?}, F_OK)) usleep(20000)", file.display().to_string());
    let Some(old) = native::compile(&[("NAME", "\"db\""), ("WORD", "\"the old code\""), ("PROMOTE", &wait)])
    else {
        return;
    };
    let new = native::compile(&[("NAME", "\"db\""), ("WORD", "\"the new code\"")]).expect("it was there");
    let plugins = Folder::default();
    plugins.put("db.so", &old);
    let service =
        Service::empty().file("service.toml", "handler = \"db\"\n[timeouts]\npromote = \"10m\"\n", 0o644);
    let cluster =
        Cluster::builder().nodes(1).service("10-db", service).set("plugins.dirs", &plugins.setting()).start();
    let node = cluster.any();
    cluster.wait_for("it begins", |_| count(node, "the old code begins to promote") > 0);

    plugins.put("db.so", &new);
    let hash = listed(node, "db").expect("it is listed").hash;
    node.order(&["reconfigure"]).exits(0);
    cluster.wait_for("the new file is in force", |_| listed(node, "db").is_some_and(|p| p.hash != hash));
    assert_eq!(count(node, "the old code: promote is done"), 0, "it waits for our word");
    fs::write(&file, "").unwrap();
    cluster.wait_for("the new code serves", |c| message(c, "a", "db").as_deref() == Some("the new code"));
    assert_eq!(count(node, "the old code: promote is done"), 1, "{}", cluster.report());
    assert_eq!(count(node, "the new code begins to promote"), 0, "{}", cluster.report());
    assert_eq!(cluster.wait_healthy(), "a");
}

#[test]
fn a_broken_replacement_is_not_taken_and_the_list_says_why() {
    let (cluster, plugins) = single(&says("the old code").build());
    cluster.wait_healthy();
    let node = cluster.any();
    let old = listed(node, "db").expect("it is listed");
    plugins.put("db.wasm", b"no component at all");
    let done = node.order(&["reconfigure"]);
    let said = done.exits(1).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("the file there now cannot be used") && said.contains("stays"), "{said}");
    cluster.wait_shown(
        node,
        &["plugins", "list"],
        0,
        &["db", "ready", "the file there now cannot be used", "stays"],
    );
    let kept = listed(node, "db").expect("it is listed");
    assert_eq!((kept.state.as_str(), &kept.hash), ("ready", &old.hash));
    let before = count(node, "the old code: status");
    cluster.wait_for("it serves on", |_| count(node, "the old code: status") >= before + CALLS);
    assert_eq!(cluster.wait_healthy(), "a");

    plugins.put("db.wasm", &says("the mended code").build());
    node.order(&["reconfigure"]).exits(0);
    cluster
        .wait_for("the mended code serves", |c| message(c, "a", "db").as_deref() == Some("the mended code"));
    assert_eq!(listed(node, "db").and_then(|plugin| plugin.error), None);
}

#[test]
fn a_reload_that_would_leave_a_service_without_its_handler_says_so() {
    let (cluster, plugins) = single(&says("the old code").build());
    cluster.wait_healthy();
    let node = cluster.any();
    plugins.put("db.wasm", &Guest::new("another").hook("stop", "(call $done)").build());
    let done = node.order(&["reconfigure"]);
    let said = done.exits(1).split_whitespace().collect::<Vec<_>>().join(" ");
    for words in
        ["is in force", "another is new", "the service db goes on as it was", "handler `db` is not known"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    let before = count(node, "the old code: status");
    cluster.wait_for("it serves on", |_| count(node, "the old code: status") >= before + CALLS);
    cluster.wait_master("a");
    // It serves, and would fail at its next start: that is not called well.
    cluster.wait_shown(node, &["status"], 3, &["works, with warnings", "goes on as it was"]);
    plugins.put("db.wasm", &says("the mended code").build());
    let done = node.order(&["reconfigure"]);
    assert!(done.exits(0).contains("db is new"), "{}", done.out);
    cluster
        .wait_for("the mended code serves", |c| message(c, "a", "db").as_deref() == Some("the mended code"));
    assert_eq!(cluster.wait_healthy(), "a");
}

/// One with a key of `[config]`: it minds keys that it does not know.
fn weighed(word: &str) -> Guest {
    says(word).key("weight", false, None)
}

#[test]
fn a_version_with_a_new_required_key_comes_in_any_order() {
    let (cluster, plugins) = single(&weighed("the old code").build());
    cluster.wait_healthy();
    let node = cluster.any();
    let toml = node.services.join("10-db/service.toml");
    let (old, new) =
        (weighed("the old code").build(), weighed("the new code").key("address", true, None).build());
    let (bare, with_key) = ("handler = \"db\"\n", "handler = \"db\"\n[config]\naddress = \"10.0.0.1\"\n");
    let serves = |word: &str| {
        cluster.wait_for(&format!("{word} serves"), |c| message(c, "a", "db").as_deref() == Some(word))
    };
    let goes_on = || cluster.wait_shown(node, &["status"], 3, &["goes on as it was", "`address`"]);

    // The file, then the key; back the same way; and the key first.
    plugins.put("db.wasm", &new);
    node.order(&["reconfigure"]).exits(1);
    goes_on();
    replace(&toml, with_key.as_bytes());
    serves("the new code");
    plugins.put("db.wasm", &old);
    node.order(&["reconfigure"]).exits(1);
    goes_on();
    replace(&toml, bare.as_bytes());
    serves("the old code");
    replace(&toml, with_key.as_bytes());
    goes_on();
    plugins.put("db.wasm", &new);
    node.order(&["reconfigure"]).exits(0);
    serves("the new code");
    assert_eq!(cluster.wait_healthy(), "a");
    assert_eq!((count(node, "code: demote"), count(node, "code: stop")), (0, 0), "{}", cluster.report());
}

#[test]
fn a_handler_that_was_changed_while_koid_was_off_is_the_one_that_starts() {
    let (cluster, plugins) = single(&says("the old code").build());
    cluster.wait_healthy();
    let node = cluster.any();
    plugins.put(
        "other.wasm",
        &Guest::new("other").hook("start", "(call $log (i32.const 2) %{other: start}) (call $done)").build(),
    );
    for (handler, other) in [("other", "db"), ("db", "other")] {
        node.stop();
        replace(&node.services.join("10-db/service.toml"), format!("handler = \"{handler}\"\n").as_bytes());
        node.start();
        assert_eq!(cluster.wait_healthy(), "a");
        let used = |plugin: &str| listed(node, plugin).is_some_and(|p| p.services == ["db"]);
        assert!(used(handler) && !used(other), "{handler}: {}", cluster.report());
        let status = cluster.status_of("a").and_then(|node| node.services).expect("it has services");
        assert_eq!((status[0].handler.as_str(), &status[0].held), (handler, &None));
    }
}

/// Whoever promotes elsewhere relies on it: a handler that knows of nothing demotes nothing.
#[test]
fn what_is_promoted_is_demoted_by_its_handler_whatever_its_folder_says_by_now() {
    let plugins = Folder::default();
    plugins.put("db.wasm", &weighed("its handler").build());
    let builder = Cluster::builder().nodes(3).service("10-db", named("db"));
    let cluster = builder.set("plugins.dirs", &plugins.setting()).start();
    let mut master = cluster.wait_healthy();
    for lost in ["", "handler = \"dbb\"\n", "handler = \"db\"\n[config]\nno-such-key = 1\n", "[nonsense"] {
        let node = cluster.node(&master);
        let file = node.services.join("10-db/service.toml");
        let (good, demotes) = (fs::read(&file).expect("it is there"), count(node, "its handler: demote"));
        replace(&file, lost.as_bytes());
        cluster.wait_shown(node, &["status"], 3, &["db", "goes on as it was until it is stopped"]);
        assert_eq!(cluster.master().as_ref(), Some(&master), "{lost:?}: nothing is moved");
        let other = cluster.others(&master).next().expect("there are three").name.clone();
        cluster.any().order(&["promote", &other]).exits(0);
        cluster.wait_master(&other);
        assert_eq!(count(node, "its handler: demote"), demotes + 1, "{lost:?}: {}", cluster.report());
        replace(&file, &good);
        master = cluster.wait_healthy();
    }
}

#[test]
fn a_reload_does_not_wait_for_a_component_that_is_long_compiled() {
    let Some(large) = examples::find("template-js.wasm") else { return };
    let (cluster, plugins) = single(&says("the old code").build());
    cluster.wait_healthy();
    let node = cluster.any();
    plugins.put("large.wasm", &fs::read(large).expect("it can be read"));
    let wait = Reconfigure { node: None, wait_ms: Some(300) };
    let done = node.post("/v1/reconfigure", &wait).expect("the configuration is in force");
    assert!(done.notes[0].contains("still loading") && done.notes[0].contains("large.wasm"), "{done:?}");
    // By its file's name: nobody knows yet what it calls itself.
    let large = listed(node, "large").expect("it is listed");
    assert!(large.state == "compiling" && large.loading_ms.is_some(), "{large:?}");
    let before = count(node, "the old code: status");
    let ready = cluster.wait_some("it is there", |_| {
        let all: Vec<Plugin> = node.get("/v1/plugins").ok()?;
        all.into_iter().find(|plugin| plugin.path == large.path && plugin.state == "ready")
    });
    assert_eq!(ready.loading_ms, None);
    assert!(count(node, "the old code: status") > before, "the services go on meanwhile");
    cluster.wait_log(&node.name, &["the plugins are loaded"]);
}

#[test]
fn the_guardian_takes_down_with_the_code_that_was_in_force() {
    let (old, new) = (says("the old code").build(), says("the new code").build());
    let word = |word: &str| native::compile(&[("NAME", "\"lib\""), ("WORD", &format!("{word:?}"))]);
    let (Some(old_library), Some(new_library)) = (word("the old library"), word("the new library")) else {
        return;
    };
    let manifest = "handler = \"./lib.so\"\n[config]\nlog = \"@HOOKLOG@\"\n";
    let library = Service::empty().bytes("lib.so", &old_library, 0o755).file("service.toml", manifest, 0o644);
    let cluster = Cluster::builder()
        .nodes(3)
        .service("10-net", Service::recorded())
        .service("20-db", in_its_folder(&old))
        .service("30-lib", library)
        .start();
    let (_, first) = cluster.part_leader_and_master();
    let node = cluster.node(&first);
    replace(&node.services.join("20-db/handler.wasm"), &new);
    replace(&node.services.join("30-lib/lib.so"), &new_library);
    let before = cluster.hooks().count();

    node.kill();
    let second = cluster.wait_other_master(&first);
    let since = cluster.hooks().since(before);
    since.assert_order(&first, &["lib:demote", "net:demote"]);
    assert!(since.ended(&first, "net:demote") < since.began(&second, "net:promote"), "{since}");
    cluster.hooks().assert_only(&second);
    for words in ["the old code: demote", "the old library: demote is done"] {
        assert_eq!(count(node, words), 1, "{words}\n{}", cluster.report());
    }
    let new_ones = count(node, "the new code") + count(node, "the new library");
    assert_eq!(new_ones, 0, "nobody has taken the new files\n{}", cluster.report());

    node.start();
    assert_eq!(cluster.wait_healthy(), second);
    cluster.wait_for("a new daemon takes what is there", |c| {
        let said = |service| message(c, &first, service);
        said("db").as_deref() == Some("the new code") && said("lib").as_deref() == Some("the new library")
    });
}

#[test]
fn what_a_promotion_was_doing_is_gone_before_the_guardian_demotes() {
    let Some(probe) = examples::find("probe-net.wasm") else { return };
    let probe = fs::read(probe).expect("it was found");
    let tools = Folder::default();
    let script = |name: &str, text: &str| {
        let path = tools.path(name);
        koi_testkit::write_executable(&path, format!("#!/bin/sh\n{text}\n"));
        path
    };
    // A promotion that does not end, and that no signal but one ends, with a child that has gone where no group leads, and a child of
    // that which has lost its parent; and a demotion that looks for them.
    let promoting = script(
        "promoting",
        "trap '' TERM
        setsid sh -c 'setsid sleep 1000 & echo $$ $! >> $0.ids; exec sleep 1000' $0 </dev/null >/dev/null 2>&1 &
        ( setsid sh -c 'echo $$ >> $0.ids; exec sleep 1000' $0 & )
        until [ $(cat $0.ids | wc -l) = 2 ]; do sleep 0.02; done
        echo $$ >> $0.ids
        while :; do sleep 0.2; done",
    );
    let looking = script(
        "looking",
        &format!(
            "for id in $(cat {0}.ids); do grep -qs '^State:.[^ZX]' /proc/$id/status && echo alive; done; echo looked",
            promoting.display()
        ),
    );
    let toml = format!(
        "[config]\nop = \"exec:/bin/true\"\npromote = \"exec:{0}\"\ndemote = \"exec:{1}\"\n[grants]\n\
         exec = [\"/bin/true\", \"{0}\", \"{1}\"]\ntcp = [\"127.0.0.1:1\"]\nudp = [\"127.0.0.1:1\"]\nlookup = true\nhttp = [\"127.0.0.1:1\"]\n\
         [timeouts]\npromote = \"60s\"\n",
        promoting.display(),
        looking.display()
    );
    let service = Service::empty().bytes("handler.wasm", &probe, 0o644).file("service.toml", &toml, 0o644);
    let cluster = Cluster::builder().nodes(3).service("10-probe", service).start();
    let ids = promoting.with_extension("ids");
    cluster.wait_for("somebody is being promoted", |_| {
        fs::read_to_string(&ids).is_ok_and(|ids| ids.lines().count() == 3)
    });
    let first = cluster.wait_status("it has a master", |s| s.cluster.master.is_some()).cluster.master;
    let first = first.expect("it has one");
    let node = cluster.node(&first);
    node.kill();
    cluster.wait_log(&first, &["found: code Some(0)", "looked"]);
    let looked = node.log();
    let looked = looked.lines().find(|line| line.contains("looked")).unwrap_or_default();
    assert!(!looked.contains("alive"), "{looked}");
}

#[test]
fn what_a_program_keeps_outlives_koid_and_is_ended_by_the_guardian_after_its_stop() {
    let Some(probe) = examples::find("probe-net.wasm") else { return };
    let probe = fs::read(probe).expect("it was found");
    let tools = Folder::default();
    let script = |name: &str, text: &str| {
        let path = tools.path(name);
        koi_testkit::write_executable(&path, format!("#!/bin/sh\n{text}\n"));
        path
    };
    let launching = script(
        "launching",
        "setsid sh -c 'echo $$ >> $0.ids; exec sleep 1000' $0 </dev/null >/dev/null 2>&1 &
        until grep -q . $0.ids 2>/dev/null; do sleep 0.02; done",
    );
    let looking = script(
        "looking",
        &format!(
            "for id in $(cat {0}.ids); do grep -qs '^State:.[^ZX]' /proc/$id/status && echo alive; done; echo looked",
            launching.display()
        ),
    );
    let toml = format!(
        "[config]\nop = \"exec:{0}\"\nstop = \"exec:{1}\"\n[grants]\nexec = [{{ run = \"{0}\", keep = true }}, \"{1}\"]\n\
         tcp = [\"127.0.0.1:1\"]\nudp = [\"127.0.0.1:1\"]\nlookup = true\nhttp = [\"127.0.0.1:1\"]\n",
        launching.display(),
        looking.display()
    );
    let service = Service::empty().bytes("handler.wasm", &probe, 0o644).file("service.toml", &toml, 0o644);
    let cluster = Cluster::builder().nodes(1).service("10-probe", service).start();
    cluster.wait_healthy();
    let node = cluster.any();
    cluster.wait_shown(node, &["local"], 0, &["kept", ", process "]);
    let id = fs::read_to_string(launching.with_extension("ids")).expect("it was launched");
    let id: i32 = id.trim().parse().expect("it is a number");
    node.kill();
    // Its stop has found it alive, and then it is ended.
    cluster.wait_log(&node.name, &["found: code Some(0)", "alive", "looked"]);
    koi_testkit::wait_for("it is ended", || !koi_testkit::lives(id));
}

#[test]
fn a_plugin_that_cannot_be_loaded_fails_its_service_on_its_node_and_nothing_else() {
    let cluster = Cluster::builder().nodes(3).service("10-net", Service::recorded()).start();
    let master = cluster.wait_healthy();
    let peace = Peace::of(&cluster);
    let standby = cluster.others(&master).next().expect("there are three");
    standby.add("20-db", &in_its_folder(b"\0asm, and nothing that makes sense"));
    cluster.wait_for("it has failed", |c| c.status_of(&standby.name).is_some_and(|n| n.state == "Failed"));
    cluster.wait_shown(cluster.node(&master), &["status", &standby.name], 3, &["db", "handler.wasm"]);
    let listed = listed(standby, "handler").expect("it is listed by its file's name");
    assert_eq!((listed.state.as_str(), listed.services), ("error", vec!["db".to_owned()]));
    peace.assert_kept(&cluster);

    replace(&standby.services.join("20-db/handler.wasm"), &says("sense").build());
    standby.order(&["reconfigure"]).exits(0);
    cluster.any().order(&["recover", &standby.name]).exits(0);
    assert_eq!(cluster.wait_healthy(), master);
    cluster.wait_for("it serves", |c| message(c, &standby.name, "db").as_deref() == Some("sense"));
    peace.assert_kept(&cluster);
}

/// Of two standbys the one with the higher score is promoted, though the other is up for longer. `service` makes one with a
/// score.
fn the_higher_score_wins(service: impl Fn(i32) -> Service) {
    let cluster = Cluster::builder().nodes(3).service("10-net", Service::recorded()).start();
    let master = cluster.wait_healthy();
    let [old, young] = cluster.others(&master).collect::<Vec<_>>()[..] else { panic!("there are three") };
    young.stop();
    young.start();
    cluster.wait_well();
    let uptime_ms = |node: &Node| node.local().expect("it answers").node.uptime_ms;
    assert!(uptime_ms(old) > uptime_ms(young));

    for (node, score) in [(cluster.node(&master), 30), (old, 10), (young, 20)] {
        node.add("20-db", &service(score));
    }
    cluster.wait_status("every score is known", |status| {
        let score = |node: &koi_proto::api::NodeStatus| {
            node.services.as_ref()?.iter().find(|service| service.name == "db")?.score
        };
        let scores = |name: &str| status.nodes.iter().find(|node| node.name == name).and_then(score);
        (scores(&old.name), scores(&young.name)) == (Some(10), Some(20))
    });
    assert_eq!(cluster.wait_healthy(), master, "a score displaces nobody");
    cluster.node(&master).set_status("10-net", 7, "the cable is out");
    assert_eq!(cluster.wait_other_master(&master), young.name);
    cluster.hooks().assert_only(&young.name);
}

#[test]
fn the_score_of_a_script_decides() {
    the_higher_score_wins(|score| {
        let status =
            format!("#!/bin/sh\n[ \"$KOI_IS_PROMOTED\" = 1 ] && exit 0\necho score={score}\nexit 91\n");
        Service::empty().script("status", &status)
    });
}

#[test]
fn the_score_of_a_component_decides() {
    the_higher_score_wins(|score| {
        let status = format!("(call $status (i32.const 0) %{{well}} (i32.const 1) (i32.const {score}))");
        in_its_folder(&Guest::new("db").hook("status", &status).build())
    });
}

#[test]
fn the_score_of_a_native_plugin_decides() {
    let Some(library) = native::compile(&[]) else { return };
    the_higher_score_wins(|score| {
        let manifest = format!("handler = \"./db.so\"\n[config]\nscore = {score}\n");
        Service::empty().bytes("db.so", &library, 0o755).file("service.toml", &manifest, 0o644)
    });
}

#[test]
fn handlers_in_their_services_folders_show_their_details() {
    // A detail is two texts; the list of them stands behind the rest of a status.
    let status = "(i64.store (i32.const 1100) (i64.const 0)) (call $detail %{lag} %{3 bytes})
        (drop (call $status (i32.const 0) %{in step} (i32.const 0) (i32.const 0)))
        (i32.store (i32.const 1048) (i32.const 1104)) (i32.store (i32.const 1052) (i32.const 1)) (i32.const 1024)";
    let detail = "(func $detail (param i32 i32 i32 i32)
        (i32.store (i32.const 1104) (local.get 0)) (i32.store (i32.const 1108) (local.get 1))
        (i32.store (i32.const 1112) (local.get 2)) (i32.store (i32.const 1116) (local.get 3)))";
    let component = Guest::new("copies").item(detail).hook("status", status).build();
    let mut builder = Cluster::builder().nodes(1).service("10-copies", in_its_folder(&component));
    let mut expected = vec![("copies", "handler.wasm", "in step", "lag: 3 bytes")];
    match native::compile(&[("NAME", "\"counts\""), ("WORD", "\"one two\"")]) {
        Some(library) => {
            let manifest = "handler = \"./counts.so\"\n";
            let service =
                Service::empty().bytes("counts.so", &library, 0o755).file("service.toml", manifest, 0o644);
            builder = builder.service("20-counts", service);
            expected.push(("counts", "counts.so", "one two", "code: one two"));
        }
        None => skip("details of a native plugin"),
    }
    let cluster = builder.start();
    cluster.wait_healthy();
    for (name, file, said, details) in expected {
        cluster.wait_shown(cluster.any(), &["local"], 0, &[name, said, details]);
        let plugin = listed(cluster.any(), name).expect("it is listed");
        assert_eq!((plugin.state.as_str(), plugin.services), ("ready", vec![name.to_owned()]));
        assert!(plugin.path.is_some_and(|path| path.ends_with(file)));
    }
}

#[test]
fn what_a_component_has_stored_outlives_the_daemon() {
    let keep = "(call $set %{greeting} %{from an earlier life} (i32.const 1200))
        (if (i32.load8_u (i32.const 1200)) (then unreachable)) (call $done)";
    let well = "(call $status (i32.const 0) %{well} (i32.const 0) (i32.const 0))";
    let keeps = Guest::new("db").hook("start", keep).hook("status", well).build();
    let recall = "(call $get %{greeting} (i32.const 1200))
        (if (i32.load8_u (i32.const 1200)) (then unreachable))
        (if (i32.eqz (i32.load8_u offset=4 (i32.const 1200))) (then unreachable))
        (call $status (i32.const 0) (i32.load offset=8 (i32.const 1200)) (i32.load offset=12 (i32.const 1200)) (i32.const 0) (i32.const 0))";
    let recalls = Guest::new("db").hook("status", recall).build();
    let (cluster, plugins) = single(&keeps);
    cluster.wait_healthy();
    let node = cluster.any();
    // The next one only looks.
    plugins.put("db.wasm", &recalls);
    node.stop();
    node.start();
    assert_eq!(cluster.wait_healthy(), "a");
    cluster.wait_for("it knows", |c| message(c, "a", "db").as_deref() == Some("from an earlier life"));
    node.kill();
    node.start();
    assert_eq!(cluster.wait_healthy(), "a");
    cluster.wait_for("it still knows", |c| message(c, "a", "db").as_deref() == Some("from an earlier life"));
}

/// The processes that serve a node's native plugins, and those that they have forked.
fn native_processes(cluster: &Cluster, node: &str) -> usize {
    let pinned = cluster.folder().join(node).display().to_string();
    let processes = fs::read_dir("/proc").expect("Linux has it").flatten();
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let serves = |line: &Vec<u8>| {
        let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        words.get(1).is_some_and(|word| word == "plugin-native") && words[2].starts_with(&pinned)
    };
    lines.filter(serves).count()
}

#[test]
fn a_service_that_is_removed_leaves_no_process_behind() {
    let forks = "if (fork() == 0) { sleep(300); _exit(0); }";
    let Some(library) = native::compile(&[("NAME", "\"db\""), ("WORD", "\"db\""), ("PROMOTE", forks)]) else {
        return;
    };
    let manifest = "handler = \"./db.so\"\n";
    let native = Service::empty().file("service.toml", manifest, 0o644).bytes("db.so", &library, 0o644);
    let cluster = Cluster::builder().nodes(3).service("10-db", native).start();
    let master = cluster.wait_healthy();
    let [standby, other] = cluster.others(&master).collect::<Vec<_>>()[..] else { panic!("three nodes") };
    assert_eq!(native_processes(&cluster, &standby.name), 1, "{}", cluster.report());
    standby.remove("10-db");
    cluster.wait_for("nothing of the standby's runs", |c| native_processes(c, &standby.name) == 0);

    // What is promoted stays so until another node is to be master.
    cluster.node(&master).remove("10-db");
    cluster.wait_log(&master, &["the service db has gone from the folder; it was Promoted"]);
    cluster.wait_log(&master, &["db goes on as it was until it is stopped", "its folder is gone"]);
    let status = cluster.node(&master).order(&["status", &master]);
    assert!(status.exits(0).contains("its folder is gone"), "{}", status.exits(0));
    assert_eq!(native_processes(&cluster, &master), 2, "{}", cluster.report());
    other.order(&["promote", &other.name]).exits(0);
    cluster.wait_for("nothing of the old master's runs", |c| native_processes(c, &master) == 0);
    cluster.wait_master(&other.name);
    assert!(cluster.node(&master).is_running());
}
