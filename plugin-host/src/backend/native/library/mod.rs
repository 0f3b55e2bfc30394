//! A helper, from within: the process that a library is loaded into.
//!
//! The main thread loads the library and calls it. A second one, the watcher, reads the orders, so that a request to end is heard
//! while the plugin works, and so that the process ends with koid even if the plugin hangs.

mod answers;
mod callbacks;
#[allow(unsafe_code)] // Calls into the library.
mod instance;
#[allow(unsafe_code)] // Reads what the library exports.
mod table;
#[allow(unsafe_code)] // Signals, and an end without any of the library's code.
mod watch;

use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;

use crate::backend::helper;
use crate::backend::native::helper::protocol::{HelperReply, HelperRequest};
use callbacks::Link;
use instance::Instance;

/// The process that a library is loaded into. Arguments: the library, and the service's name for whoever looks at the list of
/// processes. Standard input is a socket for orders and answers.
pub(crate) fn library_process(args: &[OsString]) -> ExitCode {
    let [library, ..] = args else {
        crate::stderr::complain(
            "koid starts this by itself to run a native plugin; to look at one use `koi plugins check FILE`",
        );
        return ExitCode::from(2);
    };
    let socket = match helper::take_socket() {
        Ok(socket) => socket,
        Err(error) => {
            crate::stderr::complain(&format!("no socket to koid on standard input: {error}"));
            return ExitCode::from(2);
        }
    };
    match serve(Path::new(library), socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::stderr::complain(&format!("koid was lost: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(library: &Path, socket: UnixStream) -> io::Result<()> {
    watch::let_crashes_kill();
    let (order_sender, orders) = mpsc::channel();
    let (epoch_sender, epochs) = mpsc::channel();
    // The plugin's threads may use it until the process is gone.
    let link: &'static Link = Box::leak(Box::new(Link::new(socket.try_clone()?, epochs)));
    let watching = move || watch::watch(socket, link, &order_sender, &epoch_sender);
    std::thread::Builder::new().name("koi-watcher".into()).spawn(watching)?;

    let (table, described) = match table::load(library) {
        Ok(loaded) => loaded,
        Err(error) => last_word(link, &HelperReply::Refused(error.to_string())),
    };
    link.send(&HelperReply::Loaded(Box::new(described)))?;
    let mut instance = None;
    // The watcher ends the process when koid is gone: this loop ends with an order only.
    for order in orders {
        match (order, &mut instance) {
            (HelperRequest::Create(order), none @ None) => {
                link.begin(order.timeout_ms, (0, None));
                let (code, made) = Instance::create(table, link, &order);
                let created = HelperReply::Created(link.finish(code));
                match made {
                    Some(made) => *none = Some(made),
                    None => last_word(link, &created),
                }
                link.send(&created)?;
            }
            (HelperRequest::Call(order), Some(instance)) => {
                link.begin(order.told_ms(), (order.epoch, Some(order.call_id)));
                let code = instance.call(&order);
                link.send(&HelperReply::Done(link.finish(code)))?;
            }
            (HelperRequest::End, _) => break,
            // koid creates once, and before it calls; the rest is the watcher's.
            (
                HelperRequest::Create(_)
                | HelperRequest::Call(_)
                | HelperRequest::Abort
                | HelperRequest::Epoch(_)
                | HelperRequest::Attributes(..),
                _,
            ) => {}
        }
    }
    if let Some(instance) = instance {
        link.begin(
            crate::backend::native::helper::protocol::millis(
                crate::backend::native::helper::protocol::END_GRACE,
            ),
            (0, None),
        );
        instance.destroy();
    }
    Ok(())
}

/// Sends the last reply, and waits for the watcher to end the process when koid closes the socket. To exit now, with requests
/// unread, could reset the socket before koid has read the reply.
fn last_word(link: &Link, word: &HelperReply) -> ! {
    // Without koid there is nobody to tell.
    let _ = link.send(word);
    loop {
        std::thread::park();
    }
}
