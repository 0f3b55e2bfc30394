//! What a handler wants, compared with what it is granted.

use koi_plugin_api::{Capability, Program as WantedProgram, Want};

use super::{good, host};
use crate::backend::wasm::grants::{GrantError, Grants};

fn wants(grants: &Grants, wanted: &[Capability]) -> Result<(), GrantError> {
    let want = |capability: &Capability| Want { capability: capability.clone(), reason: String::new() };
    grants.check_wanted(&wanted.iter().map(want).collect::<Vec<_>>(), &host().resolver)
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
