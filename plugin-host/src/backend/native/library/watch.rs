//! The watcher: reads orders while the plugin works, and ends the process with koid. And what else is between the process and the
//! kernel.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;

use nix::sys::signal::{SigHandler, Signal, signal};

use crate::backend::native::helper::protocol::END_GRACE;
use crate::backend::native::helper::protocol::{FRAME_BYTES, HelperRequest};
use crate::backend::native::library::callbacks::Link;

/// Reads orders until koid is gone, or says that this is the end; the process does not outlive that.
pub(crate) fn watch(
    socket: UnixStream,
    link: &Link,
    requests: &Sender<HelperRequest>,
    epochs: &Sender<u64>,
) -> ! {
    let mut reader = BufReader::new(socket);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(FRAME_BYTES as u64).read_until(b'\n', &mut line) {
            Ok(_) if line.last() == Some(&b'\n') => {}
            // koid is gone, or has closed: whatever the plugin does, it does it for nobody.
            Ok(_) | Err(_) => exit(0),
        }
        // Whoever speaks something else is not koid.
        let Ok(order) = serde_json::from_slice(&line) else { exit(1) };
        let passed_on = match order {
            HelperRequest::Abort => {
                link.set_aborted(true);
                Ok(())
            }
            HelperRequest::Epoch(newest) => epochs.send(newest).map_err(drop),
            HelperRequest::Attributes(number, answer) => {
                link.answered(number, answer);
                Ok(())
            }
            HelperRequest::End => {
                let _ = requests.send(HelperRequest::End);
                // The main thread ends the process before, unless `destroy` hangs.
                std::thread::sleep(END_GRACE);
                exit(1)
            }
            order @ (HelperRequest::Create(_) | HelperRequest::Call(_)) => {
                link.set_aborted(false);
                requests.send(order).map_err(drop)
            }
        };
        // The main thread has left its loop, and so the process is ending.
        if passed_on.is_err() {
            std::thread::sleep(END_GRACE);
            exit(1)
        }
    }
}

/// The standard library catches SIGSEGV and SIGBUS to tell of a stack that is used up. Here the signal itself is what koid tells
/// of, and a plugin may send it to itself.
pub(crate) fn let_crashes_kill() {
    for crash in [Signal::SIGSEGV, Signal::SIGBUS] {
        // SAFETY: no handler of ours is put in place, and none that anybody relies on is taken away.
        if let Err(error) = unsafe { signal(crash, SigHandler::SigDfl) } {
            crate::stderr::complain(&format!("{crash} is caught still: {error}"));
        }
    }
}

fn exit(status: i32) -> ! {
    // SAFETY: ends the process at once; nothing of it is used any more. Handlers that the library has registered for the end of the
    // process are not run: they might hang.
    unsafe { nix::libc::_exit(status) }
}
