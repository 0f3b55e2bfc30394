//! The processes that a component names: what koid is told of them, and what of them is ignored.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;

use std::fs;
use std::path::{Path, PathBuf};

use guests::Guest;
use guests::node::{Ask, Node};
use koi_plugin_api::{Hook, NamedProcess, Outcome};

/// A folder without links on the way to it, and with another in it.
struct Run(tempfile::TempDir);

impl Run {
    fn new() -> Run {
        let run = Run(tempfile::tempdir().unwrap());
        fs::create_dir(run.path().join("db")).unwrap();
        run
    }

    fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    fn within(&self, path: &str) -> NamedProcess {
        NamedProcess::FileWithin { folder: self.path().display().to_string(), path: path.into() }
    }

    fn reads(&self) -> String {
        format!("[grants]\nread = [\"{}\"]\n", self.path().display())
    }
}

fn id(text: &str) -> NamedProcess {
    NamedProcess::Id(text.into())
}

/// A guest whose status names these: a word of digits is an id, anything else a file.
fn naming(names: &[&str]) -> Guest {
    let name = |(place, name): (usize, &&str)| match name.parse::<u32>() {
        Ok(id) => format!("(call $pid (i32.const {place}) (i32.const {id}))"),
        Err(_) => format!("(call $pidfile (i32.const {place}) %{{{name}}})"),
    };
    let names: Vec<_> = names.iter().enumerate().map(name).collect();
    let status = format!("{} (call $named (i32.const {}))", names.join(" "), names.len());
    Guest::new("named").built_against("0.2.0").hook("status", &status)
}

/// What koid is told of them, and what stands in the log.
async fn told(names: &[&str], toml: &str) -> (Vec<NamedProcess>, Vec<String>) {
    let node = Node::new();
    let ask = Ask::new(&node.handler("named", &naming(names).build(), toml));
    let Ok(Outcome::Status(report)) = ask.hook(Hook::Status).await else { panic!("the status is well") };
    (report.processes, ask.log.lines())
}

#[tokio::test]
async fn ids_are_passed_on_whatever_they_are_and_twice_the_same_is_one() {
    let (processes, log) = told(&["4711", "0", "4294967295", "4711"], "").await;
    assert_eq!(processes, [id("4711"), id("0"), id("4294967295")]);
    assert!(log.is_empty(), "{log:?}");
    assert_eq!(told(&[], "").await, (vec![], vec![]));
}

#[tokio::test]
async fn one_more_than_are_watched_says_that_there_are_too_many() {
    let names = ["11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21"];
    let (processes, _) = told(&names, "").await;
    assert_eq!(processes.len(), NamedProcess::MOST + 1);
}

#[tokio::test]
async fn a_pidfile_lies_in_a_directory_that_the_guest_may_read() {
    let run = Run::new();
    let (top, deep) = (run.path().join("db.pid"), run.path().join("db/db.pid"));
    let (processes, log) = told(&[top.to_str().unwrap(), deep.to_str().unwrap()], &run.reads()).await;
    assert_eq!(processes, [run.within("db.pid"), run.within("db/db.pid")]);
    assert!(log.is_empty(), "whether it is there is looked at when it is read: {log:?}");
}

#[tokio::test]
async fn a_directory_that_is_granted_by_a_link_is_the_one_that_it_leads_to() {
    let run = Run::new();
    let link = run.path().join("link");
    std::os::unix::fs::symlink("db", &link).unwrap();
    let toml = format!("[grants]\nwrite = [\"{}\"]\n", link.display());
    let folder = run.path().join("db").display().to_string();
    let (processes, _) = told(&[link.join("db.pid").to_str().unwrap()], &toml).await;
    assert_eq!(processes, [NamedProcess::FileWithin { folder, path: "db.pid".into() }]);
}

#[tokio::test]
async fn any_other_pidfile_is_ignored_with_the_line_that_would_allow_it() {
    let run = Run::new();
    let beside = run.path().with_extension("beside").join("db.pid");
    let (beside, folder) = (beside.to_str().unwrap(), beside.parent().unwrap().display());
    let (processes, log) = told(&[beside, "4711"], &run.reads()).await;
    assert_eq!(processes, [id("4711")]);
    let line = format!(
        "Warn its pidfile {beside:?} is ignored: the handler may not read it; to grant that write under [grants] of service.toml: \
         read = [\"{}\", \"{folder}\"]",
        run.path().display()
    );
    assert_eq!(log, [line]);
}

#[tokio::test]
async fn no_way_leads_out_of_what_is_granted() {
    let run = Run::new();
    let inside = |path: &str| format!("{}/{path}", run.path().display());
    let outside = [
        inside("../db.pid"),
        inside("db/../../db.pid"),
        inside("db/"),
        inside(""),
        "db.pid".into(),
        "/db.pid".into(),
    ];
    for path in outside {
        let (processes, log) = told(&[&path], &run.reads()).await;
        assert!(processes.is_empty(), "{path}: {processes:?}");
        assert_eq!(log.len(), 1, "{path}: {log:?}");
        let is_hopeless = log[0]
            .ends_with("it should be an absolute path of a file in a directory of its own, without `..`");
        let is_granted_so = Path::new(&path)
            .parent()
            .is_some_and(|folder| log[0].contains(&format!("{:?}", folder.display().to_string())));
        assert!(is_hopeless || is_granted_so, "{path}: {log:?}");
    }
}

#[tokio::test]
async fn what_is_ignored_is_said_once_until_it_is_another() {
    let node = Node::new();
    let ask = Ask::new(&node.handler("named", &naming(&["/run/db/db.pid"]).build(), ""));
    for _ in 0..3 {
        assert!(ask.hook(Hook::Status).await.is_ok());
    }
    assert_eq!(ask.log.lines().len(), 1, "{:?}", ask.log.lines());
}

#[tokio::test]
async fn a_long_path_is_no_path() {
    let long = format!("/{}", "x".repeat(5000));
    let (processes, log) = told(&[&long], "").await;
    assert!(processes.is_empty());
    assert!(log[0].ends_with("no path is as long") && log[0].len() < 500, "{log:?}");
}

#[tokio::test]
async fn a_guest_of_the_version_before_names_none() {
    let node = Node::new();
    let status = "(call $status (i32.const 0) %{well} (i32.const 0) (i32.const 0))";
    let ask = Ask::new(&node.handler("before", &Guest::new("before").hook("status", status).build(), ""));
    let Ok(Outcome::Status(report)) = ask.hook(Hook::Status).await else { panic!("the status is well") };
    assert_eq!((report.message.as_str(), report.processes), ("well", vec![]));
}
