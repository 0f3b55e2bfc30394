//! `koi plugins list` and `inspect`, as snapshots.

use insta::assert_snapshot;
use koi_proto::api::{
    Grant, HandlerStatistics, Hook, HookStatistics, Plugin, PluginCompiled, PluginConfigKey, PluginDetail,
    PluginStatistics, PluginUse, ServiceProblem,
};

use super::layout::{Paint, View, text};
use super::plugins::{detail, list};

const PLAIN: View = View { width: 80, paint: Paint(false) };
const HASH: &str = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
const ALL: [&str; 6] = ["start", "stop", "promote", "demote", "status", "failed"];

fn known(name: &str, kind: &str, hooks: &[&str], services: &[&str]) -> Plugin {
    let (api, version, ending) = match kind {
        "wasm" => ("koi:service@0.1.0", "0.1.0", ".wasm"),
        "native" => ("native 1.0", "1.0", ".so"),
        _ => ("0.1.0", "0.1.0", ""),
    };
    Plugin {
        name: name.into(),
        kind: kind.into(),
        version: "0.1.0".into(),
        api: api.into(),
        api_version: Some(version.into()),
        hooks: hooks.iter().map(|hook| Hook::from(*hook)).collect(),
        services: services.iter().map(ToString::to_string).collect(),
        state: "ready".into(),
        path: (kind != "builtin").then(|| format!("/etc/koi/plugins/{name}{ending}")),
        hash: (kind != "builtin").then(|| HASH.into()),
        description: format!("what {name} does"),
        on_disk: if kind == "builtin" { "" } else { "same" }.into(),
        ..Plugin::default()
    }
}

fn every_kind() -> Vec<Plugin> {
    vec![
        known("disk-space", "wasm", &["status"], &["disk"]),
        known("hello-native", "native", &ALL[..5], &[]),
        known("hello-c", "native", &ALL[2..5], &["hello"]),
        known("vip", "wasm", &["start", "stop", "promote", "demote"], &["vip"]),
        known("redis", "wasm", &ALL, &["cache", "sessions"]),
        known("shell", "builtin", &ALL, &["10-vip", "cron"]),
    ]
}

fn redis() -> PluginDetail {
    let key = |name: &str, description: &str, required, default: Option<&str>| PluginConfigKey {
        name: name.into(),
        description: description.into(),
        required,
        default: default.map(Into::into),
        ..PluginConfigKey::default()
    };
    PluginDetail {
        plugin: known("redis", "wasm", &ALL, &["cache"]),
        size_bytes: 62_517,
        imports: ["koi:service/host@0.1.0", "koi:service/state@0.1.0", "wasi:sockets/tcp@0.2.3"]
            .map(Into::into)
            .to_vec(),
        config: vec![
            key("address", "where the server listens", false, Some("127.0.0.1:6379")),
            key("password-file", "a file that holds its password", false, None),
            key("cluster", "", true, None),
        ],
        wanted: vec!["tcp = [\"{address}\"]".into(), "read = [\"/etc/redis\"]".into()],
        wants: vec![wish("tcp", "{address}"), wish("read", "/etc/redis")],
        compiled: Some(PluginCompiled { size_bytes: 262_144, cached: true, took_ms: 3 }),
        used_by: vec![PluginUse {
            service: "cache".into(),
            granted: vec!["tcp 127.0.0.1:6379".into(), "read /etc/redis".into(), "env LANG".into()],
            grants: vec![grant("tcp", "127.0.0.1:6379"), grant("read", "/etc/redis"), grant("env", "LANG")],
            missing: vec![],
            limits: vec!["memory 64 MiB".into()],
            problem: None,
            ..PluginUse::default()
        }],
    }
}

fn wish(key: &str, value: &str) -> Grant {
    Grant {
        key: key.into(),
        value: value.into(),
        line: format!("{key} = [{value:?}]"),
        reason: String::new(),
    }
}

fn grant(key: &str, value: &str) -> Grant {
    Grant { key: key.into(), value: value.into(), line: format!("{key} {value}"), reason: String::new() }
}

