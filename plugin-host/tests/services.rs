//! A services folder as people fill it: what koi finds, what it refuses, what it says about it, and that it runs.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use koi_plugin_api::{
    Call, CallLog, Circumstances, Context, Hook, HookSet, LogLevel, NewestEpoch, Outcome, Role, abort_pair,
};
use koi_plugin_host::{
    DiscoverError, Discovery, Found, Host, LimitedLog, OpenError, Registry, Severity, Shape, Warning,
    check_service, discover,
};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and the folders above it.
    fn file(&self, name: &str, text: &str, mode: u32) -> &Folder {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        self
    }

    fn script(&self, name: &str) -> &Folder {
        self.file(name, "#!/bin/sh\n", 0o755)
    }

    fn registry(&self) -> Registry {
        Registry::new(Host::for_daemon(&self.path(".state")), self.0.path().into())
    }

    fn discover(&self) -> Discovery {
        discover(self.0.path(), &self.registry()).unwrap()
    }

    fn only(&self) -> Found {
        let mut found = self.discover();
        assert_eq!(found.services.len(), 1, "{found:#?}");
        found.services.remove(0)
    }

    /// What is said of which entry, without the folder's own path.
    fn said(&self, warnings: &[Warning]) -> Vec<String> {
        let prefix = format!("{}/", self.0.path().display());
        warnings.iter().map(|warning| warning.to_string().replace(&prefix, "")).collect()
    }
}

fn names(found: &Discovery) -> Vec<(&str, Option<u8>)> {
    found.services.iter().map(|s| (s.name.as_str(), s.priority)).collect()
}

#[test]
fn services_come_by_priority_and_those_without_one_last() {
    let folder = Folder::new();
    folder.script("db/start").script("20-web/start").script("5-vip/start").script("20-app");
    let found = folder.discover();
    assert_eq!(names(&found), [("vip", Some(5)), ("app", Some(20)), ("web", Some(20)), ("db", None)]);
    assert!(found.warnings.is_empty());
    assert_eq!(found.services[1].shape, Shape::File(folder.path("20-app")));
    assert_eq!(found.services[1].hooks, HookSet::LIFECYCLE);
    assert_eq!(found.services[1].home(), folder.0.path());
    assert_eq!(found.services[1].workdir(Path::new("/work")), Path::new("/work"));
    assert_eq!(found.services[0].hooks, [Hook::Start].into_iter().collect());
    assert_eq!(found.services[0].workdir(Path::new("/work")), folder.path("5-vip"));
}

#[test]
fn what_is_no_service_is_ignored_with_a_word_and_always_the_same_key() {
    let folder = Folder::new();
    folder.script("vip.bak").script("vip~").script("#vip#").script("my vip/start");
    folder.file("README", "", 0o644);
    symlink("/no/such/service", folder.path("gone")).unwrap();
    let found = folder.discover();
    assert!(found.services.is_empty());
    let said = folder.said(&found.warnings);
    assert_eq!(said[0], "#vip#: ignored: its name is of the form `#name#`");
    let readme = "README: ignored: a file that is not executable; if it is a service, chmod +x README";
    assert_eq!(said[1], readme);
    assert_eq!(said[2], "gone: ignored: a link to something that isn't there");
    assert!(said[3].starts_with("my vip: not taken as a service: its name has a blank"), "{}", said[3]);
    assert_eq!(said[4], "vip.bak: ignored: its name has a `.` in it");
    assert_eq!(said[5], "vip~: ignored: its name ends in `~`");
    assert_eq!(found.warnings[3].severity, Severity::Error);
    assert_eq!(found, folder.discover());
}

