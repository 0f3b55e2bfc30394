//! Whatever is written is read as the same configuration again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use koi_artifact::signature::TrustedKeys;
use koi_config::{
    Cluster, ClusterKey, Config, Electors, ExampleSettings, Failback, Fence, Group, Node, OnStopFailure,
    Plugins, Policy, Quorum, Services, Timeouts, Timing, example, parse_classic, parse_toml, show,
    to_classic, to_toml,
};
use koi_core::group::GroupName;
use koi_core::placing::Preference;
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

fn from_toml(text: &str) -> Config {
    parse_toml(text, Path::new("/etc/koi/koi.toml")).unwrap_or_else(|e| panic!("{e}\n{text}")).config
}

fn from_classic(text: &str) -> Config {
    parse_classic(text, Path::new("/etc/koi/koi.conf")).unwrap_or_else(|e| panic!("{e}\n{text}")).config
}

fn ms(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn a_path() -> impl Strategy<Value = PathBuf> {
    "(/[a-zA-Z0-9_ \"\\\\é-]{1,12}){1,3}".prop_map(PathBuf::from)
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let v4 = (1..=u32::MAX).prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
    let v6 = (1..=u128::MAX).prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)));
    (prop_oneof![v4, v6], prop_oneof![Just(42012), 1..=u16::MAX]).prop_map(SocketAddr::from)
}

prop_compose! {
    fn node()(
        name in "[a-z0-9é.\"\\\\-]{1,20}", runner in any::<bool>(), priority in any::<i32>(),
        (bind, bind_zone) in prop_oneof![
            Just((IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)),
            Just((IpAddr::V6(Ipv6Addr::LOCALHOST), 0)),
            // The loopback is the first interface everywhere; a number without an interface stays one.
            prop_oneof![Just(1), Just(987_654)].prop_map(|zone| (IpAddr::V6("fe80::1".parse().expect("an address")), zone)),
        ],
        port in prop_oneof![Just(42012), 1..=u16::MAX], increment_port in any::<bool>(), maintenance in any::<bool>(),
        state_dir in a_path(), socket in a_path(), watchdog in a_path(),
        fence in prop_oneof![Just(Fence::None), Just(Fence::Watchdog), Just(Fence::Reboot)],
        log_level in option::of(prop_oneof![Just("error"), Just("warn"), Just("info"), Just("debug"), Just("trace")]),
    ) -> Node {
        let log_level = log_level.map(str::to_owned);
        Node { name, elector: true, runner, priority, bind, bind_zone, port, increment_port, state_dir, socket, fence, watchdog, maintenance, log_level }
    }
}

fn electors_and_quorum() -> impl Strategy<Value = (Option<Electors>, Quorum)> {
    (1_u16..=15).prop_flat_map(|electors| {
        prop_oneof![
            Just((None, Quorum::Majority)),
            Just((None, Quorum::Off)),
            Just((Some(Electors::Count(electors)), Quorum::Majority)),
            (electors / 2 + 1..=electors)
                .prop_map(move |n| (Some(Electors::Count(electors)), Quorum::Count(n))),
        ]
    })
}

prop_compose! {
    fn cluster()(
        id in any::<u32>(), (electors, quorum) in electors_and_quorum(), transport in vec(address(), 0..4),
        key in prop_oneof![a_path().prop_map(ClusterKey::File), "\\PC{1,20}".prop_map(ClusterKey::Password), "[\\x00-\\x7f]{1,9}".prop_map(ClusterKey::Password)],
        accept_key_files in vec(a_path(), 0..3),
    ) -> Cluster {
        Cluster { id, electors, quorum, transport, key, accept_key_files }
    }
}

prop_compose! {
    fn timing()(
        heartbeat in ms(5..1_000), leader in ms(0..5_000), master in ms(0..5_000), demote_grace in ms(1..60_000),
        initial_promotion_delay in ms(0..100_000), failure_promotion_timeout in ms(0..100_000),
        status_interval in ms(10..100_000),
    ) -> Timing {
        let leader_lease = heartbeat * 3 + leader;
        let master_lease = leader_lease + heartbeat * 3 + master;
        Timing {
            heartbeat, leader_lease, master_lease, demote_grace, initial_promotion_delay, failure_promotion_timeout,
            status_interval,
        }
    }
}