/// No line is longer than the screen is wide.
fn fits(page: String) -> String {
    for line in page.lines() {
        assert!(text::width(line) <= PLAIN.width, "too long: {line:?}");
        assert_eq!(line.trim_end(), line, "a line ends in spaces");
    }
    page
}

#[test]
fn plugins_of_every_kind() {
    assert_snapshot!(fits(list::list(&every_kind(), &PLAIN)));
}

/// What `redis` has cost in the service `cache`: a component that now and then fails, and was slow once.
fn cost() -> HandlerStatistics {
    let hook = |hook: &str, [calls, failures, timed_out, crashed]: [u64; 4], times_us: [u64; 3]| {
        let [time_total_us, time_longest_us, time_last_us] = times_us;
        let of = HookStatistics {
            calls,
            failures,
            timed_out,
            crashed,
            time_total_us,
            time_longest_us,
            time_last_us,
            ..HookStatistics::default()
        };
        (Hook::from(hook), of)
    };
    HandlerStatistics {
        hash: Some(HASH.into()),
        version: "0.1.0".into(),
        since: 1_798_761_599,
        hooks: [
            hook("status", [120_345, 3, 2, 1], [99_886_350, 1_002_300, 790]),
            hook("start", [2, 0, 0, 0], [5_020_000, 3_010_000, 2_010_000]),
            hook("promote", [1, 0, 0, 0], [14_200, 14_200, 14_200]),
        ]
        .into_iter()
        .collect(),
        memory_peak_bytes: Some(12_976_128),
        memory_limit_bytes: Some(64 << 20),
    }
}

#[test]
fn what_plugins_have_cost_stands_below_them() {
    let mut all = every_kind();
    all[4].statistics = PluginStatistics::of([&cost()]);
    let native = HandlerStatistics { memory_peak_bytes: Some(9 << 20), ..cost() };
    all[2].statistics = PluginStatistics::of([&native, &native]);
    let scripts = HandlerStatistics { hash: None, memory_peak_bytes: None, ..cost() };
    all[5].statistics = PluginStatistics::of([&scripts]);
    // It was not called yet.
    all[0].statistics = PluginStatistics::of([&HandlerStatistics::default()]);
    all[4].on_disk = "changed".into();
    assert_snapshot!(fits(list::list(&all, &PLAIN)));
}

#[test]
fn what_each_hook_has_cost_and_the_version_before() {
    let mut detail = redis();
    let before = HandlerStatistics { version: "0.0.9".into(), hash: Some("ab".repeat(32)), ..cost() };
    detail.used_by[0].statistics = Some(cost());
    detail.used_by[0].statistics_before = Some(before);
    assert_snapshot!(fits(detail::plugin(&detail, &PLAIN)));
    let scripts = HandlerStatistics { hash: None, memory_peak_bytes: None, ..cost() };
    detail.used_by[0].statistics = Some(HandlerStatistics::default());
    detail.used_by[0].statistics_before = Some(scripts);
    let page = fits(detail::plugin(&detail, &PLAIN));
    assert!(page.contains("  before: 0.1.0 (scripts): 120348 calls, 3 failed, 871µs each\n"), "{page}");
    assert!(!page.contains("HOOK"), "nothing of it was called yet: {page}");
}

#[test]
fn one_plugin_cannot_be_loaded_and_one_has_a_newer_file_that_is_worse() {
    let mut all = every_kind();
    all[1] = Plugin {
        state: "error".into(),
        error: Some(
            "built for native ABI 2; this koid takes 1: build it with a koi-plugin-api of 0.1".into(),
        ),
        services: vec!["hello".into()],
        ..known("hello-native", "native", &[], &[])
    };
    all[1].version.clear();
    all[4].error =
        Some("the file there now cannot be used: not a component; the one of SHA-256 5f70bf18… stays".into());
    assert_snapshot!(fits(list::list(&all, &PLAIN)));
}

