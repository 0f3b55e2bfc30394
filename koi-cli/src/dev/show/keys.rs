//! Keys that are pressed while it runs, on a terminal.

use std::io::{self, IsTerminal, Read};
use std::thread;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};
use tokio::sync::mpsc;

/// Keys that wait to be acted on.
const WAITING: usize = 16;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dev) enum Key {
    Promote,
    Restart,
    Kill,
    Test,
    Rebuild,
    Quit,
}

/// The keys, in the order in which they are shown.
const KEYS: [(char, Key, &str); 6] = [
    ('p', Key::Promote, "promote next"),
    ('s', Key::Restart, "stop and start"),
    ('k', Key::Kill, "kill master"),
    ('t', Key::Test, "test"),
    ('r', Key::Rebuild, "rebuild"),
    ('q', Key::Quit, "quit"),
];

/// The keys with what they do, in a line.
pub(in crate::dev) fn shown() -> String {
    KEYS.map(|(letter, _, what)| format!("{letter} {what}")).join(" · ")
}

/// Takes keys while it lives; then the terminal is as it was.
pub(in crate::dev) struct Keys {
    before: Option<Termios>,
    pressed: mpsc::Receiver<u8>,
    /// Without a terminal nobody sends, and nobody is to think that the sender has gone.
    _sender: mpsc::Sender<u8>,
}

impl Keys {
    /// From now on keys count as they are pressed. Without a terminal, or in the background, there are none.
    pub(in crate::dev) fn take() -> Keys {
        let (sender, pressed) = mpsc::channel(WAITING);
        let before = take_terminal();
        if before.is_some() {
            let sender = sender.clone();
            // It waits for a key until the program ends.
            thread::spawn(move || {
                let mut byte = [0];
                while io::stdin().read(&mut byte).is_ok_and(|read| read > 0) {
                    if sender.blocking_send(byte[0]).is_err() {
                        return;
                    }
                }
            });
        }
        Keys { before, pressed, _sender: sender }
    }

    /// Whether there are any.
    pub(in crate::dev) fn are_there(&self) -> bool {
        self.before.is_some()
    }

    /// The next one that means something.
    pub(in crate::dev) async fn next(&mut self) -> Key {
        loop {
            match self.pressed.recv().await {
                Some(byte) => {
                    let pressed = char::from(byte).to_ascii_lowercase();
                    if let Some((_, key, _)) = KEYS.into_iter().find(|(letter, ..)| *letter == pressed) {
                        return key;
                    }
                }
                None => std::future::pending::<()>().await,
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that has gone needs no restoring.
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
        }
    }
}

/// Has the terminal hand over each key at once and not show it; how it was before. Ctrl-C stays a signal.
fn take_terminal() -> Option<Termios> {
    let stdin = io::stdin();
    let is_ours = stdin.is_terminal() && io::stdout().is_terminal() && tcgetpgrp(&stdin) == Ok(getpgrp());
    if !is_ours {
        return None;
    }
    let before = tcgetattr(&stdin).ok()?;
    let mut now = before.clone();
    now.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
    tcsetattr(&stdin, SetArg::TCSANOW, &now).ok()?;
    Some(before)
}