prop_compose! {
    fn timeouts()(hooks in proptest::array::uniform7(ms(1..900_000))) -> Timeouts {
        let [start, stop, status, promote, demote, failed, changed] = hooks;
        Timeouts { start, stop, status, promote, demote, failed, changed }
    }
}

prop_compose! {
    fn policy()(
        status_failures in 1_u32..=1000, status_retry in ms(10..900_000), restarts in 0_u32..=100,
        restart_window in ms(1000..900_000), restart_timeout in ms(100..900_000), critical in any::<bool>(),
    ) -> Policy {
        Policy { status_failures, status_retry, restarts, restart_window, restart_timeout, critical }
    }
}

prop_compose! {
    fn services()(
        folder in a_path(), workingdir in option::of(a_path()), auto_recover in any::<u32>(),
        auto_recover_time in ms(0..100_000), auto_recover_wait_factor in 1_u32..=8, failcount_reset in ms(0..10_000_000),
        on_stop_failure in prop_oneof![Just(OnStopFailure::Block), Just(OnStopFailure::Ignore)],
        max_parallel in 1_u32..=4096, timeouts in timeouts(), policy in policy(),
    ) -> Services {
        let workingdir = workingdir.unwrap_or_else(|| folder.clone());
        Services {
            folder, workingdir, auto_recover, auto_recover_time, auto_recover_wait_factor, failcount_reset,
            on_stop_failure, max_parallel, timeouts, policy,
        }
    }
}

prop_compose! {
    fn plugins()(dirs in vec(a_path(), 0..3), keys in 0..3_usize, require_signature in any::<bool>()) -> Plugins {
        let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3".parse().expect("a key");
        // One that requires what nobody can give has a warning.
        Plugins { dirs, trusted_keys: TrustedKeys::new(vec![key; keys]), require_signature: require_signature && keys > 0 }
    }
}

prop_compose! {
    fn config()(
        node in node(), cluster in cluster(), timing in timing(), services in services(), plugins in plugins(),
        names in btree_set(prop_oneof![Just("main".to_owned()), "[a-zA-Z0-9_-]{1,32}"], 0..=7), usual in any::<bool>(),
        preference in 0_u64..=1000, failback in ms(1_000..600_000_000), score_slack in 0..=i64::MAX as u64,
    ) -> Config {
        let groups = names.iter().map(|name| {
            let folder = match (name.as_str(), usual) {
                ("main", _) => services.folder.clone(),
                (_, true) => Path::new("/etc/koi/groups").join(name),
                // No other path of these has so long a name.
                (_, false) => Path::new("/folders-of-groups").join(name),
            };
            let name = name.parse().expect("a name of a group");
            let preference = Preference::new(preference).expect("in its range");
            let group = Group { folder, preference, score_slack, ..Group::new(&name) };
            let group = match (name.is_main(), usual) {
                (true, _) => group,
                (false, true) => Group { together_with: Some(GroupName::MAIN), ..group },
                (false, false) => {
                    let apart_from = [GroupName::MAIN].into();
                    Group { apart_from, failback: Failback::After(failback), ..group }
                }
            };
            (name, group)
        });
        Config { groups: groups.collect(), node, cluster, timing, services, plugins, fence: None }
    }
}

/// What is left of a configuration when `koi.conf` must be able to say it.
fn as_classic_can_say(mut config: Config) -> Config {
    let default = from_classic("");
    config.timing = Timing {
        initial_promotion_delay: config.timing.initial_promotion_delay,
        failure_promotion_timeout: config.timing.failure_promotion_timeout,
        status_interval: config.timing.status_interval,
        ..default.timing
    };
    config.node.fence = Fence::None;
    config.groups.clear();
    config.node.watchdog = "/dev/watchdog".into();
    config.services.on_stop_failure = default.services.on_stop_failure;
    config.services.max_parallel = default.services.max_parallel;
    config.services.policy = default.services.policy;
    config.services.timeouts.changed = default.services.timeouts.changed;
    config.plugins = default.plugins;
    config.cluster.accept_key_files = Vec::new();
    if matches!(config.cluster.key, ClusterKey::File(_)) {
        config.cluster.key = ClusterKey::Password("from a file".to_owned());
    }
    (config.cluster.electors, config.cluster.quorum) = match config.quorum_size().min(8) {
        0 => (None, Quorum::Off),
        needed => (Some(Electors::Count(needed * 2 - 1)), Quorum::Count(needed)),
    };
    config
}