#[test]
fn one_is_compiled_one_is_compiled_anew_and_one_lacks_a_grant() {
    let mut all = every_kind();
    all[0] = Plugin {
        state: "compiling".into(),
        loading_ms: Some(12_300),
        version: String::new(),
        api: String::new(),
        api_version: None,
        hash: None,
        ..known("disk-space", "wasm", &[], &[])
    };
    all[1].loading_ms = Some(800);
    all[2].on_disk = "changed".into();
    all[4].problems = vec![ServiceProblem {
        service: "cache".into(),
        problem: "[grants] lacks tcp \"127.0.0.1:6379\"; it should read: tcp = [\"127.0.0.1:6379\"]".into(),
        of_plugin: false,
    }];
    assert_snapshot!(fits(list::list(&all, &PLAIN)));
}

#[test]
fn long_names_and_texts_stay_on_the_screen() {
    let long = "a very long text \u{1b}[2J ".repeat(22);
    let mut all = every_kind();
    all[0].name = "x".repeat(64);
    all[0].services = (0..60).map(|n| format!("service-{n}")).collect();
    (all[1].state, all[1].error) = ("error".into(), Some(long.clone()));
    assert_snapshot!("a_long_list", fits(list::list(&all, &PLAIN)));

    let mut detail = redis();
    detail.plugin.description = long.clone();
    detail.config[0].description = long.clone();
    detail.config[1].name = "k".repeat(500);
    let deep = wish("read", &format!("/{}", "d".repeat(500)));
    detail.wanted.push(deep.line.clone());
    detail.wants.push(deep);
    detail.used_by[0].problem = Some(long);
    let page = detail::plugin(&detail, &PLAIN);
    assert!(!page.contains('\u{1b}'), "{page:?}");
    // The lines of service.toml are to be copied: they are not broken.
    let copied = |line: &str| line.contains("ddd") && line.contains(" = [");
    let rest: String = page.lines().filter(|line| !copied(line)).map(|line| format!("{line}\n")).collect();
    assert_snapshot!("a_long_plugin", fits(rest));
}

#[test]
fn all_of_one_plugin() {
    assert_snapshot!(fits(detail::plugin(&redis(), &PLAIN)));
}

#[test]
fn a_grant_is_missing() {
    let mut detail = redis();
    let used = &mut detail.used_by[0];
    used.granted.remove(1);
    used.grants.remove(1);
    used.missing = vec![wish("read", "/etc/redis")];
    used.problem = Some("redis wants read = [\"/etc/redis\"]; add it to [grants] of service.toml".into());
    detail.plugin.on_disk = "changed".into();
    detail.compiled = Some(PluginCompiled { size_bytes: 30_000_000, cached: false, took_ms: 8_100 });
    assert_snapshot!(fits(detail::plugin(&detail, &PLAIN)));
}

#[test]
fn a_service_that_could_not_be_opened_knows_no_grants() {
    let mut detail = redis();
    let used = &mut detail.used_by[0];
    used.granted.clear();
    used.grants.clear();
    used.limits.clear();
    used.problem = Some("it wants tcp 10.0.0.9:6379; write tcp = [\"10.0.0.9:6379\"] under [grants]".into());
    assert_snapshot!(fits(detail::plugin(&detail, &PLAIN)));
}

#[test]
fn nobody_uses_it_yet() {
    let mut detail = redis();
    detail.plugin.services.clear();
    detail.used_by.clear();
    detail.wanted.push("tcp = [\"10.0.0.1:6379\"]".into());
    detail.wants.push(wish("tcp", "10.0.0.1:6379"));
    assert_snapshot!(fits(detail::plugin(&detail, &PLAIN)));
}

#[test]
fn a_plugin_that_could_not_be_loaded_has_little_to_say() {
    let detail = PluginDetail {
        plugin: Plugin {
            version: String::new(),
            api: String::new(),
            description: String::new(),
            state: "error".into(),
            error: Some("a core module, not a component: build it as a component".into()),
            ..known("broken", "wasm", &[], &["web"])
        },
        size_bytes: 812,
        ..PluginDetail::default()
    };
    assert_snapshot!(fits(detail::plugin(&detail, &PLAIN)));
}

#[test]
fn of_an_older_koid_the_lines_are_shown_as_they_are() {
    let mut detail = redis();
    detail.wants.clear();
    detail.used_by[0].grants.clear();
    let page = detail::plugin(&detail, &PLAIN);
    for line in detail.wanted.iter().chain(&detail.used_by[0].granted) {
        assert!(page.contains(line.as_str()), "{line}: {page}");
    }
    detail.used_by.clear();
    let page = fits(detail::plugin(&detail, &PLAIN));
    assert!(page.ends_with("  tcp = [\"{address}\"]\n  read = [\"/etc/redis\"]\n"), "{page}");
}

