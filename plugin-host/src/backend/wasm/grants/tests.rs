//! `[grants]` as people write them, right and wrong.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use koi_plugin_api::{Capability, Program as WantedProgram, Want};

use super::programs::program::entry_for;
use super::section::KEYS;
use super::*;
use crate::host::{Extent, Protected};
use crate::plugin::{Opening, RunAs};

fn grants_of(text: &str, host: &Host, resolved: Option<&Resolved>) -> Result<Grants, GrantError> {
    let table: toml::Table = text.parse().unwrap();
    let setup = Setup {
        service: "svc",
        home: Path::new("/nowhere"),
        config: &[],
        secrets: &[],
        grants: &table,
        limits: &toml::Table::new(),
        opening: resolved.map_or(Opening::First, Opening::Resumed),
    };
    Grants::read(&setup, host)
}

fn host() -> Host {
    Host {
        program: "/proc/self/exe".into(),
        dir: "/nowhere/koi/plugins".into(),
        protected: Vec::new(),
        resolver: Default::default(),
        stand_in: None,
    }
}

/// What a service is granted again, which was opened before.
fn again(text: &str, resolved: &Resolved) -> Grants {
    grants_of(text, &host(), Some(resolved)).unwrap()
}

#[test]
fn a_name_that_was_resolved_before_is_not_looked_up_again() {
    let text = "tcp = [\"localhost:5432\"]";
    let resolved = good(text).resolved();
    assert!(resolved.addresses["localhost"].iter().all(|ip| ip.is_loopback()), "{resolved:?}");

    // The name server is out of reach, as for a guardian on a machine that is cut off.
    let unknown = "tcp = [\"db.invalid:5432\"]";
    assert!(grants(unknown).is_err());
    let addresses = [("db.invalid".to_owned(), vec!["10.0.0.7".parse().unwrap()])].into();
    let known = Resolved { addresses, ..Resolved::default() };
    let again = again(unknown, &known);
    assert!(again.allows_tcp("10.0.0.7:5432".parse().unwrap()));
    assert!(!again.allows_tcp("10.0.0.8:5432".parse().unwrap()));
}

fn grants(text: &str) -> Result<Grants, GrantError> {
    grants_of(text, &host(), None)
}

fn good(text: &str) -> Grants {
    grants(text).unwrap()
}

fn error(text: &str) -> String {
    grants(text).unwrap_err().to_string()
}

fn allows(grants: &Grants, address: &str) -> bool {
    grants.allows_tcp(address.parse().unwrap())
}

fn wants(grants: &Grants, wanted: &[Capability]) -> Result<(), GrantError> {
    let want = |capability: &Capability| Want { capability: capability.clone(), reason: String::new() };
    grants.check_wanted(&wanted.iter().map(want).collect::<Vec<_>>(), &host().resolver)
}