#[test]
fn of_two_services_of_one_name_the_first_stays() {
    let folder = Folder::new();
    folder.script("vip/start").script("10-vip/start").script("010-vip/start");
    let found = folder.discover();
    assert_eq!(names(&found), [("vip", Some(10)), ("010-vip", None)]);
    let said = folder.said(&found.warnings);
    assert!(said[0].starts_with("010-vip: its number is taken as part of its name"), "{said:?}");
    assert_eq!(
        said[1],
        "vip: not taken as a service: 10-vip is called `vip` too and comes first; rename one"
    );
    assert_eq!(found.warnings[1].severity, Severity::Error);
}

#[test]
fn an_empty_folder_and_a_disabled_one_are_services() {
    let folder = Folder::new();
    folder.script("vip/start").file("vip/disabled", "", 0o644);
    assert!(folder.only().disabled);
    fs::remove_file(folder.path("vip/disabled")).unwrap();
    fs::remove_file(folder.path("vip/start")).unwrap();
    let found = folder.only();
    assert!(!found.disabled && found.hooks == HookSet::default() && found.problem.is_none());
}

#[test]
fn a_folder_that_is_not_there_is_not_an_empty_one() {
    let folder = Folder::new();
    let missing = folder.path("none");
    let error = discover(&missing, &folder.registry()).unwrap_err();
    assert!(matches!(error, DiscoverError::Missing(_)));
    let expected =
        format!("the services folder {} isn't there; create it or change services.folder", missing.display());
    assert_eq!(error.to_string(), expected);
    folder.file("file", "", 0o644);
    let error = discover(&folder.path("file"), &folder.registry()).unwrap_err();
    assert!(matches!(error, DiscoverError::Unreadable { .. }), "{error}");
}

#[test]
fn a_wrong_service_toml_is_a_problem_of_that_service_only() {
    let folder = Folder::new();
    folder.script("a/start").file("a/service.toml", "[timeouts]\nstrat = \"1s\"\n", 0o644);
    folder.script("b/start").file("b/service.toml", "[timeouts]\nstart = \"1s\"\n", 0o644);
    let found = folder.discover();
    let problem = found.services[0].problem.as_ref().unwrap();
    assert!(
        problem.ends_with("service.toml:2: `strat` is not a key of service.toml; the nearest is `start`")
    );
    assert_eq!(found.services[0].hooks, HookSet::default());
    assert_eq!(found.services[1].problem, None);
    assert_eq!(found.services[1].manifest.timeouts.for_hook(Hook::Start), Some(Duration::from_secs(1)));
    let refused = folder.registry().open(&found.services[0]).err().unwrap();
    assert!(matches!(&refused, OpenError::Service(said) if *said == *problem), "{refused}");
}

#[test]
fn an_unknown_handler_says_which_there_are() {
    let folder = Folder::new();
    folder.script("a/start").file("a/service.toml", "handler = \"vip\"\n", 0o644);
    folder.file("b/handler.wasm", "\0asm", 0o644);
    folder.script("c/start").file("c/service.toml", "handler = \"shell\"\n", 0o644);
    let found = folder.discover();
    let expected = "handler `vip` is not known: this koid has `shell`; correct `handler` in service.toml";
    assert_eq!(found.services[0].problem.as_deref(), Some(expected));
    let refused = folder.registry().open(&found.services[0]).err().unwrap();
    assert!(matches!(&refused, OpenError::Unknown(_)) && refused.to_string() == expected);
    assert_eq!(found.services[1].handler, folder.path("b/handler.wasm").display().to_string());
    let why = found.services[1].problem.as_ref().unwrap();
    assert!(why.starts_with("its handler cannot be used: "), "{why}");
    assert_eq!(found.services[2].problem, None);
    let known = folder.registry().plugins();
    let known: Vec<_> = known.iter().map(|h| (h.name.as_str(), h.kind.as_str())).collect();
    assert_eq!(known, [("shell", "builtin")]);
}

