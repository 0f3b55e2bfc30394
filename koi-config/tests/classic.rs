//! Every key of the classic `koi.conf`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use koi_config::{ClusterKey, Config, Electors, Loaded, Quorum, parse_classic, to_toml};

fn read(text: &str) -> Loaded {
    parse_classic(text, Path::new("/etc/koi/koi.conf")).unwrap_or_else(|e| panic!("{e}"))
}

fn with(section: &str, line: &str) -> Loaded {
    read(&format!("{section} {{ {line} }}"))
}

/// A section, a line in it, and what must then hold.
type Case = (&'static str, &'static str, fn(&Config) -> bool);

#[test]
fn every_key_with_an_equivalent_has_its_effect() {
    let cases: [Case; 32] = [
        ("node", "elector false runner true", |c| !c.node.elector),
        ("node", "runner true", |c| c.node.runner),
        ("node", "port 4711", |c| c.node.port == 4711),
        ("node", "maintenance true", |c| c.node.maintenance),
        ("node", "increment_port 1", |c| c.node.increment_port),
        ("node", "loglevel trace", |c| c.node.log_level.as_deref() == Some("trace")),
        ("node", "loglevel warning", |c| c.node.log_level.as_deref() == Some("warn")),
        ("node", "name \"b\"", |c| c.node.name == "b"),
        ("node", "state_dir /tmp/a", |c| c.node.state_dir == Path::new("/tmp/a")),
        ("node", "socket a.sock", |c| c.node.socket == Path::new("/etc/koi/a.sock")),
        ("node", "bind 127.0.0.1", |c| c.node.bind.is_loopback()),
        ("node", "priority -3", |c| c.node.priority == -3),
        ("cluster", "id 14", |c| c.cluster.id == 14),
        ("cluster", "quorum 2", |c| c.cluster.quorum == Quorum::Count(2) && c.elector_count() == 3),
        ("cluster", "quorum 3", |c| c.cluster.electors == Some(Electors::Count(5)) && c.quorum_size() == 3),
        ("cluster", "quorum 0", |c| c.cluster.quorum == Quorum::Off && c.quorum_size() == 0),
        ("cluster", "password sesame", |c| c.cluster.key == ClusterKey::Password("sesame".to_owned())),
        ("cluster", "transport 10.0.0.1", |c| {
            c.cluster.transport == [SocketAddr::from(([10, 0, 0, 1], 42012))]
        }),
        ("service", "folder /srv", |c| c.services.folder == Path::new("/srv")),
        ("service", "workingdir /tmp", |c| c.services.workingdir == Path::new("/tmp")),
        ("service", "start_timeout 1h", |c| c.services.timeouts.start == Duration::from_hours(1)),
        ("service", "stop_timeout 5m", |c| c.services.timeouts.stop == Duration::from_mins(5)),
        ("service", "status_timeout 250", |c| c.services.timeouts.status == Duration::from_millis(250)),
        ("service", "promote_timeout 250ms", |c| c.services.timeouts.promote == Duration::from_millis(250)),
        ("service", "demote_timeout 7s", |c| c.services.timeouts.demote == Duration::from_secs(7)),
        ("service", "failed_timeout 8s", |c| c.services.timeouts.failed == Duration::from_secs(8)),
        ("service", "auto_recover 0", |c| c.services.auto_recover == 0),
        ("service", "auto_recover_wait_factor 8", |c| c.services.auto_recover_wait_factor == 8),
        ("time", "status_interval 1s", |c| c.timing.status_interval == Duration::from_secs(1)),
        ("time", "initial_promotion_delay 60s", |c| {
            c.timing.initial_promotion_delay == Duration::from_mins(1)
        }),
        ("time", "auto_recover_time 1s failcount_reset 2s", |c| {
            c.services.auto_recover_time == Duration::from_secs(1)
                && c.services.failcount_reset == Duration::from_secs(2)
        }),
        ("time", "failure_promotion_timeout 3s", |c| {
            c.timing.failure_promotion_timeout == Duration::from_secs(3)
        }),
    ];
    for (section, line, holds) in cases {
        assert!(holds(&with(section, line).config), "{section} {{ {line} }}");
        assert!(!holds(&read("").config) || line == "quorum 0", "{section} {{ {line} }} is the default");
    }
}