fn allows_http(grants: &Grants, host: &str, port: u16) -> bool {
    HttpHost::parse(host).is_some_and(|host| grants.allows_http(&host, port))
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn lines(grants: &Grants) -> Vec<String> {
    grants.granted().into_iter().map(|granted| granted.line).collect()
}

#[test]
fn what_is_not_there_is_not_granted() {
    let none = good("");
    assert!(none.granted().is_empty());
    assert!(!allows(&none, "127.0.0.1:80") && !none.allows_udp("127.0.0.1:80".parse().unwrap()));
    assert!(!allows_http(&none, "localhost", 80) && !none.allows_look_up("localhost"));
    assert!(none.program("/bin/sh", &[]).is_none());
    for key in KEYS {
        assert!(!none.has(key), "{key}");
    }
}

#[test]
fn an_unknown_key_or_a_wrong_kind_is_an_error_that_says_what_to_write() {
    assert_eq!(error("reed = []"), "`reed` is not a key of [grants]; the nearest is `read`");
    assert_eq!(error("exec_env = []"), "`exec_env` is not a key of [grants]; the nearest is `exec-env`");
    assert_eq!(
        error("tcp = \"10.0.0.5:80\""),
        "`tcp` under [grants] must be a list; write tcp = [\"10.0.0.5:80\"]"
    );
    assert_eq!(
        error("tcp = [80]"),
        "`tcp` under [grants] has an integer in it; write a list of texts, like tcp = [\"10.0.0.5:6379\"]"
    );
    assert_eq!(error("lookup = \"yes\""), "`lookup` under [grants] must be true or false, without quotes");
    assert!(error("exec = [[1]]").contains("`exec` under [grants]"));
    assert!(error("exec-env = [\"LANG\"]").contains("without `exec`"));
    assert!(error(&format!("env = [{}]", "\"A\",".repeat(300))).contains("more than 256"));
}

#[test]
fn an_address_is_granted_with_its_port_and_no_other() {
    let one = good("tcp = [\"10.0.0.5:6379\", \"[fd00::1]:80\", \"10.1.0.0/16:443\", \"10.9.9.9:*\"]");
    for yes in
        ["10.0.0.5:6379", "[fd00::1]:80", "10.1.0.0:443", "10.1.255.255:443", "10.9.9.9:1", "10.9.9.9:65535"]
    {
        assert!(allows(&one, yes), "{yes}");
    }
    for no in [
        "10.0.0.5:6380",
        "10.0.0.6:6379",
        "[fd00::1]:81",
        "[fd00::2]:80",
        "10.2.0.0:443",
        "10.1.0.0:444",
        "0.0.0.0:6379",
        "127.0.0.1:6379",
        "[::]:80",
        "[::1]:80",
    ] {
        assert!(!allows(&one, no), "{no}");
    }
    assert!(!one.allows_udp("10.0.0.5:6379".parse().unwrap()), "TCP is not UDP");
}

#[test]
fn ipv4_in_the_clothes_of_ipv6_is_ipv4() {
    let v4 = good("tcp = [\"10.0.0.5:80\"]");
    assert!(allows(&v4, "[::ffff:10.0.0.5]:80"), "the same host");
    assert!(!allows(&v4, "[::ffff:10.0.0.6]:80"));
    let v6 = good("tcp = [\"[::]/0:80\", \"[::ffff:10.0.0.7]:81\"]");
    assert!(allows(&v6, "[fd00::1]:80"));
    assert!(!allows(&v6, "[::ffff:10.0.0.6]:80"), "all of IPv6 is nothing of IPv4");
    assert!(!allows(&v6, "10.0.0.6:80"));
    assert!(allows(&v6, "10.0.0.7:81"));
    assert!(error("tcp = [\"[::ffff:10.0.0.0]/104:80\"]").contains("as one of IPv4"));
    let all = good("tcp = [\"0.0.0.0/0:*\"]");
    assert!(allows(&all, "192.0.2.1:1") && !allows(&all, "[fd00::1]:1"));
    assert!(!allows(&all, "0.0.0.0:1"), "that is this machine");
}

#[test]
fn a_name_is_resolved_when_it_is_read_and_its_addresses_are_shown() {
    let named = good("tcp = [\"localhost:80\"]");
    assert!(allows(&named, "127.0.0.1:80") || allows(&named, "[::1]:80"));
    assert!(!allows(&named, "127.0.0.2:80"));
    let line = &named.granted()[0].line;
    assert!(line.starts_with("tcp localhost:80 (") && line.contains('1'), "{line}");
    let unknown = error("tcp = [\"no-such-host.invalid:80\"]");
    assert!(
        unknown.starts_with("`tcp` under [grants]: \"no-such-host.invalid:80\": the name cannot be resolved")
    );
    assert!(unknown.contains("write an IP address"), "{unknown}");
}

#[test]
fn what_is_not_an_address_is_said_with_the_forms_there_are() {
    for (text, why) in [
        ("10.0.0.5", "no port"),
        ("10.0.0.5:0", "`0` is not a port"),
        ("10.0.0.5:70000", "`70000` is not a port"),
        ("::1:80", "in brackets"),
        ("[::1:80", "`]` is missing"),
        ("[db]:80", "`db` is not an IPv6 address"),
        ("10.0.0.5/24:80", "10.0.0.0 is"),
        ("10.0.0.0/33:80", "0 to 32 bits"),
        ("db/8:80", "`db` is not an IP address"),
        ("0.0.0.0:80", "nobody's address"),
        ("10.1:80", "`10.1` is not an IP address"),
        ("a b:80", "neither an IP address nor a host name"),
        (":80", "neither an IP address nor a host name"),
    ] {
        let said = error(&format!("udp = [\"{text}\"]"));
        assert!(said.starts_with("`udp` under [grants]: "), "{said}");
        assert!(said.contains(why), "{text}: {said}");
        assert!(said.contains("write it like"), "{said}");
    }
}

#[test]
fn a_directory_must_be_there_and_links_are_followed_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::create_dir(root.join("data")).unwrap();
    fs::write(root.join("file"), "").unwrap();
    symlink(root.join("data"), root.join("link")).unwrap();
    let root = root.display();

    let linked = good(&format!("read = [\"{root}/link\"]\nwrite = [\"{root}/data\"]"));
    assert_eq!(lines(&linked), [format!("read {root}/link ({root}/data)"), format!("write {root}/data")]);
    assert!(linked.reads(Path::new(&format!("{root}/link/svc"))));
    assert!(!linked.reads(Path::new(&format!("{root}/data/../file"))));
    assert!(error("read = [\"data\"]").contains("absolute path"));
    assert!(error(&format!("read = [\"{root}/data/../data\"]")).contains("without `..`"));
    assert!(error(&format!("read = [\"{root}/gone\"]")).contains("there is no such directory"));
    assert!(error(&format!("read = [\"{root}/file\"]")).contains("not a directory"));
    assert!(error("write = [\"/\"]").contains("the whole node"));
}

