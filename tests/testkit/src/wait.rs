//! Waiting for conditions.

use std::time::{Duration, Instant};

/// How long anything that is waited for may take. Far more than it should: the machine may be busy, and waiting ends when the
/// condition holds.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Until `met`, at most for so long; whether it was.
pub fn met_within(limit: Duration, mut met: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if met() {
            return true;
        }
        if begun.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Waits until `met`.
///
/// # Panics
/// If that takes longer than [`PATIENCE`].
#[track_caller]
pub fn wait_for(what: &str, met: impl FnMut() -> bool) {
    assert!(met_within(PATIENCE, met), "{what}: waited {} s in vain", PATIENCE.as_secs());
}

/// Waits until `find` finds something.
///
/// # Panics
/// As [`wait_for`].
#[track_caller]
pub fn wait_some<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    wait_for(what, || {
        found = find();
        found.is_some()
    });
    found.expect("it was found")
}

/// As [`wait_some`], for tests with a runtime of tokio: its other tasks go on meanwhile.
///
/// # Panics
/// As [`wait_for`].
pub async fn until<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: waited {} s in vain", PATIENCE.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_is_waited_for_and_what_does_not_is_given_up() {
        let mut looks = 0;
        let third = || {
            looks += 1;
            (looks == 3).then_some(looks)
        };
        assert_eq!(wait_some("the third look", third), 3);
        assert!(!met_within(Duration::ZERO, || false));
    }
}