#[test]
fn a_change_to_what_koi_reads_is_noticed_and_no_other() {
    let folder = Folder::new();
    folder.script("vip/start");
    let first = folder.only().fingerprint;
    folder.file("vip/run.pid", "17", 0o644);
    assert_eq!(folder.only().fingerprint, first, "a script's own file");

    let mut seen = vec![first];
    let mut changed = |what: &str| {
        let now = folder.only().fingerprint;
        assert!(!seen.contains(&now), "{what} was not noticed");
        seen.push(now);
    };
    folder.file("vip/start", "#!/bin/sh\nexit 1\n", 0o755);
    changed("other text");
    folder.file("vip/start", "#!/bin/sh\nexit 1\n", 0o700);
    changed("another mode");
    folder.script("vip/stop");
    changed("a new script");
    folder.file("vip/disabled", "", 0o644);
    changed("disabled");
    folder.file("vip/service.toml", "", 0o644);
    changed("service.toml");
}

#[test]
fn check_sees_what_would_go_wrong() {
    let folder = Folder::new();
    folder.file("vip/start", "#!/bin/sh\n", 0o644);
    folder.file("vip/stop", "#!/no/such/shell\n", 0o755);
    folder.file("vip/status", "exit 0\n", 0o755);
    folder.file("vip/promote", "#!/bin/sh\n", 0o777);
    folder.file("vip/demote.sh", "#!/bin/sh\n", 0o755);
    folder.file("vip/failed", "#!/usr/bin/env no-such-language\n", 0o755);
    let warnings = check_service(&folder.only());
    let severities: Vec<_> = warnings.iter().map(|w| w.severity).collect();
    let said = folder.said(&warnings);
    let expected = [
        (Severity::Error, "vip/start: not executable; chmod +x "),
        (Severity::Error, "vip/stop: its interpreter /no/such/shell isn't there; "),
        (Severity::Warning, "vip/promote: everybody may write to it, "),
        (Severity::Warning, "vip/status: no `#!` line, so that /bin/sh runs it; "),
        (Severity::Error, "vip/failed: its interpreter `no-such-language` is not in the PATH; "),
        (Severity::Warning, "vip/demote.sh: not a hook, and never run; if it is meant to be `demote`, "),
    ];
    assert_eq!(warnings.len(), expected.len(), "{said:#?}");
    for (severity, start) in expected {
        assert!(
            said.iter().zip(&severities).any(|(s, is)| s.starts_with(start) && *is == severity),
            "{start} is not in {said:#?}"
        );
    }
}

#[test]
fn what_means_nothing_to_the_shell_is_said() {
    let folder = Folder::new();
    folder.script("vip/start").file("vip/service.toml", "[grants]\nlookup = true\n", 0o644);
    let found = folder.discover();
    let expected = "vip/service.toml: [grants] means nothing here: scripts may do whatever koid may; remove that, to mislead nobody";
    assert_eq!(folder.said(&found.warnings), [expected]);
    assert_eq!(found.services[0].problem, None);
    folder.script("other/start").file("other/service.toml", "handler = \"x\"\n", 0o644);
    let said = folder.said(&check_service(&folder.discover().services[0]));
    assert!(said[1].starts_with("other/start: never run: this service's handler is x; "), "{said:?}");
}

#[test]
fn check_has_nothing_to_say_about_a_good_service_and_a_word_about_an_empty_one() {
    let folder = Folder::new();
    folder.script("vip/start");
    assert_eq!(check_service(&folder.only()), []);
    fs::remove_file(folder.path("vip/start")).unwrap();
    let warnings = check_service(&folder.only());
    assert_eq!((warnings.len(), warnings[0].severity), (1, Severity::Info));
    fs::set_permissions(folder.path("vip"), Permissions::from_mode(0o777)).unwrap();
    let warnings = check_service(&folder.only());
    assert!(warnings.iter().any(|w| w.message.starts_with("everybody may put scripts into it")));
}

#[derive(Default)]
struct Memory(Mutex<Vec<String>>);