#[test]
fn what_was_granted_once_is_not_asked_for_when_a_service_is_taken_down() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("data").display().to_string();
    let text = format!("write = [\"{at}\"]\nexec = [\"{at}/tool --down\"]");
    assert!(error(&text).contains("there is no such directory"));
    let again = again(&text, &Resolved::default());
    let (directory, writable) = again.directories().next().unwrap();
    assert!(writable && directory.real().unwrap_err().to_string().contains("cannot be opened any more"));
    assert!(again.program(&format!("{at}/tool"), &["--down".into()]).is_some());
}

#[test]
fn a_link_that_leads_elsewhere_later_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two, link) = (dir.path().join("one"), dir.path().join("two"), dir.path().join("link"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&two).unwrap();
    symlink(&one, &link).unwrap();
    let grants = good(&format!("read = [\"{}\"]", link.display()));
    let (directory, _) = grants.directories().next().unwrap();
    assert!(directory.real().is_ok());
    fs::remove_file(&link).unwrap();
    symlink(&two, &link).unwrap();
    assert!(directory.real().unwrap_err().to_string().contains("now leads to"));
    fs::remove_file(&link).unwrap();
    assert!(directory.real().unwrap_err().to_string().contains("cannot be opened any more"));
}

#[test]
fn koids_own_state_is_never_written_by_a_guest() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir_all(state.join("plugins/compiled")).unwrap();
    fs::create_dir(dir.path().join("beside")).unwrap();
    let host = Host { dir: state.join("plugins"), ..host() };
    let write = |path: &Path| grants_of(&format!("write = [\"{}\"]", path.display()), &host, None);
    for path in [dir.path(), &state, &state.join("plugins"), &state.join("plugins/compiled")] {
        assert!(write(path).unwrap_err().to_string().contains("koid's own state"), "{}", path.display());
    }
    assert!(write(&dir.path().join("beside")).is_ok());
}

#[test]
fn what_would_give_a_guest_everything_is_never_granted() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for folder in ["services/10-db", "plugins", "etc/certs", "data", "run"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    fs::write(at("etc/cluster.key"), "").unwrap();
    symlink(at("services"), at("link")).unwrap();
    let place = |name: &str, extent, what| Protected { path: at(name), extent, what };
    let protected = vec![
        place("services", Extent::Folder, "the services folder"),
        place("etc/koi.toml", Extent::File, "koid's configuration"),
        place("etc/cluster.key", Extent::Secret, "a key of the cluster"),
        place("run/koid.sock", Extent::File, "koid's socket"),
    ];
    let host = Host { protected, ..host() };
    let granted = |key: &str, name: &str| {
        let grants = grants_of(&format!("{key} = [\"{}\"]", at(name).display()), &host, None);
        grants.map(drop).map_err(|error| error.to_string())
    };
    for (name, what) in [
        ("services", "the services folder"),
        ("services/10-db", "the services folder"),
        ("link", "the services folder"),
        ("link/10-db", "the services folder"),
        ("etc", "koid's configuration"),
        ("run", "koid's socket"),
        ("", "the services folder"),
    ] {
        let why = granted("write", name).unwrap_err();
        assert!(why.contains(what) && why.contains("could give itself everything"), "{name}: {why}");
    }
    for (key, name) in
        [("write", "data"), ("write", "etc/certs"), ("read", "services/10-db"), ("read", "run")]
    {
        granted(key, name).unwrap();
    }
    let why = granted("read", "etc").unwrap_err();
    assert!(why.contains("a key of the cluster") && why.contains("would be readable"), "{why}");
}

#[test]
fn a_program_that_the_guest_may_change_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let (data, tools) = (dir.path().join("data"), dir.path().join("tools"));
    fs::create_dir_all(data.join("bin")).unwrap();
    fs::create_dir(&tools).unwrap();
    koi_testkit::write_executable(&data.join("bin/tool"), "#!/bin/sh\n");
    symlink(data.join("bin/tool"), tools.join("tool")).unwrap();
    koi_testkit::write_executable(&tools.join("own"), "#!/bin/sh\n");
    let text =
        |program: &Path| format!("write = [\"{}\"]\nexec = [\"{}\"]", data.display(), program.display());
    for program in [data.join("bin/tool"), tools.join("tool")] {
        let why = error(&text(&program));
        assert!(why.contains("which `exec` runs") && why.contains("may run anything"), "{why}");
    }
    good(&text(&tools.join("own")));
}

