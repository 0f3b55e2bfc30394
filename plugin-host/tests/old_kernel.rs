//! A kernel without Landlock: handlers run all the same, with fewer rights, and that is said. The only test of its program: what it takes from
//! itself is taken for good.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;

use std::fs;

use koi_plugin_api::{Hook, Outcome};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};

use crate::guests::Guest;
use crate::guests::node::{Ask, Node};

/// The numbers of `landlock_create_ruleset` and the two after it, on every processor.
const LANDLOCK: [i64; 3] = [444, 445, 446];

/// From now on this process and those that it starts find a kernel that has no such calls.
fn without_landlock() {
    let calls = LANDLOCK.into_iter().map(|call| (call, Vec::new())).collect();
    let absent = SeccompAction::Errno(nix::libc::ENOSYS as u32);
    let target = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, absent, target).unwrap();
    apply_filter_all_threads(&BpfProgram::try_from(filter).unwrap()).unwrap();
}

#[tokio::test]
async fn without_landlock_a_folder_is_reached_by_its_own_rights_alone() {
    if !nix::unistd::geteuid().is_root() {
        return koi_testkit::skip("only root has rights to take from a helper");
    }
    without_landlock();
    let node = Node::new();
    let status = "(call $status (i32.const 0) %{well} (i32.const 0) (i32.const 0))";
    let guest = Guest::new("old").hook("start", "(call $done)").hook("status", status).build();
    let compiled = node.facts(&guest).unwrap().compiled.unwrap();
    assert_eq!(compiled.lacking.as_deref(), Some("without Landlock"), "of the process that compiled it");
    let folder = tempfile::tempdir().unwrap();
    let grants = format!("[grants]\nwrite = [{:?}]\n", folder.path());
    let handler = node.handler("old", &guest, &grants);
    let ask = Ask::new(&handler);
    assert_eq!(ask.hook(Hook::Start).await, Ok(Outcome::Done));
    let own = nix::unistd::Pid::this().to_string();
    let of_helper = fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let is_child = status.lines().any(|line| line.split_whitespace().eq(["PPid:", &own]));
        is_child.then_some(status)
    });
    let of_helper = of_helper.expect("it is kept");
    for expected in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "Seccomp:\t2"] {
        assert!(of_helper.contains(expected), "{expected}: {of_helper}");
    }
    let Ok(Outcome::Status(report)) = ask.hook(Hook::Status).await else { panic!("no status") };
    assert_eq!(report.details, [("containment".to_owned(), "without Landlock".to_owned())]);
}
