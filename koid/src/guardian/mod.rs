//! The guardian (rule R8): koid's second process. It takes services down when koid is killed, or hangs past its lease; and it
//! tells the others, so that nobody has to wait.
//!
//! It is koid's own executable, started anew with its end of a socket as standard input. It holds no key: what it would say is
//! sealed beforehand. Until it has to act it is one thread that waits for words and for one deadline.

mod teardown;
mod watchdog;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use koi_config::Fence;
use koi_core::guard::ServiceLevel;
use koi_core::types::{Epoch, Time};
use watchdog::Dog;

use crate::args::Args;
use crate::guardian_client::protocol::{
    ARMED, HERE, Route, STANDS, Setup, UNARMED, WORD_BYTES, Watching, Word,
};
use crate::os::sys;
use crate::reporting::log;

/// What the guardian knows.
#[derive(Debug)]
struct Ward {
    setup: Option<Box<Setup>>,
    route: Option<Route>,
    watching: Watching,
    services: BTreeMap<String, ServiceLevel>,
    groups: BTreeMap<u64, i32>,
    /// The grace of this node, for deadlines.
    grace: Duration,
    /// With `fence = "watchdog"`.
    dog: Option<Dog>,
}

/// Why the guardian acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// koid is gone without a good-bye.
    Dead,
    /// koid has let its lease run out, or its grace.
    Hangs,
}

/// The guardian's life.
pub(crate) fn run(args: &Args, lock: &Path) -> ExitCode {
    let daemon = sys::parent();
    sys::leave_terminal();
    let _logging = log::start(&args.log, args.no_color);
    // Two guardians never take the same services down: the next waits until the earlier is done.
    let _lock = match sys::lock_file(lock) {
        Ok(lock) => lock,
        Err(error) => {
            tracing::error!("the guardian cannot lock {}: {error}", lock.display());
            return ExitCode::FAILURE;
        }
    };
    let _ = sys::lock_memory();
    let _ = sys::make_realtime();
    match guard() {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some((ward, cause))) => {
            teardown::take_down(ward, cause, daemon);
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!("the guardian has failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for words and for the deadline; none: koid said good-bye.
fn guard() -> io::Result<Option<(Ward, Cause)>> {
    let socket = io::stdin();
    let mut ward = Ward {
        setup: None,
        route: None,
        watching: Watching::Nothing,
        services: BTreeMap::new(),
        groups: BTreeMap::new(),
        grace: Duration::ZERO,
        dog: None,
    };
    if sys::send_word(socket.as_fd(), STANDS).is_err() {
        return Ok(None); // koid ended meanwhile, and had nothing promoted yet
    }
    let mut buffer = vec![0; WORD_BYTES];
    loop {
        ward.tend_dog();
        let wake = ward.deadline().into_iter().chain(ward.dog.as_ref().map(Dog::next)).min();
        let patience = wake.map(|at| at.since(sys::now()));
        if !sys::wait_readable(socket.as_fd(), patience)? {
            if ward.deadline().is_some_and(|at| sys::now() >= at) {
                return Ok(Some((ward, Cause::Hangs)));
            }
            continue;
        }
        let Some(length) = sys::receive_word(socket.as_fd(), &mut buffer)? else {
            return Ok(Some((ward, Cause::Dead)));
        };
        match minicbor::decode::<Word>(&buffer[..length]) {
            Ok(Word::Bye) => {
                ward.release_dog();
                return Ok(None);
            }
            Ok(Word::Setup(setup)) => {
                if let Some(answer) = ward.set_up(setup) {
                    // koid may be gone by now: the next turn finds out.
                    let _ = sys::send_word(socket.as_fd(), &answer);
                }
            }
            Ok(Word::Ping) => drop(sys::send_word(socket.as_fd(), HERE)),
            Ok(word) => ward.hear(word),
            Err(error) => tracing::error!("the guardian did not understand a word of koid: {error}"),
        }
    }
}

impl Ward {
    fn hear(&mut self, word: Word) {
        match word {
            Word::Route(route) => self.route = Some(route),
            Word::Watch(watching) => self.watching = watching,
            Word::Service(service) => {
                match service.promoted {
                    None => self.services.remove(&service.name),
                    Some(false) => self.services.insert(service.name, ServiceLevel::Started),
                    Some(true) => self.services.insert(service.name, ServiceLevel::Promoted),
                };
            }
            Word::Group(group) => {
                match group.group {
                    Some(id) => self.groups.insert(group.run, id),
                    None => self.groups.remove(&group.run),
                };
            }
            // Dealt with before.
            Word::Setup(_) | Word::Bye | Word::Ping => {}
        }
    }

    /// Takes the configuration; what is to be said of the watchdog.
    fn set_up(&mut self, setup: Box<Setup>) -> Option<Vec<u8>> {
        let config = teardown::config(&setup);
        self.setup = Some(setup);
        let config = config?;
        self.grace = config.timing.demote_grace;
        if config.node.fence != Fence::Watchdog {
            self.release_dog();
            return None;
        }
        if self.dog.is_some() {
            return Some(ARMED.to_vec());
        }
        match Dog::arm(&config.node.watchdog, config.timing.master_lease + self.grace) {
            Ok(dog) => {
                self.dog = Some(dog);
                Some(ARMED.to_vec())
            }
            Err(why) => {
                tracing::error!(
                    "{why}; nothing is promoted here until it is armed: mend it, then say `koi reconfigure`"
                );
                Some([UNARMED, why.as_bytes()].concat())
            }
        }
    }

    /// Pets the watchdog as far as the lease allows.
    fn tend_dog(&mut self) {
        let promoted = self.services.values().any(|s| *s == ServiceLevel::Promoted);
        let must_end = match self.watching {
            Watching::Frozen => None,
            _ if !promoted => None,
            // Promoted, and without a lease: it could not be taken down (R7).
            Watching::Nothing => Some(Time(0)),
            Watching::Lease { .. } | Watching::Demoting { .. } => self.grace_ends(),
        };
        if let Some(dog) = &mut self.dog {
            dog.tend(must_end, sys::now());
        }
    }

    /// Disarms the watchdog, if nothing is promoted here or maintenance mode is on; otherwise it goes on counting.
    fn release_dog(&mut self) {
        let promoted = self.services.values().any(|s| *s == ServiceLevel::Promoted);
        if let Some(mut dog) = self.dog.take()
            && (!promoted || self.watching == Watching::Frozen)
        {
            dog.disarm();
        }
    }

    /// When koid has hung for too long. At the end of a lease koid begins to demote by itself, and says so: it gets a part of
    /// the grace for that.
    fn deadline(&self) -> Option<Time> {
        match self.watching {
            Watching::Nothing | Watching::Frozen => None,
            Watching::Lease { ends_us, .. } => Some(Time(ends_us) + self.grace / 4),
            Watching::Demoting { by_us, .. } => Some(Time(by_us) + self.grace / 4),
        }
    }

    /// The mastership that koid held, for hooks.
    fn epoch(&self) -> Epoch {
        match self.watching {
            Watching::Nothing | Watching::Frozen => Epoch(0),
            Watching::Lease { epoch, .. } | Watching::Demoting { epoch, .. } => Epoch(epoch),
        }
    }

    /// When everything promoted must be down, whoever does the work (R7).
    fn grace_ends(&self) -> Option<Time> {
        match self.watching {
            Watching::Nothing | Watching::Frozen => None,
            Watching::Lease { ends_us, .. } => Some(Time(ends_us) + self.grace),
            Watching::Demoting { by_us, .. } => Some(Time(by_us)),
        }
    }
}