#[test]
fn a_program_that_others_may_change_is_refused_with_what_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let [tools, link] = ["tools", "link"].map(|name| dir.path().join(name));
    let (tool, mode) = (tools.join("tool"), |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    });
    fs::create_dir(&tools).unwrap();
    fs::write(&tool, "#!/bin/true\n").unwrap();
    mode(&tool, 0o755);
    symlink("tools/tool", &link).unwrap();
    let text = |program: &Path| format!("exec = [\"{} x\"]", program.display());
    for (path, open, good_mode) in [(&tool, 0o757, 0o755), (&tools, 0o777, 0o755)] {
        good(&text(&tool));
        mode(path, open);
        for program in [&tool, &link] {
            let why = error(&text(program));
            // The command follows a link.
            let named = if path == &tool { program } else { path };
            let mended_by = format!("`chmod go-w {}`", named.display());
            assert!(why.starts_with("`exec` under [grants]: ") && why.ends_with(&mended_by), "{why}");
        }
        // Whoever takes services down goes on.
        assert!(again(&text(&tool), &Resolved::default()).has("exec"));
        mode(path, good_mode);
    }
}

#[test]
fn a_program_may_run_as_somebody_else_and_keep_what_it_starts() {
    for (entry, why) in [
        ("{ user = \"nobody\" }", "`run` must be the command line"),
        ("{ run = 7 }", "`run` must be the command line"),
        ("{ run = \"/bin/true\", user = 65534 }", "`user` must be the name of a user"),
        ("{ run = \"/bin/true\", keep = \"yes\" }", "`keep` must be true or false"),
        (
            "{ run = \"/bin/true\", group = \"x\" }",
            "`group` is not known here; there are `run`, `user` and `keep`",
        ),
        ("{ run = \"/bin/true\", user = \"no-such-user\" }", "there is no user no-such-user on this machine"),
    ] {
        let error = error(&format!("exec = [{entry}]"));
        assert!(error.starts_with("`exec` under [grants]: {") && error.contains(why), "{error}");
    }
    let kept = good("exec = [{ run = [\"/bin/ls\", \"a b\"], keep = true }]");
    assert_eq!(lines(&kept), ["exec /bin/ls \"a b\" (what it starts is kept)"]);
    assert!(kept.check_kept(true).is_ok());
    let error = kept.check_kept(false).unwrap_err().to_string();
    assert!(error.contains("is ended after `stop`, and the handler has no such hook"), "{error}");

    // Whoever takes services down asks nobody who that is.
    let text = "exec = [{ run = \"/bin/ls *\", user = \"somebody-else\" }]";
    let ids = RunAs { user: 7, group: 8, groups: vec![8, 9] };
    let users = [("somebody-else".to_owned(), ids.clone())].into();
    let known = Resolved { users, ..Resolved::default() };
    let grants = again(text, &known);
    assert_eq!(grants.programs()[0].user(), Some(&("somebody-else".to_owned(), ids)));
    assert_eq!(grants.resolved(), known);
}

#[test]
fn a_link_on_the_way_to_a_program_is_not_the_guests_to_change() {
    let dir = tempfile::tempdir().unwrap();
    let (mine, link) = (dir.path().join("mine"), dir.path().join("link"));
    fs::create_dir(&mine).unwrap();
    symlink("/bin/true", mine.join("hop")).unwrap();
    symlink("mine/hop", &link).unwrap();
    let why = error(&format!("write = [\"{}\"]\nexec = [\"{}\"]", mine.display(), link.display()));
    assert!(why.contains("a handler that may change its programs may run anything"), "{why}");
}

#[test]
fn programs_that_do_anything_are_granted_by_saying_so() {
    for (entry, why) in [
        ("/bin/ls **", "with `**` the handler may give it any option"),
        ("/bin/sh", "this program runs whatever it is given"),
        ("/usr/bin/env LANG=C ls", "this program runs whatever it is given"),
    ] {
        let error = error(&format!("exec = [\"{entry}\"]"));
        assert!(error.contains(why) && error.contains("set `dangerous = true` under [grants]"), "{error}");
        let grants = good(&format!("exec = [\"{entry}\"]\ndangerous = true"));
        let said = lines(&grants);
        assert!(said.iter().any(|line| line.starts_with("dangerous: ")), "{said:?}");
    }
    // Under another name it is the same.
    let dir = tempfile::tempdir().unwrap();
    symlink("/bin/sh", dir.path().join("tool")).unwrap();
    let tool = format!("exec = [\"{}/tool -c *\"]", dir.path().display());
    assert!(error(&tool).contains("runs whatever it is given"));
    // Whoever takes services down goes on.
    assert!(again(&tool, &Resolved::default()).has("exec"));
}

