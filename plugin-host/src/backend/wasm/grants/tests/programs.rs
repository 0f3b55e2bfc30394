//! Programs, their arguments and variables.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::{again, error, good, lines};
use crate::backend::wasm::grants::programs::program::entry_for;
use crate::plugin::{Resolved, RunAs};

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
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
