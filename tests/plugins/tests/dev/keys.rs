//! The keys that are pressed on a terminal, and what `--no-restart` leaves alone.

use koi_testkit::wait_for;

use crate::author::{Author, promoting};

/// How the log shows that a hook has ended well.
const STARTED: &str = "start    ✓";
const PROMOTED: &str = "promote  ✓";

#[test]
fn keys_promote_restart_test_and_build_and_q_ends_it_all() {
    let author = Author::new();
    let call = "[[test.call]]\nhook = \"status\"\noutcome = \"ok\"\n";
    author.put("handler.test.toml", format!("[[test]]\nname = \"it is well\"\n{call}").as_bytes());
    let (mut dev, terminal) = author.dev_on_terminal(&[]);
    dev.hear("p promote next · s stop and start · k kill master · t test · r rebuild · q quit", 1);
    dev.hear("✓ tests passed", 1);
    dev.runs("1.0");
    assert_eq!(dev.everywhere().1, ["a"]);
    assert!(!terminal.echoes(), "a key is no text");

    terminal.press('p');
    dev.hear("promoted on b, standby on a and c", 1);
    assert_eq!(dev.everywhere().1, ["b"]);

    dev.hear(STARTED, 3);
    terminal.press('s');
    dev.hear("taking it down everywhere, and up again", 1);
    dev.hear("promoted on b, standby on a and c", 2);
    dev.hear(STARTED, 6);
    dev.runs("1.0");

    terminal.press('t');
    dev.hear("✓ tests passed", 2);

    // Capital letters do the same, and what is no key does nothing.
    terminal.press('x');
    terminal.press('R');
    dev.hear("building one", 2);
    dev.hear("the component is the same as before: it goes on", 1);
    dev.hear("✓ tests passed", 3);

    dev.ends_by(|_| terminal.press('q'));
    assert!(terminal.echoes(), "the terminal is as it was");
}

#[test]
fn a_master_that_is_killed_is_shown_as_gone_and_comes_back_while_another_one_takes_over() {
    let author = Author::new();
    let (mut dev, terminal) = author.dev_on_terminal(&[]);
    dev.hear("promoted on a, standby on b and c", 1);
    dev.runs("1.0");
    let before = dev.daemon("a");
    terminal.press('k');
    dev.hear("koid of a was killed by signal 9; it is started again in 5 s", 1);
    dev.hear("a gone", 1);
    wait_for("another one takes over", || ["b", "c"].contains(dev.everywhere().1.first().unwrap_or(&"")));
    wait_for("it is back", || dev.daemon("a") != before);
    dev.runs("1.0");
    dev.ends_by(|_| terminal.press('q'));
}

#[test]
fn without_a_restart_a_version_takes_over_what_runs_and_its_promote_comes_with_the_next_promotion() {
    let author = Author::new();
    let broken = promoting("3.0", "(call $error (i32.const 0) %{the bulb is broken})");
    author.put("broken.wasm", &broken.build());
    let (mut dev, terminal) = author.dev_on_terminal(&["--no-restart"]);
    dev.hear("promoted on a, standby on b and c", 1);
    dev.hear(STARTED, 3);
    dev.hear(PROMOTED, 1);

    author.put("source", b"broken");
    dev.hear("promoted on a, standby on b and c", 2);
    dev.runs("3.0");
    assert_eq!(dev.everywhere().1, ["a"]);
    assert_eq!((dev.times(STARTED), dev.times(PROMOTED)), (3, 1), "no hook but status was run");

    terminal.press('p');
    dev.hear("the bulb is broken", 1);
    dev.ends_by(|_| terminal.press('q'));
}