#[test]
fn a_star_is_no_option() {
    let grants = good("exec = [\"/bin/ls *\", \"/bin/df -- *\", \"/bin/head -c* *.txt\"]");
    let runs = |path: &str, args: &str| grants.program(path, &words(args)).is_some();
    assert!(runs("/bin/ls", "/tmp") && !runs("/bin/ls", "-R"));
    assert!(runs("/bin/df", "-- -x"), "`--` ends the options");
    assert!(runs("/bin/head", "-c5 a.txt") && !runs("/bin/head", "-c5 -a.txt"));
    let dangerous = good("dangerous = true\nexec = [\"/bin/ls *\"]");
    assert!(dangerous.program("/bin/ls", &words("-R")).is_some());
}

#[test]
fn arguments_must_fit_their_patterns_one_by_one() {
    let text = "dangerous = true\nexec = [\"/bin/echo add * dev eth0\", \"/bin/cat\", \"/bin/ls -l **\", [\"/bin/echo\", \"two words\", \"a*b*c\"]]";
    let grants = good(text);
    let runs = |path: &str, args: &[String]| grants.program(path, args).is_some();
    assert!(runs("/bin/echo", &words("add 10.0.0.1/24 dev eth0")));
    assert!(runs("/bin/echo", &["add".into(), "with space".into(), "dev".into(), "eth0".into()]));
    assert!(!runs("/bin/echo", &words("add 10.0.0.1 x dev eth0")), "one star is one argument");
    assert!(!runs("/bin/echo", &words("add 10.0.0.1 dev eth1")));
    assert!(!runs("/bin/echo", &words("add 10.0.0.1 dev eth0 more")));
    assert!(!runs("/bin/echo", &words("add 10.0.0.1 dev")));
    assert!(runs("/bin/cat", &[]));
    assert!(!runs("/bin/cat", &words("/etc/passwd")), "a program alone has no arguments");
    assert!(runs("/bin/ls", &words("-l")) && runs("/bin/ls", &words("-l a b")));
    assert!(!runs("/bin/ls", &[]) && !runs("/bin/ls", &words("-a")));
    assert!(runs("/bin/echo", &["two words".into(), "a--b--c".into()]));
    assert!(runs("/bin/echo", &["two words".into(), "abc".into()]));
    for no in ["ab", "acb", "abcd", "xabc", "a*c"] {
        assert!(!runs("/bin/echo", &["two words".into(), no.into()]), "{no}");
    }
    assert!(!runs("/bin/echo", &words("two words abc")), "three arguments are not two");
    assert!(!runs("echo", &words("add x dev eth0")), "no look along PATH");
    assert_eq!(grants.granted()[3].line, "exec /bin/echo \"two words\" a*b*c");
}

#[test]
fn a_program_is_one_file_under_one_name() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("sbin");
    fs::create_dir(&real).unwrap();
    let box_of_all = real.join("show");
    fs::write(&box_of_all, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&box_of_all, fs::Permissions::from_mode(0o755)).unwrap();
    symlink(&real, dir.path().join("bin")).unwrap();
    symlink("show", real.join("shell")).unwrap();
    let grants = good(&format!("exec = [\"{}\"]", box_of_all.display()));
    let runs = |path: &str| grants.program(&dir.path().join(path).display().to_string(), &[]).is_some();
    assert!(runs("sbin/show"));
    assert!(runs("bin/show"), "the same, by another way");
    assert!(!runs("sbin/shell"), "the same file, but another of the programs in it");
    assert!(!runs("sbin/gone"));
}

#[test]
fn a_program_that_cannot_be_is_said_at_load() {
    assert!(error("exec = [\"ip addr\"]").contains("`ip` is not an absolute path"));
    assert!(error("exec = [\"/no/such/program x\"]").contains("there is no /no/such/program; install it"));
    assert!(error("exec = [\"/etc/passwd\"]").contains("/etc/passwd is not a program"));
    assert!(error("exec = [\"/bin/ls ** -l\"]").contains("the last word"));
    assert!(error("exec = [\"\"]").contains("names no program"));
}

#[test]
fn variables_that_make_programs_run_other_code_are_not_granted() {
    for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "BASH_ENV", "BASH_FUNC_x", "PYTHONPATH", "IFS"] {
        let said = error(&format!("exec = [\"/bin/ls\"]\nexec-env = [\"{name}\"]"));
        assert!(said.contains("must not set it"), "{name}: {said}");
    }
    assert!(error("exec = [\"/bin/ls\"]\nexec-env = [\"A=B\"]").contains("not the name"));
    let good = good("exec = [\"/bin/ls\"]\nexec-env = [\"LANG\"]");
    assert!(good.allows_exec_env("LANG") && !good.allows_exec_env("LANGUAGE"));
}

