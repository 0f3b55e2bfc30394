//! A terminal that nobody sees, for programs that behave otherwise on one.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::thread;

use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

/// So wide that no line is broken.
const SIZE: Winsize = Winsize { ws_row: 50, ws_col: 400, ws_xpixel: 0, ws_ypixel: 0 };

/// A pseudo terminal.
#[derive(Debug)]
pub struct Terminal {
    /// The end at which somebody would sit.
    person: File,
    /// The one for programs.
    programs: OwnedFd,
}

impl Terminal {
    /// A new one.
    ///
    /// # Panics
    /// If this machine has none.
    pub fn open() -> Terminal {
        let OpenptyResult { master, slave } = openpty(&SIZE, None).expect("there are terminals");
        Terminal { person: File::from(master), programs: slave }
    }

    /// A program whose terminal it is, in the foreground and without colours. It is started by `setsid` of util-linux, whose process becomes the program's.
    ///
    /// # Panics
    /// If this process may open no more files.
    pub fn command(&self, program: &Path) -> Command {
        let end = || self.programs.try_clone().expect("a descriptor can be cloned");
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program).stdin(end()).stdout(end()).stderr(end());
        command.env("TERM", "xterm").env("NO_COLOR", "1");
        command
    }

    /// Writes into a file what programs show from now on. To be called once: what one reads nobody else does.
    ///
    /// # Panics
    /// If this process may open no more files or start no thread.
    pub fn record(&self, mut into: File) {
        let mut person = self.person.try_clone().expect("a descriptor can be cloned");
        // It ends with the terminal.
        thread::spawn(move || io::copy(&mut person, &mut into));
    }

    /// Presses a key.
    ///
    /// # Panics
    /// If the terminal takes no more keys.
    pub fn press(&self, key: char) {
        (&self.person).write_all(key.to_string().as_bytes()).expect("a key can be pressed");
    }

    /// Whether it shows what is typed, and hands it over line by line: as terminals do until a program wants it otherwise.
    ///
    /// # Panics
    /// If it cannot be asked.
    pub fn echoes(&self) -> bool {
        let flags = tcgetattr(&self.programs).expect("a terminal can be asked").local_flags;
        flags.contains(LocalFlags::ECHO | LocalFlags::ICANON)
    }
}
