//! Processes that tests have brought about.

use std::fs;

/// Whether a process is there and more than a zombie, or a thread of it is.
pub fn lives(pid: i32) -> bool {
    // The first thread of a process may have ended before the others.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap_or_default()).any(|stat| {
        // proc(5): `pid (name) state …`, and the name may hold anything.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_some_and(|state| state != 'Z' && state != 'X')
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_zombie_lives_no_more() {
        let mut child = Command::new("sleep").arg("600").spawn().expect("sleep can be run");
        let pid = child.id().cast_signed();
        assert!(lives(pid));
        child.kill().expect("it runs");
        crate::wait_for("it is dead, and nobody has waited for it", || !lives(pid));
        assert!(fs::exists(format!("/proc/{pid}")).expect("/proc can be read"));
        child.wait().expect("it is a child");
        assert!(!lives(pid));
    }
}
