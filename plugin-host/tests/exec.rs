//! Programs of the node that a component may run: which, with what, for how long.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[path = "exec/crowds.rs"]
mod crowds;
#[path = "exec/endings.rs"]
mod endings;
mod guests;
#[path = "exec/leftovers.rs"]
mod leftovers;
#[allow(dead_code, reason = "only one of the probes is needed here")]
mod probing;
#[path = "exec/sleeper.rs"]
mod sleeper;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use guests::node::Ask;
use koi_plugin_api::{Hook, HookError};
use probing::Probe;
use sleeper::Sleeper;

fn well(out: &str) -> String {
    format!("code Some(0) out {out:?} err \"\" truncated false")
}

#[tokio::test]
async fn a_listed_program_runs_with_fitting_arguments_and_no_other_does() {
    let Some(probe) = Probe::net() else { return };
    let exec = "exec = [\"/bin/echo add * dev eth0\", \"/bin/cat\"]";
    assert_eq!(
        probe.finds(exec, "exec:/bin/echo add 10.0.0.9 dev eth0").await,
        well("add 10.0.0.9 dev eth0\n")
    );
    assert_eq!(
        probe.finds(exec, "exec:/usr/bin/../bin/echo add x_y dev eth0").await,
        well("add x y dev eth0\n")
    );
    let echo = "has \"/bin/echo add * dev eth0\" for this program";
    for (command, granted, entry) in [
        ("/bin/echo add 10.0.0.9 dev eth1", echo, "\"/bin/echo add 10.0.0.9 dev eth1\""),
        ("/bin/echo add 10.0.0.9 dev eth0 more", echo, "\"/bin/echo add 10.0.0.9 dev eth0 more\""),
        ("/bin/echo", echo, "\"/bin/echo\""),
        ("/bin/cat /etc/passwd", "has \"/bin/cat\" for this program", "\"/bin/cat /etc/passwd\""),
        ("/bin/sh -c echo_hello", "has no entry for this program", "[\"/bin/sh\", \"-c\", \"echo hello\"]"),
    ] {
        let (error, log) = probe.fails(exec, &format!("exec:{command}")).await;
        assert_eq!(error, "denied", "{command}");
        let line = format!("service.toml: exec = [\"/bin/echo add * dev eth0\", \"/bin/cat\", {entry}]");
        assert!(log.starts_with("Warn denied: run ") && log.ends_with(&line), "{log}\nshould end in\n{line}");
        assert!(
            log.contains(&format!(
                "; exec {granted}; the handler does not name it in `wants` of its `describe`; to grant it"
            )),
            "{log}"
        );
    }
    let (error, log) = probe.fails(exec, "exec:echo add 10.0.0.9 dev eth0").await;
    assert_eq!(error, "denied", "nothing is looked for along PATH");
    assert!(log.ends_with("; a program is named by its absolute path"), "{log}");
}

#[tokio::test]
async fn what_is_asked_for_in_vain_is_shown_with_what_is_granted() {
    let Some(probe) = Probe::net() else { return };
    let exec = "exec = [\"/bin/echo a\", \"/bin/echo add x *\", \"/bin/echo *\", \"/bin/echo add y\", \"/bin/echo b\"]";
    let (_, log) = probe.fails(exec, "exec:/bin/echo add x").await;
    let nearest = "exec has \"/bin/echo add x *\", \"/bin/echo *\", \"/bin/echo add y\", \"/bin/echo a\" and 1 more for this program;";
    assert!(log.contains(nearest), "{log}");

    let (_, log) = probe.fails("exec = [\"/bin/echo *\"]", "exec:/bin/echo -n").await;
    assert!(
        log.contains("exec has \"/bin/echo *\" for this program, where `*` stands for no option;"),
        "{log}"
    );

    let (long, many) = ("x".repeat(101), " y".repeat(40));
    let (_, log) = probe.fails("exec = [\"/bin/echo\"]", &format!("exec:/bin/echo {long} a\tb{many}")).await;
    let shown = format!("\"{}\"… \"a\\tb\" \"y\"", "x".repeat(100));
    assert!(log.starts_with(&format!("Warn denied: run \"/bin/echo\" {shown}")), "{log}");
    assert!(log.contains(" \"y\" and 23 more; exec has") && log.chars().count() <= 2005, "{log}");
}