proptest! {
    #[test]
    fn toml_says_everything(config in config()) {
        prop_assert_eq!(&from_toml(&to_toml(&config)), &config);
    }

    #[test]
    fn show_is_a_configuration_too(mut config in config()) {
        config.cluster.key = ClusterKey::File("/etc/koi/cluster.key".into());
        config.node.log_level.get_or_insert("info".to_owned());
        prop_assert_eq!(&from_toml(&show(&config)), &config);
    }

    #[test]
    fn classic_says_what_it_has_words_for(config in config()) {
        let config = as_classic_can_say(config);
        let (text, lost) = to_classic(&config);
        prop_assert_eq!(&lost, &Vec::<String>::new());
        prop_assert_eq!(&from_classic(&text), &config);
        prop_assert_eq!(&from_toml(&to_toml(&config)), &config);
    }
}

#[test]
fn a_classic_file_becomes_the_same_configuration_in_toml() {
    let text = "node { port 7001 runner true }\ncluster { quorum 2 transport \"127.0.0.1:7002 [::1]\" }\n\
                time { status_interval 250 }\nservice { folder svc }";
    let config = from_classic(text);
    assert_eq!(from_toml(&to_toml(&config)), config);
}

#[test]
fn what_classic_cannot_say_is_told() {
    let config = from_toml(
        r#"
[node]
name = "a"
fence = "reboot"
[cluster]
electors = ["a", "b", "c", "d"]
key_file = "/k"
[timing]
heartbeat = "50ms"
"#,
    );
    let (text, lost) = to_classic(&config);
    insta::assert_snapshot!(text, @r#"
    ; koi's configuration in the classic format. What is not here has its default.

    node {
        name "a"
        runner true
    }

    cluster {
        quorum 3
    }
    "#);
    insta::assert_snapshot!(lost.join("\n"), @r#"
    node.fence = "reboot": koi.conf has no such key
    timing.heartbeat = "50ms": koi.conf has no such key
    the key in /k: koi.conf knows passwords only, set cluster.password on every node
    the electors' names (a, b, c, d): koi.conf has only cluster.quorum
    cluster.electors = 4: cluster.quorum = 3 is taken for 5 there
    "#);
}

#[test]
fn show_says_every_value_and_hides_the_password() {
    let config = from_toml("[node]\nname = \"a\"\n[cluster]\npassword = \"sesame\"\n");
    insta::assert_snapshot!(show(&config), @r#"
    [node]
    name = "a"                                 # what people call this node
    elector = true                             # whether it votes
    runner = true                              # whether it runs services
    priority = 0                               # rank in the election; higher first
    bind = "0.0.0.0"                           # the address to listen on
    port = 42012                               # UDP: cluster; TCP: API from afar
    increment_port = false                     # take the next free port if this one is in use
    state_dir = "/var/lib/koi"                 # keeps what must survive a restart
    socket = "/run/koi/koid.sock"              # API on this machine
    fence = "none"                             # none, watchdog or reboot: if something cannot be demoted in time
    watchdog = "/dev/watchdog"                 # the device of fence = "watchdog"
    maintenance = false                        # run no hooks, be no candidate
    log_level = "info"                         # error, warn, info, debug or trace

    [cluster]
    id = 13                                    # tells clusters on one port or multicast group apart
    # electors is not set                      # how many electors there are, or a list of their names; unset: quorum is off
    quorum = "majority"                        # electors needed: majority, a number, or off (0 in koi.conf)
    transport = []                             # where the others are: IP, IP:port, [IPv6]:port, multicast
    # key_file is not set                      # the key, made by `koi keygen`; this or a password
    password = "…"                             # instead of a key file
    accept_key_files = []                      # further keys that are accepted, while rotating

    [timing]
    heartbeat = "100ms"                        # how often the leader speaks
    leader_lease = "500ms"                     # how long electors stay with a silent leader; at least 3 heartbeats
    master_lease = "1s"                        # how long a master may go on unheard; at least leader_lease + 3 heartbeats
    demote_grace = "1s"                        # by when a runner that lost its lease is surely down
    initial_promotion_delay = "5s"             # how long a starting cluster waits for better candidates
    failure_promotion_timeout = "60s"          # how long a runner that has failed is passed over
    status_interval = "10s"                    # how often status runs

    [services]
    folder = "/etc/koi/services"               # where the services are
    workingdir = "/etc/koi/services"           # where single-file services run; unset: the services folder
    auto_recover = 120                         # how often a failed node tries again by itself; 0: never
    auto_recover_time = "10s"                  # how long it waits before it does
    auto_recover_wait_factor = 1               # by what that grows with each try, 1 to 8
    failcount_reset = "30m"                    # time without failure after which tries count anew
    on_stop_failure = "block"                  # block: nobody takes over from a node whose stop failed; or ignore
    max_parallel = 64                          # hooks running at once

    [services.timeouts]
    start = "360s"                             # how long start may take
    stop = "360s"                              # how long stop may take
    status = "120s"                            # how long status may take
    promote = "30s"                            # how long promote may take
    demote = "30s"                             # how long demote may take
    failed = "20s"                             # how long failed may take
    changed = "20s"                            # how long changed may take, and no longer than until the next status

    [services.policy]
    status_failures = 1                        # bad statuses in a row with which a service has failed, 1 to 1000
    status_retry = "1s"                        # how soon status runs again after a bad one that was not the last
    restarts = 0                               # how often a service that has failed is restarted in place within restart_window, 0 to 100
    restart_window = "10m"                     # in which restarts are counted
    restart_timeout = "30s"                    # how long a restart may take, with all services above it
    critical = true                            # false: a service that fails is tried again by itself, and its node goes on

    [plugins]
    dirs = ["/usr/lib/koi/plugins", "/etc/koi/plugins"] # where plugins are looked for
    trusted_keys = []                          # public keys of minisign: whose signatures of plugins count
    require_signature = false                  # refuse plugins that none of these keys has signed; scripts have no signatures
    "#);
}

#[test]
fn a_file_with_defaults_only_says_nothing_but_the_key() {
    let text = to_toml(&from_toml("[cluster]\nelectors = 3\nkey_file = \"/etc/koi/cluster.key\"\n"));
    let active: Vec<&str> = text.lines().filter(|l| !l.starts_with(['#', '[']) && !l.is_empty()).collect();
    assert_eq!(active.len(), 2, "{text}");
    insta::assert_snapshot!(text, @r#"
    # koi's configuration. What is commented out has its default, or is unset.

    [node]
    # name = "<host name>"                     # what people call this node
    # elector = true                           # whether it votes
    # runner = true                            # whether it runs services
    # priority = 0                             # rank in the election; higher first
    # bind = "0.0.0.0"                         # the address to listen on
    # port = 42012                             # UDP: cluster; TCP: API from afar
    # increment_port = false                   # take the next free port if this one is in use
    # state_dir = "/var/lib/koi"               # keeps what must survive a restart
    # socket = "/run/koi/koid.sock"            # API on this machine
    # fence = "none"                           # none, watchdog or reboot: if something cannot be demoted in time
    # watchdog = "/dev/watchdog"               # the device of fence = "watchdog"
    # maintenance = false                      # run no hooks, be no candidate
    # log_level = "info"                       # error, warn, info, debug or trace

    [cluster]
    # id = 13                                  # tells clusters on one port or multicast group apart
    electors = 3                               # how many electors there are, or a list of their names; unset: quorum is off
    # quorum = "majority"                      # electors needed: majority, a number, or off (0 in koi.conf)
    # transport = []                           # where the others are: IP, IP:port, [IPv6]:port, multicast
    key_file = "/etc/koi/cluster.key"          # the key, made by `koi keygen`; this or a password
    # password = "…"                           # instead of a key file
    # accept_key_files = []                    # further keys that are accepted, while rotating

    [timing]
    # heartbeat = "100ms"                      # how often the leader speaks
    # leader_lease = "500ms"                   # how long electors stay with a silent leader; at least 3 heartbeats
    # master_lease = "1s"                      # how long a master may go on unheard; at least leader_lease + 3 heartbeats
    # demote_grace = "1s"                      # by when a runner that lost its lease is surely down
    # initial_promotion_delay = "5s"           # how long a starting cluster waits for better candidates
    # failure_promotion_timeout = "60s"        # how long a runner that has failed is passed over
    # status_interval = "10s"                  # how often status runs

    [services]
    # folder = "/etc/koi/services"             # where the services are
    # workingdir = "/etc/koi/services"         # where single-file services run; unset: the services folder
    # auto_recover = 120                       # how often a failed node tries again by itself; 0: never
    # auto_recover_time = "10s"                # how long it waits before it does
    # auto_recover_wait_factor = 1             # by what that grows with each try, 1 to 8
    # failcount_reset = "30m"                  # time without failure after which tries count anew
    # on_stop_failure = "block"                # block: nobody takes over from a node whose stop failed; or ignore
    # max_parallel = 64                        # hooks running at once

    [services.timeouts]
    # start = "360s"                           # how long start may take
    # stop = "360s"                            # how long stop may take
    # status = "120s"                          # how long status may take
    # promote = "30s"                          # how long promote may take
    # demote = "30s"                           # how long demote may take
    # failed = "20s"                           # how long failed may take
    # changed = "20s"                          # how long changed may take, and no longer than until the next status

    [services.policy]
    # status_failures = 1                      # bad statuses in a row with which a service has failed, 1 to 1000
    # status_retry = "1s"                      # how soon status runs again after a bad one that was not the last
    # restarts = 0                             # how often a service that has failed is restarted in place within restart_window, 0 to 100
    # restart_window = "10m"                   # in which restarts are counted
    # restart_timeout = "30s"                  # how long a restart may take, with all services above it
    # critical = true                          # false: a service that fails is tried again by itself, and its node goes on

    [plugins]
    # dirs = ["/usr/lib/koi/plugins", "/etc/koi/plugins"] # where plugins are looked for
    # trusted_keys = []                        # public keys of minisign: whose signatures of plugins count
    # require_signature = false                # refuse plugins that none of these keys has signed; scripts have no signatures
    "#);
}

#[test]
fn the_first_configuration_is_valid_and_without_warnings() {
    let loaded = parse_toml(&example(&ExampleSettings::default()), Path::new("/etc/koi/koi.toml")).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.quorum_size(), 2);
    insta::assert_snapshot!(example(&ExampleSettings::default()), @r#"
    # koi's configuration, the same on every node. All keys: docs/configuration.md, or `koi config show`.

    [node]
    # name = "<host name>"                     # what people call this node
    # runner = false                           # on a machine that only votes

    [cluster]
    electors = 3                               # how many nodes vote: 3 or 5, an odd number
    transport = ["192.0.2.1", "192.0.2.2", "192.0.2.3"] # all nodes, or a multicast group
    key_file = "/etc/koi/cluster.key"          # made by `koi keygen`, the same on every node

    [timing]
    # demote_grace = "1s"                      # longer than your slowest demote

    [services]
    # folder = "/etc/koi/services"             # where the services are
    "#);
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(
        pieces in vec(prop_oneof![
            Just("node"), Just("cluster"), Just("{"), Just("}"), Just("\""), Just("\\"), Just("\n"), Just(" "), Just(";"),
            Just("["), Just("]"), Just("="), Just("port"), Just("quorum"), Just("65536"), Just("transport"), Just("é"),
            Just("#"), Just("."), Just("'''"), Just("timeouts"), Just("services"), Just("time"), Just("status_interval"),
        ], 0..40),
    ) {
        let text = pieces.concat();
        let _ = parse_toml(&text, Path::new("koi.toml"));
        let _ = parse_classic(&text, Path::new("koi.conf"));
    }
}
