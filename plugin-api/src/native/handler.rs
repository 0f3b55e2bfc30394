//! What the author of a plugin in Rust sees.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use koi_hook::{Hook, NamedProcess, StatusReport};

use super::abi;
use crate::attributes::AttributesError;
use crate::hook::{Context, LogLevel};

/// A handler in a native plugin. One value of it serves one service, in a process of its own; its hooks are called one at a time.
/// After a crash, a panic or a call that did not end in time the process is started anew, and with it the value: what must
/// outlive that belongs on disk.
pub trait NativeHandler: Sized {
    /// What services name it by: lower-case letters, digits and `-`.
    const NAME: &'static str;
    /// Its version; `env!("CARGO_PKG_VERSION")` will do.
    const VERSION: &'static str;
    /// One line for people.
    const DESCRIPTION: &'static str;
    /// The hooks that it has. The others are never called and count as done. [`Hook::Changed`] is only called if it is named here.
    const HOOKS: &'static [Hook] = &Hook::LIFECYCLE;
    /// The keys of `[config]` that it understands. When it names none, any key is passed on.
    const CONFIG: &'static [Key] = &[];

    /// Makes the value for one service, before the first hook. Should only look at its configuration: without a value koi cannot
    /// even stop the service.
    ///
    /// # Errors
    /// The hook that was to be called has failed with it.
    fn create(setup: Setup, host: &Host<'_>) -> Result<Self, Error>;

    /// Make the service run, ready for promotion. One that runs already is a success.
    ///
    /// # Errors
    /// It does not run now, and why.
    fn start(&mut self, context: &Context, host: &Host<'_>) -> Result<(), Error> {
        let _ = (context, host);
        Err(Error::Unsupported)
    }

    /// Make it not run. One that does not run is a success.
    ///
    /// # Errors
    /// Something of it may run still, and why.
    fn stop(&mut self, context: &Context, host: &Host<'_>) -> Result<(), Error> {
        let _ = (context, host);
        Err(Error::Unsupported)
    }

    /// Make it the master.
    ///
    /// # Errors
    /// It is not master now, and why.
    fn promote(&mut self, context: &Context, host: &Host<'_>) -> Result<(), Error> {
        let _ = (context, host);
        Err(Error::Unsupported)
    }

    /// Make it a standby again. Must be idempotent, and quick.
    ///
    /// # Errors
    /// It may be master still, and why.
    fn demote(&mut self, context: &Context, host: &Host<'_>) -> Result<(), Error> {
        let _ = (context, host);
        Err(Error::Unsupported)
    }

    /// Say how it is. Must not change anything.
    ///
    /// # Errors
    /// The service has failed, and why.
    fn status(&mut self, context: &Context, host: &Host<'_>) -> Result<StatusReport, Error> {
        let _ = (context, host);
        Err(Error::Unsupported)
    }

    /// It has failed (`context.cause` says how): look at the wreck before it is stopped.
    ///
    /// # Errors
    /// Logged.
    fn failed(&mut self, context: &Context, host: &Host<'_>) -> Result<(), Error> {
        let _ = (context, host);
        Err(Error::Unsupported)
    }

    /// The master, the nodes that could be promoted or the nodes that are there are not what they were (`context`): adjust, and do not promote.
    /// Any other hook ends this one early; it is called again then.
    ///
    /// # Errors
    /// It is shown, and this is called again later. Nothing else comes of it.
    fn changed(&mut self, context: &Context, host: &Host<'_>) -> Result<(), Error> {
        let _ = (context, host);
        Err(Error::Unsupported)
    }
}

/// A key of `[config]` that a plugin understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// Without it the service cannot run.
    pub required: bool,
    /// What it is where `service.toml` does not say.
    pub default: Option<&'static str>,
}

/// The service that a handler is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Its name, without its priority.
    pub service: String,
    /// Its folder.
    pub home: PathBuf,
    /// `[config]` of `service.toml` in file order, with the defaults of the plugin filled in.
    pub config: Vec<(String, String)>,
}