#[tokio::test]
async fn a_program_sees_a_path_and_what_the_guest_may_set() {
    let Some(probe) = Probe::net() else { return };
    let exec = "exec = [\"/usr/bin/env\"]\nexec-env = [\"LANG\"]\ndangerous = true";
    let path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n";
    assert_eq!(probe.finds(exec, "exec:/usr/bin/env").await, well(path));
    let found = probe.finds(exec, "exec:LANG=C /usr/bin/env").await;
    assert!(found.contains("LANG=C") && found.contains("PATH=/usr/sbin"), "{found}");
    for name in ["LD_PRELOAD", "PATH", "HOME"] {
        let (error, log) = probe.fails(exec, &format!("exec:{name}=/tmp /usr/bin/env")).await;
        assert_eq!(error, "denied");
        assert!(log.ends_with(&format!("exec-env = [\"LANG\", \"{name}\"]")), "{log}");
    }
    let unsafe_name =
        probe.open("exec = [\"/usr/bin/env\"]\nexec-env = [\"LD_PRELOAD\"]", "exec:x").err().unwrap();
    assert!(unsafe_name.contains("a guest must not set it"), "{unsafe_name}");
}

#[tokio::test]
async fn a_program_has_nothing_of_koids_open() {
    let Some(probe) = Probe::net() else { return };
    let ours = tempfile::NamedTempFile::new().unwrap();
    let exec = "exec = [\"/bin/ls -l /proc/self/fd\"]";
    let found = probe.tries(exec, "exec:/bin/ls -l /proc/self/fd").await.result.unwrap();
    let open_here =
        fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
    assert!(open_here.into_iter().any(|file| file == ours.path()), "it is open here");
    assert!(!found.contains(&ours.path().display().to_string()), "{found}");
    let found = probe.finds("exec = [\"/bin/pwd\"]", "exec:/bin/pwd").await;
    assert_eq!(found, well("/\n"));
}

#[tokio::test]
async fn input_and_output_are_whole_up_to_their_limits() {
    let Some(probe) = Probe::net() else { return };
    let exec = "exec = [\"/usr/bin/wc -c\", \"/usr/bin/head -c * /dev/zero\", \"/bin/true\", \"/bin/false\", \"/bin/ls *\"]";
    assert_eq!(probe.finds(exec, "exec:<1000000 /usr/bin/wc -c").await, well("1000000\n"));
    assert_eq!(probe.finds(exec, "exec:/usr/bin/wc -c").await, well("0\n"));
    assert_eq!(
        probe.finds(exec, "exec:/usr/bin/head -c 65536 /dev/zero").await,
        "code Some(0) out 65536 bytes err \"\" truncated false"
    );
    assert_eq!(
        probe.finds(exec, "exec:/usr/bin/head -c 3000000 /dev/zero").await,
        "code Some(0) out 65536 bytes err \"\" truncated true",
        "the rest was read, so that the program could end"
    );
    assert_eq!(probe.finds(exec, "exec:<500000 /bin/true").await, well(""), "input that nobody wants");
    assert!(probe.finds(exec, "exec:/bin/false").await.starts_with("code Some(1) "));
    let failed = probe.finds(exec, "exec:/bin/ls /no/such/file").await;
    assert!(failed.starts_with("code Some(2) ") && failed.contains("/no/such/file"), "{failed}");
    let (error, _) = probe.fails(exec, "exec:<8388609 /usr/bin/wc -c").await;
    assert_eq!(error, "more than 8 MiB of standard input");
}