#[test]
fn a_server_is_a_host_in_any_case_and_a_port() {
    let grants =
        good("http = [\"API.example:443\", \"10.0.0.1:8080\", \"[::1]:80\", \"10.1.0.0/16:443\", \"db:*\"]");
    let allows = |host, port| allows_http(&grants, host, port);
    assert!(allows("api.EXAMPLE", 443) && allows("10.0.0.1", 8080) && allows("[::ffff:10.0.0.1]", 8080));
    assert!(allows("[::1]", 80) && allows("[0:0::1]", 80));
    assert!(allows("10.1.2.3", 443) && allows("db", 1) && allows("db", 65535));
    assert!(!allows("api.example", 80) && !allows("example", 443));
    assert!(!allows("x.api.example", 443) && !allows("::1", 80) && !allows("[10.0.0.1]", 8080));
    assert!(!allows("10.2.0.0", 443) && !allows("10.1.2.3", 80) && !allows("0.0.0.0", 8080));
    assert!(error("http = [\"https://api.example\"]").contains("it is no URL"));
    assert!(error("http = [\"api.example\"]").contains("it has no port"));
    assert!(error("http = [\"api.example:http\"]").contains("`http` is not a port"));
    assert!(error("http = [\"0.0.0.0:80\"]").contains("nobody's address"));
    assert_eq!(lines(&grants)[0], "http api.example:443");
}

#[test]
fn a_name_stands_for_public_addresses_and_for_others_that_are_granted_beside_it() {
    let grants = good(
        "http = [\"api.example:443\", \"localhost:8080\", \"10.1.0.0/16:443\", \"[fd00::5]:443\", \"127.0.0.9:80\"]",
    );
    let may = |name, address: &str| grants.allows_http_at(name, address.parse().unwrap());
    for yes in
        ["1.1.1.1:443", "[2606:4700::1111]:443", "10.1.2.3:443", "[::ffff:10.1.2.3]:443", "[fd00::5]:443"]
    {
        assert!(may("api.example", yes), "{yes}");
    }
    for no in [
        "127.0.0.1:443",
        "[::1]:443",
        "[::ffff:127.0.0.1]:443",
        "169.254.169.254:443",
        "10.2.0.1:443",
        // What is granted at another port.
        "10.1.2.3:80",
        "127.0.0.9:443",
        // Not the granted one, but the way to it through a translator.
        "[64:ff9b::10.1.2.3]:443",
    ] {
        assert!(!may("api.example", no), "{no}");
    }
    assert!(may("localhost", "127.0.0.1:8080") && may("localhost", "[::1]:8080"));
    assert!(!may("localhost", "10.2.0.1:8080") && !may("localhost", "0.0.0.0:8080"));
}

#[test]
fn only_names_that_are_granted_are_looked_up() {
    let http = good("http = [\"api.example:443\", \"10.0.0.1:80\"]");
    assert!(http.allows_look_up("api.example"));
    for no in ["example", "x.api.example", "10.0.0.1", "localhost"] {
        assert!(!http.allows_look_up(no), "{no}");
    }
    assert!(good("lookup = true").allows_look_up("any.example"));
    assert!(!good("tcp = [\"localhost:80\"]").allows_look_up("localhost"), "its addresses are known already");
}

#[test]
fn an_import_without_a_grant_is_answered_with_the_line_to_write() {
    let none = good("");
    let line = |interface: &str| none.check_import(interface).unwrap_err().to_string();
    assert_eq!(
        line("wasi:sockets/tcp@0.2.3"),
        "the component imports `wasi:sockets/tcp@0.2.3`, and nothing of it is granted; write under [grants] of \
         service.toml: tcp = [\"HOST:PORT\"]"
    );
    assert!(line("wasi:sockets/udp@0.2.0").ends_with("udp = [\"HOST:PORT\"]"));
    assert!(line("wasi:sockets/ip-name-lookup@0.2.0").ends_with("lookup = true"));
    assert!(line("wasi:http/outgoing-handler@0.2.4").ends_with("http = [\"HOST:PORT\"]"));
    assert!(line("koi:service/exec@0.1.0").ends_with("exec = [\"/PATH/TO/PROGRAM ARGUMENTS\"]"));
    assert!(line("wasi:keyvalue/store@0.2.0-draft").contains("which koid does not offer"));
    assert!(line("acme:things/thing").contains("which koid does not offer"));
    assert!(line("wasi:cli/environment@0.3.0").contains("WASI 0.2 only"));
    for free in [
        "wasi:io/poll@0.2.9",
        "wasi:filesystem/preopens@0.2.0",
        "koi:service/state@0.1.3",
        "wasi:random/random@0.2.6",
    ] {
        assert!(none.check_import(free).is_ok(), "{free}");
    }
    let all = good("tcp = [\"127.0.0.1:1\"]\nlookup = true\nexec = [\"/bin/ls\"]");
    assert!(all.check_import("wasi:sockets/tcp-create-socket@0.2.3").is_ok());
    assert!(all.check_import("koi:service/exec@0.1.0").is_ok());
    assert!(all.check_import("wasi:sockets/udp@0.2.3").is_err());
}