#[test]
fn what_something_is_wanted_for_and_what_a_key_may_be_stand_beside_it() {
    let mut detail = redis();
    detail.plugin.services.clear();
    detail.used_by.clear();
    detail.config[0].kind = Some("HOST:PORT".into());
    detail.config[2].kind = Some("one of fast, safe".into());
    detail.config[2].many = true;
    detail.wants[0].reason =
        "to ask the server for its role and for how far it is in the stream of its master, \
                              and to change both"
            .into();
    let exec = |line: &str, reason: &str| Grant {
        key: "exec".into(),
        value: "/usr/sbin/ip".into(),
        line: line.into(),
        reason: reason.into(),
    };
    detail.wants.push(exec("exec = [\"/usr/sbin/ip address add {address}\"]", "to set the address"));
    detail.wants.push(exec("exec = [\"/usr/sbin/ip address del {address}\"]", "to take it away"));
    detail.wants.push(Grant { key: "lookup".into(), line: "lookup = true".into(), ..Grant::default() });
    assert_snapshot!(fits(detail::plugin(&detail, &PLAIN)));
}

#[test]
fn of_two_patterns_of_one_program_the_missing_one_is_named() {
    let mut detail = redis();
    let exec = |words: &str| Grant {
        key: "exec".into(),
        value: "/usr/sbin/ip".into(),
        line: format!("exec = [\"/usr/sbin/ip {words}\"]"),
        reason: "to move the address".into(),
    };
    detail.wants = vec![exec("address add {address}"), exec("address del {address}")];
    detail.wanted = detail.wants.iter().map(|want| want.line.clone()).collect();
    let used = &mut detail.used_by[0];
    let line = "exec /usr/sbin/ip address add *".to_owned();
    (used.granted, used.grants) = (vec![line.clone()], vec![Grant { line, ..exec("") }]);
    used.missing = vec![exec("address del 10.0.0.9/24")];
    used.problem = Some("[grants] lacks exec \"/usr/sbin/ip address del 10.0.0.9/24\"".into());
    assert_snapshot!(fits(detail::plugin(&detail, &PLAIN)));
}

#[test]
fn each_thing_that_is_wanted_has_its_own_grant_below_it() {
    let mut detail = redis();
    let exec = |line: &str| Grant {
        key: "exec".into(),
        value: "/usr/bin/lamp".into(),
        line: line.into(),
        reason: "to turn the beam, which must be seen from every ship that comes near the coast".into(),
    };
    detail.wants =
        vec![exec("exec = [\"/usr/bin/lamp dark {name}\"]"), exec("exec = [\"/usr/bin/lamp light {name}\"]")];
    let used = &mut detail.used_by[0];
    used.grants = vec![exec("exec /usr/bin/lamp light *"), exec("exec /usr/bin/lamp dark n2 (as nobody)")];
    used.granted = used.grants.iter().map(|grant| grant.line.clone()).collect();
    let page = fits(detail::plugin(&detail, &PLAIN));
    assert!(page.contains("dark {name}\"]\n        # to turn the beam, which must be seen from"), "{page}");
    assert!(page.contains("the coast\n        granted: exec /usr/bin/lamp dark n2 (as nobody)\n"), "{page}");
    assert!(page.contains("the coast\n        granted: exec /usr/bin/lamp light *\n"), "{page}");
}

#[test]
fn a_reference_that_cannot_be_used_leaves_room_for_the_reason() {
    let mut all = every_kind();
    let name = format!("oci://registry.example/lamp@sha256:{}", "ab".repeat(32));
    all[0] = Plugin {
        state: "error".into(),
        error: Some("it is not on this node; ".repeat(6)),
        ..known(&name, "wasm", &[], &[])
    };
    let page = fits(list::list(&all, &PLAIN));
    assert!(page.lines().count() < 20, "{page}");
    assert!(page.contains("\n  it is not on this node; it is not on this node; it is"), "{page}");
}