#[tokio::test]
async fn a_program_that_others_may_change_is_run_to_take_a_service_down_and_for_nothing_else() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new("kill $!");
    let op = format!("exec:{}", sleeper.program().display());
    let handler = probe.open(&sleeper.grant(), &op).unwrap();
    let ask = Ask::new(&handler).with_config(&[("op", &op), ("promote", &op), ("demote", &op)]);
    ask.hook(Hook::Start).await.unwrap();
    let mode = |mode| fs::set_permissions(sleeper.program(), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o757);
    for hook in [Hook::Start, Hook::Promote] {
        let Err(HookError::Failed(why)) = ask.hook(hook).await else { panic!("{hook:?} has run it") };
        let mended_by = format!("`chmod go-w {}`", sleeper.program().display());
        assert!(why.contains("not run") && why.ends_with(&mended_by), "{why}");
    }
    ask.hook(Hook::Demote).await.unwrap();
    let said = ask.log.lines();
    let loud = said.iter().filter(|line| line.starts_with("Error ") && line.contains("is run all the same"));
    assert_eq!(loud.count(), 1, "{said:?}");
    mode(0o755);
    ask.hook(Hook::Promote).await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_another_one_by_now_is_run_and_that_is_said_once_for_each_change() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new("kill $!");
    let link = sleeper.dir.path().join("link");
    symlink("sleeper", &link).unwrap();
    let handler =
        probe.open(&format!("exec = [\"{}\"]", link.display()), &format!("exec:{}", link.display())).unwrap();
    let changes = async || {
        let ask = Ask::new(&handler);
        ask.hook(Hook::Start).await.unwrap();
        let lines = ask.log.lines().into_iter();
        lines
            .filter(|line| line.starts_with("Warn ") && line.contains("it is run all the same"))
            .collect::<Vec<_>>()
    };
    assert_eq!(changes().await, [""; 0]);
    let text = fs::read_to_string(sleeper.program()).unwrap();
    fs::write(sleeper.program(), text + "true\n").unwrap();
    assert!(changes().await.concat().contains("was replaced or changed"));
    assert_eq!(changes().await, [""; 0]);
    fs::rename(sleeper.program(), sleeper.dir.path().join("other")).unwrap();
    fs::remove_file(&link).unwrap();
    symlink("other", &link).unwrap();
    let said = changes().await.concat();
    assert!(said.contains("/other now, and led to ") && said.contains("/sleeper before"), "{said}");
    assert_eq!(changes().await, [""; 0]);
}

#[tokio::test]
async fn a_program_runs_as_the_user_that_its_entry_names() {
    if !nix::unistd::geteuid().is_root() {
        return koi_testkit::skip("only root can run a program as somebody else");
    }
    let Some(probe) = Probe::net() else { return };
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let (user, group) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let exec = "exec = [{ run = \"/bin/grep -E * /proc/self/status\", user = \"nobody\" }]";
    let op = "exec:/bin/grep -E ^(Uid|Gid|Groups|CapEff): /proc/self/status";
    let found = probe.finds(exec, op).await;
    for line in [
        format!("Uid:\\t{user}\\t{user}\\t{user}\\t{user}\\n"),
        format!("Gid:\\t{group}\\t{group}\\t{group}\\t{group}\\n"),
        format!("Groups:\\t{group} \\n"),
        "CapEff:\\t0000000000000000\\n".to_owned(),
    ] {
        assert!(found.contains(&line), "{line}: {found}");
    }
}

#[tokio::test]
async fn a_service_may_not_write_where_the_program_of_another_one_is() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new("kill $!");
    let (writes, op) =
        (format!("write = [{:?}]", sleeper.dir.path()), format!("exec:{}", sleeper.program().display()));
    probe.try_as("writes", &writes, "", "exec:/bin/true").unwrap();
    let exec = format!("exec = [{{ run = \"{}\" }}]", sleeper.program().display());
    probe.try_as("runs", &exec, "", &op).unwrap();
    let why = probe.try_as("writes", &writes, "", "exec:/bin/true").err().unwrap();
    assert!(why.contains("which the service runs runs") && why.contains("grant another directory"), "{why}");
    let elsewhere = tempfile::tempdir().unwrap();
    probe.try_as("writes", &format!("write = [{:?}]", elsewhere.path()), "", "exec:/bin/true").unwrap();
}