#[test]
fn every_key_that_leases_replace_is_checked_and_has_no_effect() {
    let replaced = [
        ("node", "force_restart", "true"),
        ("node", "reuse_address", "false"),
        ("time", "cluster_update_interval", "1s"),
        ("time", "state_update_interval", "333"),
        ("time", "runner_tick_interval", "1s"),
        ("time", "elector_tick_interval", "1s"),
        ("time", "elector_lost_time", "3s"),
        ("time", "elector_gone_time", "8m"),
        ("time", "quorum_demote_time", "10s"),
        ("time", "mainloop_sleep_time", "333ms"),
        ("time", "master_dead_time", "5s"),
        ("time", "elector_startup_tolerance", "5s"),
    ];
    let default = read("");
    for (section, key, value) in replaced {
        let loaded = with(section, &format!("{key} {value}"));
        assert_eq!(loaded.config, default.config, "{key}");
        let said = loaded.warnings.iter().find(|w| w.message.contains("has no effect")).unwrap();
        assert!(said.message.starts_with(&format!("{section}.{key} has no effect: ")), "{said}");
        assert_eq!(said.line, Some(1));

        let wrong = parse_classic(&format!("{section} {{ {key} nonsense }}"), Path::new("koi.conf"));
        assert!(wrong.unwrap_err().to_string().contains(&format!("{section}.{key} must be")), "{key}");
    }
    assert!(!default.warnings.iter().any(|w| w.message.contains("has no effect")));
}

#[test]
fn an_empty_file_is_the_classic_default_and_warns_of_it() {
    let loaded = read("");
    assert!(loaded.config.node.elector && !loaded.config.node.runner);
    assert_eq!(loaded.config.cluster.id, 13);
    assert_eq!(loaded.config.cluster.key, ClusterKey::Password("secret".to_owned()));
    assert_eq!(loaded.config.timing.initial_promotion_delay, Duration::from_secs(5));
    assert_eq!(loaded.config.node.socket, Path::new("/run/koi/koid.sock"));
    let said = loaded.warnings.iter().map(|w| w.message.as_str()).collect::<Vec<_>>().join("\n");
    for word in ["\"secret\"", "quorum is off", "cluster.transport is empty"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn the_quorum_tells_how_many_electors_are_assumed() {
    let loaded = with("cluster", "quorum 2 password x transport 127.0.0.1");
    insta::assert_snapshot!(loaded.warnings[0], @r#"
    /etc/koi/koi.conf:1: cluster.quorum = 2 is taken as the majority of 3 electors
        if the cluster has another number of electors: `koi config convert`, and set cluster.electors
    "#);
    assert_eq!(loaded.warnings.len(), 1);
}

#[test]
fn a_transport_list_is_separated_by_whatever_people_write() {
    let text = "\"10.0.0.1, 10.0.0.2:7; fd00::3 [fd00::4]:8 239.0.0.14\"";
    let loaded = read(&format!("node {{ port 9 }}\ncluster {{ transport {text} }}"));
    let addresses: Vec<String> = loaded.config.cluster.transport.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.0.0.1:9", "10.0.0.2:7", "[fd00::3]:9", "[fd00::4]:8", "239.0.0.14:9"]);
}

#[test]
fn three_nodes_on_one_machine_that_differ_in_their_port_do_not_meet() {
    let node = |port: u16| {
        read(&format!(
            "node {{ port {port} runner true elector true }}\n\
             cluster {{ password p transport \"127.0.0.1:7001 127.0.0.1:7002 127.0.0.1:7003\" }}"
        ))
        .config
        .node
    };
    let (a, b) = (node(7001), node(7002));
    assert!(a.name.ends_with("-7001") && b.name.ends_with("-7002"));
    assert_eq!(a.socket, PathBuf::from("/run/koi/koid-7001.sock"));
    assert_eq!(b.state_dir, PathBuf::from("/var/lib/koi/7002"));
}

#[test]
fn the_first_of_two_values_counts_as_it_always_did() {
    let loaded = read("node {\n  port 1\n  port 2\n}\n");
    assert_eq!(loaded.config.node.port, 1);
    let said = loaded.warnings.iter().find(|w| w.line == Some(3)).unwrap();
    assert_eq!(said.message, "node.port is set a second time: the value in line 2 counts");
}

#[test]
fn a_converted_file_is_short_and_says_what_differs() {
    let text = r#"
node { name a port 42012 runner true elector true }
cluster { quorum 2 password "se\"same" transport "10.0.0.1, 10.0.0.2, 10.0.0.3:7" }
service { start_timeout 90s }
"#;
    let toml = to_toml(&read(text).config);
    let active: String = toml.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l}\n")).collect();
    insta::assert_snapshot!(active, @r#"

    [node]
    name = "a"                                 # what people call this node

    [cluster]
    electors = 3                               # how many electors there are, or a list of their names; unset: quorum is off
    quorum = 2                                 # electors needed: majority, a number, or off (0 in koi.conf)
    transport = ["10.0.0.1", "10.0.0.2", "10.0.0.3:7"] # where the others are: IP, IP:port, [IPv6]:port, multicast
    password = "se\"same"                      # instead of a key file

    [timing]

    [services]

    [services.timeouts]
    start = "90s"                              # how long start may take

    [services.policy]

    [plugins]
    "#);
}