#[test]
fn what_a_handler_wants_must_be_covered_and_what_is_missing_is_said_as_lines() {
    let grants = good(
        "tcp = [\"10.0.0.0/8:6379\", \"localhost:80\"]\nread = [\"/usr\"]\nenv = [\"LANG\"]\nexec = [\"/bin/ls -l\"]",
    );
    let tcp = |text: &str| Capability::Tcp(text.into());
    let covered = [
        tcp("10.0.0.5:6379"),
        tcp("10.1.0.0/16:6379"),
        tcp("LOCALHOST:80"),
        Capability::Read("/usr/share".into()),
        Capability::Env("LANG".into()),
        Capability::ExecPath("/bin/ls".into()),
    ];
    assert!(wants(&grants, &covered).is_ok());
    let wanted = [tcp("192.0.2.1:6379"), Capability::Write("/usr/x".into()), tcp("10.0.0.5:80")];
    assert_eq!(
        wants(&grants, &wanted).unwrap_err().to_string(),
        "[grants] lacks tcp \"192.0.2.1:6379\" and write \"/usr/x\" and tcp \"10.0.0.5:80\"; it should read: \
             tcp = [\"10.0.0.0/8:6379\", \"localhost:80\", \"192.0.2.1:6379\", \"10.0.0.5:80\"] and write = [\"/usr/x\"]"
    );
    assert!(wants(&grants, &[tcp("0.0.0.0/0:6379")]).is_err(), "more than is granted");
    assert!(wants(&grants, &[tcp("10.0.0.5:*")]).is_err(), "more than is granted");
    let exec = wants(&grants, &[Capability::ExecPath("/bin/cat".into())]).unwrap_err().to_string();
    assert!(exec.contains("exec = [\"/bin/ls -l\", \"/bin/cat *\"]; put there what it calls"), "{exec}");
    assert!(wants(&grants, &[tcp("db")]).unwrap_err().to_string().contains("look at [config]"));
    assert!(
        wants(&grants, &[Capability::Read("data".into())])
            .unwrap_err()
            .to_string()
            .contains("an absolute path")
    );
}

#[test]
fn the_entry_that_is_too_narrow_is_named() {
    let grants =
        good("exec = [\"/bin/ls -l /a\", \"/bin/ls -a /b\", \"/bin/cat x\"]\nhttp = [\"a.example:80\"]");
    let refused = |wanted: Capability| wants(&grants, &[wanted]).unwrap_err().to_string();
    let narrow = refused(Capability::Exec(program("/bin/ls -a *")));
    assert!(
        narrow.starts_with(
            "[grants] lacks exec \"/bin/ls -a *\" (exec \"/bin/ls -a /b\" does not cover it); it should read: exec = ["
        ),
        "{narrow}"
    );
    let kept = refused(Capability::Exec(WantedProgram { keep: true, ..program("/bin/cat x") }));
    assert!(
        kept.contains("keep = true, run = \"/bin/cat x\" } (exec \"/bin/cat x\" does not cover it)"),
        "{kept}"
    );
    let port = refused(Capability::Http("A.example:443".into()));
    assert!(port.contains("(http \"a.example:80\" does not cover it)"), "{port}");
    let other = refused(Capability::Exec(program("/bin/true x")));
    assert!(!other.contains("does not cover it"), "{other}");
}

fn program(words: &str) -> WantedProgram {
    WantedProgram { words: words.split(' ').map(str::to_owned).collect(), ..WantedProgram::default() }
}