/// A hook that did not go well. The text is one line for people: what happened, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Try again here, after koi's back-off.
    Retry(String),
    /// Do not try again on this node until an operator says so; let another take over.
    Fatal(String),
    /// The configuration is wrong; trying again anywhere is pointless until it is mended.
    Misconfigured(String),
    /// The handler does not have this hook after all; counts as done.
    Unsupported,
}

impl From<String> for Error {
    fn from(text: String) -> Error {
        Error::Retry(text)
    }
}

impl From<&str> for Error {
    fn from(text: &str) -> Error {
        Error::Retry(text.to_owned())
    }
}

impl From<AttributesError> for Error {
    fn from(error: AttributesError) -> Error {
        let (AttributesError::NotMaster(why)
        | AttributesError::Invalid(why)
        | AttributesError::Unavailable(why)
        | AttributesError::Unknown(why)) = error;
        Error::Retry(why)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error::Retry(error.to_string())
    }
}

/// What koi offers to a plugin. May be used by any thread while the call lasts.
#[derive(Clone, Copy, Debug)]
pub struct Host<'h> {
    pub(super) raw: abi::RawHost,
    lasts: PhantomData<&'h ()>,
}

// SAFETY: koi takes its callbacks from any thread (koi_plugin.h).
unsafe impl Send for Host<'_> {}
// SAFETY: as above.
unsafe impl Sync for Host<'_> {}

impl<'h> Host<'h> {
    pub(super) fn new(raw: abi::RawHost) -> Host<'h> {
        Host { raw, lasts: PhantomData }
    }

    /// A process that the service runs in, of `start` or `status`: koi watches it, and asks for the status at once when it ends. What was named last
    /// holds. Of `start` from ABI 1.2 on; an older koi ignores it.
    pub fn process(&self, process: &NamedProcess) {
        match process {
            // What is no number is no process: 0 says so as well as any word.
            NamedProcess::Id(id) => self.put(abi::PUT_PROCESS, "", "", id.parse().unwrap_or(0)),
            NamedProcess::File(path) => self.put(abi::PUT_PROCESS, "", path, 0),
            NamedProcess::FileWithin { folder, path } => {
                self.put(abi::PUT_PROCESS, "", &format!("{folder}/{path}"), 0);
            }
        }
    }

    /// A line for koid's log, with the service's and the hook's name. Lines are bounded in length and rate. What is written to
    /// standard output and standard error goes there too.
    pub fn log(&self, level: LogLevel, line: &str) {
        let level = match level {
            LogLevel::Debug => abi::LOG_DEBUG,
            LogLevel::Info => abi::LOG_INFO,
            LogLevel::Warn => abi::LOG_WARN,
            LogLevel::Error => abi::LOG_ERROR,
        };
        // SAFETY: the table is koi's and whole; the line is read before the callback returns.
        unsafe { (self.raw.log)(self.raw.self_, level, abi::Text::of(line)) }
    }

    /// [`Host::log`] at [`LogLevel::Info`].
    pub fn info(&self, line: &str) {
        self.log(LogLevel::Info, line);
    }

    /// [`Host::log`] at [`LogLevel::Warn`].
    pub fn warn(&self, line: &str) {
        self.log(LogLevel::Warn, line);
    }

    /// What is left of this call; zero once koi wants it to end.
    pub fn remaining(&self) -> Duration {
        // SAFETY: the table is koi's and whole.
        Duration::from_millis(unsafe { (self.raw.remaining_ms)(self.raw.self_) })
    }

    /// True while `context.epoch` is the newest that this node has heard of. For a last look before something that cannot be taken
    /// back; false means: stop here.
    pub fn epoch_current(&self) -> bool {
        // SAFETY: the table is koi's and whole.
        unsafe { (self.raw.epoch_current)(self.raw.self_) != 0 }
    }

    pub(super) fn put(&self, what: u32, key: &str, value: &str, number: i64) {
        // SAFETY: the table is koi's and whole; the texts are read before the callback returns.
        unsafe {
            (self.raw.put)(self.raw.self_, what, abi::Text::of(key), abi::Text::of(value), number);
        }
    }
}