impl CallLog for Memory {
    fn line(&self, _: LogLevel, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

#[tokio::test]
async fn what_was_found_can_be_run_and_a_flood_does_not_reach_the_log() {
    let folder = Folder::new();
    folder.file("vip/start", "#!/bin/sh\nseq 50000\n", 0o755);
    let found = folder.only();
    let ready = folder.registry().open(&found).unwrap();
    let handler = ready.opened.handler.clone();
    assert_eq!(handler.metadata().name, "shell");
    let memory = Arc::new(Memory::default());
    let (_aborter, abort) = abort_pair();
    let context = Context {
        service: found.name.clone(),
        node: "a".into(),
        node_id: "id".into(),
        cluster: "13".into(),
        call_id: 1,
        attempt: 1,
        role: Role::Standby,
        node_state: "Live".into(),
        epoch: 0,
        master: None,
        timeout: Duration::from_secs(60),
        home: found.home().into(),
        workdir: found.workdir(folder.0.path()).into(),
        config: ready.config.clone(),
        cause: None,
        circumstances: Circumstances::default(),
        access: None,
    };
    let log = Arc::new(LimitedLog::new(memory.clone(), Arc::default()));
    let call = Call {
        hook: Hook::Start,
        context,
        log,
        abort,
        newest_epoch: NewestEpoch::default(),
        attributes: Arc::new(koi_plugin_api::NoCluster),
    };
    assert_eq!(handler.call(call).await, Ok(Outcome::Done));
    let lines = memory.0.lock().unwrap();
    assert!(lines.len() < 50_000, "{}", lines.len());
    let last = lines.last().unwrap();
    assert!(last.starts_with("dropped ") && last.contains(" of output in the last "), "{last}");
}

#[test]
fn a_single_file_says_of_itself_what_stands_beside_it() {
    let folder = Folder::new();
    folder.script("10-web").file(
        "10-web.toml",
        "[timeouts]\nstop = \"5s\"\n[policy]\nstatus_failures = 3\n",
        0o644,
    );
    let found = folder.discover();
    assert_eq!((names(&found), found.warnings.len()), (vec![("web", Some(10))], 0), "{found:#?}");
    let web = &found.services[0];
    assert_eq!(web.manifest.timeouts.for_hook(Hook::Stop), Some(Duration::from_secs(5)));
    assert_eq!(web.manifest.policy.status_failures, Some(3));

    folder.file("10-web.toml", "[policy]\nstatus_failures = 4\n", 0o644);
    let changed = folder.only();
    assert_ne!(changed.fingerprint, web.fingerprint, "a change is noticed");
    assert_eq!(changed.manifest.policy.status_failures, Some(4));
}

#[test]
fn what_is_wrong_beside_a_single_file_is_its_problem() {
    let folder = Folder::new();
    folder.script("web");
    for (text, problem) in [
        ("[policy]\ncritical = 1\n", "web.toml:2: `critical` must be true or false"),
        ("handler = \"vip\"\n", "web.toml: a single file is run by itself, not by the handler vip"),
    ] {
        let web = folder.file("web.toml", text, 0o644).only();
        assert!(web.problem.as_ref().is_some_and(|why| why.contains(problem)), "{:?}", web.problem);
        assert_eq!(web.hooks, HookSet::default());
    }
    let found = folder.file("web.toml", "[grants]\ntcp = [\"a:1\"]\n", 0o644).discover();
    let said = folder.said(&found.warnings);
    assert!(
        said.iter().any(|line| line.contains("web.toml") && line.contains("[grants] means nothing here")),
        "{said:?}"
    );
}

#[test]
fn a_file_that_says_something_of_nobody_is_warned_of() {
    let folder = Folder::new();
    folder.script("10-db/start").file("10-db.toml", "", 0o644).file("web.toml", "", 0o644);
    let said = folder.said(&folder.discover().warnings);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said.iter().any(|line| line.contains("10-db.toml: ") && line.contains("service.toml")),
        "{said:?}"
    );
    assert!(
        said.iter().any(|line| line.contains("web.toml: ") && line.contains("no single file web")),
        "{said:?}"
    );
}