#[test]
fn a_pattern_that_is_wanted_is_granted_by_one_that_holds_it() {
    let of = |granted: &str| good(&format!("exec = [\"{granted}\"]"));
    let is_granted =
        |granted: &str, wanted: &str| wants(&of(granted), &[Capability::Exec(program(wanted))]).is_ok();
    for (granted, wanted) in [
        ("/bin/ls -l *", "/bin/ls -l *"),
        ("/bin/ls -l *", "/bin/ls -l /srv/a"),
        ("/bin/ls * *", "/bin/ls a *"),
        ("/bin/ls /srv/*", "/bin/ls /srv/*/x"),
        ("/bin/ls", "/bin/ls"),
    ] {
        assert!(is_granted(granted, wanted), "{granted} for {wanted}");
    }
    for (granted, wanted) in [
        ("/bin/ls -l *", "/bin/ls -a *"),
        ("/bin/ls -l /srv/a", "/bin/ls -l *"),
        ("/bin/ls *", "/bin/ls -l"),
        ("/bin/ls *", "/bin/ls"),
        ("/bin/ls", "/bin/ls *"),
        ("/bin/ls * *", "/bin/ls **"),
        ("/bin/ls -l *", "/bin/cat -l *"),
    ] {
        assert!(!is_granted(granted, wanted), "{granted} for {wanted}");
    }
    let open_ended = good("exec = [\"/bin/ls -l **\"]\ndangerous = true");
    let covers = |wanted: &str| wants(&open_ended, &[Capability::Exec(program(wanted))]).is_ok();
    assert!(covers("/bin/ls -l **") && covers("/bin/ls -l a b") && covers("/bin/ls -l -a **"));
    assert!(!covers("/bin/ls **"), "more than is granted");
}

#[test]
fn a_program_as_somebody_else_or_to_be_kept_is_granted_so_or_not() {
    let wanted = |user: Option<&str>, keep| {
        Capability::Exec(WantedProgram { user: user.map(str::to_owned), keep, ..program("/bin/sleep 1") })
    };
    let plain = good("exec = [\"/bin/sleep 1\"]");
    let error = wants(&plain, &[wanted(Some("nobody"), true)]).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "exec = [\"/bin/sleep 1\", { keep = true, run = \"/bin/sleep 1\", user = \"nobody\" }]"
        ),
        "{error}"
    );
    assert!(wants(&plain, &[wanted(None, true)]).is_err());
    let full = good("exec = [{ run = \"/bin/sleep 1\", user = \"nobody\", keep = true }]");
    assert!(wants(&full, &[wanted(Some("nobody"), true), wanted(None, false)]).is_ok());
    assert!(wants(&full, &[wanted(Some("daemon"), false)]).is_err());
}

#[test]
fn what_it_is_for_and_that_it_is_dangerous_stand_beside_the_line() {
    let want = |capability, reason: &str| Want { capability, reason: reason.into() };
    let wanted = [
        want(Capability::Http("api.example:443".into()), "to tell the load balancer"),
        want(Capability::Http("10.1.0.0/16:443".into()), "to reach it inside"),
        want(Capability::Lookup, "to find its peers"),
        want(Capability::Udp("10.0.0.5:53".into()), ""),
        want(Capability::ExecEnv("PGPORT".into()), ""),
        want(Capability::Exec(program("/bin/sh -c *")), "to run what is configured"),
    ];
    let error = good("").check_wanted(&wanted, &host().resolver).unwrap_err().to_string();
    assert_eq!(
        error,
        "[grants] lacks http \"api.example:443\" (to tell the load balancer) and \
         http \"10.1.0.0/16:443\" (to reach it inside) and lookup (to find its peers) and udp \"10.0.0.5:53\" and \
         exec-env \"PGPORT\" and exec \"/bin/sh -c *\" (to run what is configured); it should read: \
         http = [\"api.example:443\", \"10.1.0.0/16:443\"] and lookup = true and udp = [\"10.0.0.5:53\"] and \
         exec-env = [\"PGPORT\"] and exec = [\"/bin/sh -c *\"] and \
         dangerous = true (with such a program it may do all that koid may)"
    );
    let granted = good(
        "http = [\"api.example:*\", \"10.0.0.0/8:443\"]\nlookup = true\nudp = [\"10.0.0.0/24:53\"]\n\
         exec = [\"/bin/sh -c *\"]\nexec-env = [\"PGPORT\"]\ndangerous = true",
    );
    assert!(granted.check_wanted(&wanted, &host().resolver).is_ok());
    let elsewhere = [Capability::Http("other.example:443".into())];
    assert!(wants(&granted, &elsewhere).is_err(), "a name is granted by itself alone");
    let nonsense = wants(&granted, &[Capability::Exec(program("/bin/ls ** a"))]).unwrap_err().to_string();
    assert!(nonsense.contains("`**` in the end alone"), "{nonsense}");
}

#[test]
fn the_line_that_would_grant_something_is_one_that_can_be_read_again() {
    let grants = good("exec = [\"/bin/ls -l\"]");
    let line = grants
        .line_with("exec", entry_for("/bin/echo", &["two words".into(), "\"q\"".into(), String::new()]));
    let again = good(&line);
    assert!(
        again.program("/bin/echo", &["two words".into(), "\"q\"".into(), String::new()]).is_some(),
        "{line}"
    );
    assert!(again.program("/bin/ls", &["-l".into()]).is_some(), "what stood there still does");
    assert_eq!(grants.line_with("exec", entry_for("/bin/ls", &["-l".into()])), "exec = [\"/bin/ls -l\"]");
}
