//! What people see when a file is full of mistakes: all of them, each with its line and what to do.

use std::path::Path;

use koi_config::{ConfigError, Loaded, parse_classic, parse_toml};

fn toml_error(text: &str) -> String {
    parse_toml(text, Path::new("/etc/koi/koi.toml")).expect_err("the text is wrong").to_string()
}

fn classic_error(text: &str) -> String {
    parse_classic(text, Path::new("/etc/koi/koi.conf")).expect_err("the text is wrong").to_string()
}

fn warnings(loaded: Result<Loaded, ConfigError>) -> String {
    loaded.expect("the text is right").warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn groups_that_cannot_be() {
    let text = r#"
[cluster]
electors = 3
key_file = "cluster.key"
[services]
folder = "/srv/koi"
[groups]
stray = 3
[groups.main]
folder = "/srv/main"
[groups."a b"]
[groups.web]
folder = "/srv/koi/web"
foldr = "/srv/web"
[groups.web]
"#;
    insta::assert_snapshot!(toml_error(text), @r#"
    /etc/koi/koi.toml:8: groups.stray is not a group
        write it below [groups.NAME]; the keys are: folder, preference, apart_from, together_with, failback, score_slack
    /etc/koi/koi.toml:10: groups.main.folder cannot be set: `main` is the group of the services folder
        set services.folder
    /etc/koi/koi.toml:11: groups."a b": not a name of a group: 1 to 32 letters, digits, `-` and `_` are expected
    /etc/koi/koi.toml:14: unknown key groups.web.foldr; did you mean groups.web.folder?
        the keys of a group are: folder, preference, apart_from, together_with, failback, score_slack
    /etc/koi/koi.toml:15: web is set a second time
    "#);
    let too_many: String = (0..8).map(|n| format!("[groups.g{n}]\n")).collect();
    let text = format!(
        "[cluster]\nelectors = 3\nkey_file = \"k\"\n{too_many}[groups.h]\nfolder = \"/etc/koi/groups/g0\"\n"
    );
    insta::assert_snapshot!(toml_error(&text), @r#"
    /etc/koi/koi.toml:11: there are 9 groups beside `main`, and a node may have at most 7
        join groups that move together
    /etc/koi/koi.toml:13: the groups g0 and h have the same folder, /etc/koi/groups/g0: each service belongs to one group
        give each group a folder of its own, beside the others
    "#);
    let text = "[groups.web]\nfolder = 7\n[cluster]\nelectors = 3\nkey_file = \"k\"\n";
    insta::assert_snapshot!(toml_error(text), @r#"
    /etc/koi/koi.toml:2: groups.web.folder must be a path, not the number 7
        write it in double quotes
    "#);
    insta::assert_snapshot!(toml_error(&text.replace("[groups.web]\nfolder = 7", "groups = 7")), @r#"
    /etc/koi/koi.toml:1: groups is a section, not a key
        write [groups.NAME] on a line of its own, and the group's keys below
    "#);
}

#[test]
fn places_of_groups_that_cannot_be() {
    let text = r#"
[cluster]
electors = 3
key_file = "cluster.key"
[groups.main]
preference = 1001
apart_from = ["web", 7]
[groups.web]
together_with = "dB"
failback = 10
score_slack = -1
[groups.db]
preference = "high"
failback = "1ms"
"#;
    insta::assert_snapshot!(toml_error(text), @r#"
    /etc/koi/koi.toml:6: groups.main.preference must be a whole number from 0 (never master here) to 1000, not the number 1001
    /etc/koi/koi.toml:7: groups.main.apart_from must be the name of a group, not the number 7
        write it in double quotes
    /etc/koi/koi.toml:10: groups.web.failback must be "off", or a time such as "10m", not the number 10
    /etc/koi/koi.toml:11: groups.web.score_slack must be a whole number from 0 to 18446744073709551615, not the number -1
    /etc/koi/koi.toml:13: groups.db.preference must be a whole number from 0 (never master here) to 1000, not the text "high"
    /etc/koi/koi.toml:14: groups.db.failback is 1ms, and must be "off", or from 1s to 168h
    "#);
    let text = "[groups.a]\ntogether_with = \"b\"\n[groups.b]\ntogether_with = \"a\"\n[cluster]\nelectors = 3\nkey_file = \"k\"\n";
    insta::assert_snapshot!(toml_error(text), @r#"
    /etc/koi/koi.toml:2: groups go together in a circle: a, b
        one of them must come first, and has no together_with
    "#);
    let text = "[groups.a]\ntogether_with = \"main\"\napart_from = [\"main\"]\n[cluster]\nelectors = 3\nkey_file = \"k\"\n";
    insta::assert_snapshot!(toml_error(text), @r#"
    /etc/koi/koi.toml:3: group a is apart from main, and goes together with it
        leave one of the two out
    "#);
    let text = "[groups.a]\ntogether_with = \"main\"\nfailback = \"10m\"\n[cluster]\nelectors = 3\nkey_file = \"k\"\n";
    insta::assert_snapshot!(toml_error(text), @r#"
    /etc/koi/koi.toml:3: group a goes together with main and moves after it
        leave failback out, and say it of group main
    "#);
    let text = "[groups.a]\napart_from = [\"man\"]\n[groups.b]\ntogether_with = \"man\"\n[cluster]\nelectors = 3\nkey_file = \"k\"\n";
    insta::assert_snapshot!(warnings(parse_toml(text, Path::new("/etc/koi/koi.toml"))), @r#"
    /etc/koi/koi.toml:2: groups.a.apart_from names the group man, which this node does not have
        it holds where other nodes have that group; if none has, mend the name
    /etc/koi/koi.toml:4: groups.b.together_with names the group man, which this node does not have
        this node is never master of the one, for it is never master of the other; add the group, or mend the name
    /etc/koi/koi.toml: cluster.transport is empty: this node sends to nobody
        list the addresses of the other nodes, or a multicast group
    "#);
}

#[test]
fn a_toml_file_with_many_mistakes() {
    let text = r#"
port = 42012
[nodes]
name = "a"
[node]
prot = 42012
port = 70000
elector = "yes"
heartbeat = "100ms"
fence = "fire"
[cluster]
electors = 3
quorum = 1
transport = [
    "10.0.0.1",
    "node2",
    7,
]
key_file = "cluster.key"
password = "both"
[timing]
heartbeat = 100
master_lease = "500ms"
status_interval = "10"
[services]
max_parallel = 0
auto_recover_wait_factor = 9
[services.timeouts]
start = "1 hour"
strat = "1h"
[plugins]
dirs = "/usr/lib/koi/plugins"
"#;
    insta::assert_snapshot!(toml_error(text), @r#"
    /etc/koi/koi.toml:2: port stands in no section; did you mean node.port?
        write it below [node]
    /etc/koi/koi.toml:3: unknown section [nodes]; did you mean [node]?
        the sections are: [node] [cluster] [timing] [services] [services.timeouts] [services.policy] [plugins] [groups.NAME] [fence]
    /etc/koi/koi.toml:6: unknown key node.prot; did you mean node.port?
        the keys of [node] are: name, elector, runner, priority, bind, port, increment_port, state_dir, socket, fence, watchdog, maintenance, log_level
    /etc/koi/koi.toml:7: node.port must be a whole number from 1 to 65535, not the number 70000
    /etc/koi/koi.toml:8: node.elector must be true or false, not the text "yes"
    /etc/koi/koi.toml:9: unknown key node.heartbeat; did you mean timing.heartbeat?
        write it below [timing]
    /etc/koi/koi.toml:10: node.fence must be "none", "watchdog" or "reboot", not the text "fire"
    /etc/koi/koi.toml:13: cluster.quorum = 1 is no majority of 3 electors: two halves could both lead
        use quorum = "majority"; if split brain is acceptable, quorum = "off" is what allows it
    /etc/koi/koi.toml:16: cluster.transport holds "node2", which is no IP address
        koi resolves no host names, for a cluster must not depend on DNS: write the address
    /etc/koi/koi.toml:17: cluster.transport must be a list of addresses, each a text, not the number 7
        write it in double quotes
    /etc/koi/koi.toml:20: cluster.key_file and cluster.password are both set
        keep one of them; a key file is safer
    /etc/koi/koi.toml:22: timing.heartbeat must be a time such as "10s", not the number 100
        write "100s" for seconds or "100ms" for milliseconds
    /etc/koi/koi.toml:24: timing.status_interval has no unit: "10"
        write "10s" for seconds or "10ms" for milliseconds
    /etc/koi/koi.toml:26: services.max_parallel is 0, and must be from 1 to 4096
    /etc/koi/koi.toml:27: services.auto_recover_wait_factor is 9, and must be from 1 to 8
    /etc/koi/koi.toml:29: services.timeouts.start must be a time such as "10s", not "1 hour"
        a time is a whole number and one of the units ms, s, m, h
    /etc/koi/koi.toml:30: unknown key services.timeouts.strat; did you mean services.timeouts.start?
        the keys of [services.timeouts] are: start, stop, status, promote, demote, failed, changed
    /etc/koi/koi.toml:32: plugins.dirs must be a list of paths, not the text "/usr/lib/koi/plugins"
        write it in square brackets: ["…", "…"]
    "#);
}

#[test]
fn text_that_is_no_toml_is_told_by_line() {
    let text = "[node]\nname = a\nport = 1\nport = 2\nelektor = true\n\n[cluster\nid = 13\n";
    insta::assert_snapshot!(toml_error(text), @r#"
    /etc/koi/koi.toml:2: string values must be quoted, expected literal string
    /etc/koi/koi.toml:4: port is set a second time
    /etc/koi/koi.toml:5: unknown key node.elektor; did you mean node.elector?
        the keys of [node] are: name, elector, runner, priority, bind, port, increment_port, state_dir, socket, fence, watchdog, maintenance, log_level
    /etc/koi/koi.toml:7: unclosed table, expected `]`
    "#);
}

#[test]
fn classic_sections_and_keys_in_toml_are_recognised() {
    let text = "[node]\nloglevel = \"info\"\n[time]\nstatus_interval = \"1s\"\n[cluster]\npassword = \"x\"\n";
    insta::assert_snapshot!(toml_error(text), @r#"
    /etc/koi/koi.toml:2: unknown key node.loglevel; did you mean node.log_level?
        the keys of [node] are: name, elector, runner, priority, bind, port, increment_port, state_dir, socket, fence, watchdog, maintenance, log_level
    /etc/koi/koi.toml:3: unknown section [time]; did you mean [timing]?
        this is a section of the classic koi.conf: `koi config convert` turns one into koi.toml
    "#);
}

#[test]
fn a_classic_file_with_many_mistakes() {
    let text = r#"; a comment
port 42012
nod {
    name a
}
node
{
    prot 42012
    port 70000
    elector yes
    loglevel loud
    node.port 1
}
cluster {
    id thirteen
    electors 3
    quorum -1
    password ""
    transport 10.0.0.1, 10.0.0.2
}
service value {
    start_timeout 1day
    auto_recover_wait_factor 9
    status_timeout 0
    status_interval 10s
}
time {
    master_dead_time soon
}
service
"#;
    insta::assert_snapshot!(classic_error(text), @r#"
    /etc/koi/koi.conf:2: port stands in no section; did you mean node.port?
        write: node { port … }
    /etc/koi/koi.conf:3: unknown section nod; did you mean node?
        the sections are: node, cluster, service, time
    /etc/koi/koi.conf:8: unknown key node.prot; did you mean node.port?
        the keys of node are: name, elector, runner, priority, bind, port, increment_port, state_dir, socket, maintenance, loglevel, force_restart, reuse_address
    /etc/koi/koi.conf:9: node.port must be a whole number from 1 to 65535, not "70000"
    /etc/koi/koi.conf:10: node.elector must be true or false, not "yes"
    /etc/koi/koi.conf:11: node.loglevel must be "error", "warn", "info", "debug" or "trace", not the text "loud"
    /etc/koi/koi.conf:12: unknown key node.node.port; did you mean node.port?
        the keys of node are: name, elector, runner, priority, bind, port, increment_port, state_dir, socket, maintenance, loglevel, force_restart, reuse_address
    /etc/koi/koi.conf:15: cluster.id must be a whole number from 0 to 4294967295, not "thirteen"
    /etc/koi/koi.conf:16: unknown key cluster.electors: only koi.toml has cluster.electors
        `koi config convert` turns this file into koi.toml
    /etc/koi/koi.conf:17: cluster.quorum must be the number of electors needed, or 0 for off, not "-1"
    /etc/koi/koi.conf:18: cluster.password is empty
        set one of your own, the same on every node
    /etc/koi/koi.conf:19: unknown key cluster.10.0.0.2; did you mean cluster.id?
        put the whole list of addresses in double quotes
    /etc/koi/koi.conf:21: section service has a value, "value"
        write: service { … }
    /etc/koi/koi.conf:22: service.start_timeout must be a time such as "10s", not "1day"
        a time is a whole number and one of the units ms, s, m, h
    /etc/koi/koi.conf:23: service.auto_recover_wait_factor is 9, and must be from 1 to 8
    /etc/koi/koi.conf:24: service.status_timeout is 0s, and must be from 1ms to 24h
    /etc/koi/koi.conf:25: unknown key service.status_interval; did you mean time.status_interval?
        write it in time { … }
    /etc/koi/koi.conf:28: time.master_dead_time must be a time such as "10s", not "soon"
        a time is a whole number and one of the units ms, s, m, h
    /etc/koi/koi.conf:30: section service has no braces
        write: service { … }
    "#);
}

#[test]
fn classic_text_that_breaks_the_syntax_is_told_by_line() {
    let text = r#"#include "other.conf"
# no comment
node{
    port 1
}
}
cluster {
    password "open
    transport "10.0.0.1\x"
    inner {
        key value
    }
    prot 1
time {
    status_interval 10s
}
"#;
    insta::assert_snapshot!(classic_error(text), @r#"
    /etc/koi/koi.conf:1: #include is not supported
        put the text of the included file here, or use one koi.toml
    /etc/koi/koi.conf:2: # begins no comment here
        comments begin with a semicolon
    /etc/koi/koi.conf:3: no space before the brace in "node{"
        write: node { … }
    /etc/koi/koi.conf:4: port stands in no section; did you mean node.port?
        write: node { port … }
    /etc/koi/koi.conf:5: } without a { before it
        delete it, or open the section that it is to close
    /etc/koi/koi.conf:6: } without a { before it
        delete it, or open the section that it is to close
    /etc/koi/koi.conf:7: section cluster is never closed
        add the missing } with a space before it
    /etc/koi/koi.conf:8: the text that begins here has no closing "
        close it on the same line
    /etc/koi/koi.conf:9: unknown escape \x
        for a backslash write \\
    /etc/koi/koi.conf:10: a section within a section
        sections do not nest; close the outer one first
    /etc/koi/koi.conf:13: unknown key cluster.prot; did you mean cluster.id?
        the keys of cluster are: id, quorum, transport, password
    /etc/koi/koi.conf:14: a section within a section
        sections do not nest; close the outer one first
    "#);
}

#[test]
fn without_electors_or_with_two_there_is_a_warning() {
    let toml = |cluster: &str| {
        let text = format!("[cluster]\npassword = \"long enough\"\ntransport = [\"127.0.0.1\"]\n{cluster}");
        warnings(parse_toml(&text, Path::new("koi.toml")))
    };
    insta::assert_snapshot!(toml(""), @r#"
    koi.toml: electors is not set, so quorum is off: split brain is possible; set cluster.electors
        cluster.electors = 3, say, or a list of their names; the same on every node
    "#);
    insta::assert_snapshot!(toml("electors = 2"), @r#"
    koi.toml:4: with 2 electors the majority is both: when one is lost, no failover is possible
        add a third elector; a machine that only votes is enough (node.runner = false)
    "#);
    insta::assert_snapshot!(toml("electors = 2\nquorum = \"off\""), @r#"
    koi.toml:5: quorum is off: split brain is possible, two nodes that do not hear each other both become master
        set cluster.electors and quorum = "majority"; the third elector may be a machine that only votes
    "#);
    assert_eq!(toml("electors = 3"), "");
    assert_eq!(toml("electors = 3\nquorum = 2"), "");
}

#[test]
fn a_quorum_must_be_a_majority_of_known_electors() {
    let error = |cluster: &str| toml_error(&format!("[cluster]\npassword = \"long enough\"\n{cluster}"));
    insta::assert_snapshot!(error("electors = 4\nquorum = 2"), @r#"
    /etc/koi/koi.toml:4: cluster.quorum = 2 is no majority of 4 electors: two halves could both lead
        use quorum = "majority"; if split brain is acceptable, quorum = "off" is what allows it
    "#);
    insta::assert_snapshot!(error("electors = 3\nquorum = 4"), @r#"
    /etc/koi/koi.toml:4: cluster.quorum is 4, but there are only 3 electors
        quorum = "majority" is 2 of 3
    "#);
    insta::assert_snapshot!(error("quorum = 2"), @r#"
    /etc/koi/koi.toml:3: cluster.quorum is 2, but cluster.electors is not set: nobody knows if that is a majority
        set cluster.electors
    "#);
    insta::assert_snapshot!(error("electors = 16"), @r#"
    /etc/koi/koi.toml:3: a cluster has 1 to 15 electors, not 16
        3 or 5 are usual; further nodes can be runners only
    "#);
    insta::assert_snapshot!(error("electors = []\n[node]\nname = \"a\""), @r#"
    /etc/koi/koi.toml:3: cluster.electors does not name this node, "a", which is an elector
        add it to cluster.electors on every node, or set node.elector = false, or set node.name
    /etc/koi/koi.toml:3: a cluster has 1 to 15 electors, not 0
        3 or 5 are usual; further nodes can be runners only
    "#);
}

#[test]
fn electors_by_name_must_be_different_and_name_this_node() {
    let text = "[node]\nname = \"d\"\n[cluster]\npassword = \"long enough\"\nelectors = [\"a\", \"b\", \"a\", \"c c\"]\n";
    insta::assert_snapshot!(toml_error(text), @r#"
    /etc/koi/koi.toml:5: cluster.electors names "a" twice
        each node has a name of its own
    /etc/koi/koi.toml:5: cluster.electors: a name must have no white space and no control characters: "c c"
    /etc/koi/koi.toml:5: cluster.electors does not name this node, "d", which is an elector
        add it to cluster.electors on every node, or set node.elector = false, or set node.name
    "#);
}

#[test]
fn leases_must_leave_time_for_lost_datagrams_and_an_election() {
    let error = |timing: &str| {
        toml_error(&format!("[cluster]\npassword = \"long enough\"\nelectors = 3\n[timing]\n{timing}"))
    };
    insta::assert_snapshot!(error("leader_lease = \"299ms\""), @r#"
    /etc/koi/koi.toml:5: timing.leader_lease is 299ms, and must be at least 3 heartbeats: 300ms
        a shorter one ends whenever a datagram or two are lost; 5 heartbeats are usual
    "#);
    insta::assert_snapshot!(error("master_lease = \"799ms\""), @r#"
    /etc/koi/koi.toml:5: timing.master_lease is 799ms, and must be at least leader_lease + 3 heartbeats: 800ms
        a shorter one ends while a new leader is elected: a healthy master would be demoted
    "#);
    insta::assert_snapshot!(error("heartbeat = \"4ms\"\ndemote_grace = \"0s\""), @r#"
    /etc/koi/koi.toml:5: timing.heartbeat is 4ms, and must be from 5ms to 10s
    /etc/koi/koi.toml:6: timing.demote_grace is 0s, and must be from 1ms to 1h
    "#);
}

#[test]
fn a_node_must_do_something_and_have_a_name() {
    let text = "[node]\nname = \"a b\"\nelector = false\nrunner = false\n[cluster]\nelectors = 3\n";
    insta::assert_snapshot!(toml_error(text), @r#"
    /etc/koi/koi.toml:2: node.name must have no white space and no control characters: "a b"
    /etc/koi/koi.toml:4: this node is neither elector nor runner, so it has nothing to do
        set node.elector, node.runner or both to true
    /etc/koi/koi.toml: the cluster has no key: neither cluster.key_file nor cluster.password is set
        make one with `koi keygen`, copy it to every node, and set cluster.key_file
    "#);
}

#[test]
fn a_mistyped_password_is_not_repeated() {
    assert!(!toml_error("[cluster]\npassword = 123456\n").contains("123456"));
    let loaded = parse_toml("[cluster]\npassword = \"sesame\"\n", Path::new("koi.toml")).unwrap();
    assert!(!format!("{loaded:?}").contains("sesame"));
}
