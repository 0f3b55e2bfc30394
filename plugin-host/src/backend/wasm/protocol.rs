//! What koid and the helper of a component say to each other: frames of CBOR over a socket.
//!
//! ```text
//! frame = length of the rest (4 bytes, little-endian), CBOR of one message
//! ```
//!
//! The socket's first byte comes with a descriptor, the component's compiled code. Then koid sends [`HostMessage::Setup`], and from
//! then on calls, one at a time. While a call runs the helper may ask; it has one question open at most, and beside it a bounded number
//! of look-ups of names, which have numbers.
//!
//! koid takes nothing of what a helper says on trust: a guest that broke out of its sandbox may be the one who speaks. Whatever cannot
//! be decoded, is too long, or comes at the wrong time ends the helper.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use koi_plugin_api::{ConfigKey, Context, Hook, HookError, LogLevel, Role, Want};
use minicbor::{Decode, Encode};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::backend::helper::ReplyError;
use crate::backend::wasm::confine::Layers;
use crate::backend::wasm::grants::Grants;
use crate::backend::wasm::limits::Limits;

/// Bytes of a message from a helper.
pub(crate) const GUEST_FRAME_BYTES: usize = 1024 * 1024;
/// Bytes of a message from koid: `[config]` and `[grants]` of a service come with them.
pub(crate) const HOST_FRAME_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of a program's input that come with one message.
pub(crate) const INPUT_CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of a program's arguments and variables together.
pub(crate) const ARGUMENTS_BYTES: usize = 512 * 1024;
/// Bytes of a program's input.
pub(crate) const INPUT_BYTES: usize = 8 * 1024 * 1024;

/// Look-ups of names that go on at once for one call.
pub(crate) const LOOKUPS_AT_ONCE: usize = 4;
/// Look-ups that wait until others are done.
pub(crate) const LOOKUPS_WAITING: usize = 64;
/// Look-ups of one call that have no answer yet.
pub(crate) const LOOKUPS_OPEN: usize = LOOKUPS_AT_ONCE + LOOKUPS_WAITING;
/// Bytes of a name that is looked up (RFC 1035).
pub(crate) const NAME_BYTES: usize = 253;

/// Bytes read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Bytes of the length before each message.
const LENGTH_BYTES: usize = 4;

/// From koid.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum HostMessage {
    /// What the helper is for: a [`GuestSetup`] as JSON.
    #[n(0)]
    Setup(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// Run a hook.
    #[n(1)]
    Call(#[n(0)] Box<HookRequest>),
    /// The call under way is to end: true: now.
    #[n(2)]
    Abort(#[n(0)] bool),
    /// The answer to the open question.
    #[n(3)]
    Answer(#[n(0)] HostAnswer),
    /// What came of the look-up of this number.
    #[n(4)]
    Found(#[n(0)] u64, #[n(1)] LookupAnswer),
}

/// What a helper is for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum GuestSetup {
    /// To say what the component is.
    Describe,
    /// To run the hooks of one service.
    Serve(Box<ServiceSetup>),
}

/// What a service's guests may use.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServiceSetup {
    /// As koid has checked and resolved them.
    pub(crate) grants: Grants,
    /// The granted variables of koid's environment, with their values.
    pub(crate) variables: Vec<(String, String)>,
    /// For its memory and files.
    pub(crate) limits: Limits,
    /// As whom the helper runs, if it needs no files and koid is root.
    pub(crate) user: u32,
}

/// The first of the users that helpers run as: nobody gives out numbers there. Each service has one, by its name; two rarely have the same.
const FIRST_USER: u32 = 1_900_000_001;
const USERS: u32 = 65_000;
/// As whom a component is asked what it is.
pub(crate) const NO_SERVICE: u32 = FIRST_USER - 1;
/// As whom components are compiled.
pub(crate) const COMPILER: u32 = FIRST_USER - 2;

/// The user of a service's helper.
pub(crate) fn user_of(service: &str) -> u32 {
    // By a sum that is the same on every node and in every version: files that it makes are its own later.
    let sum = Sha256::digest(service.as_bytes());
    let number = sum.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    FIRST_USER + (number % u64::from(USERS)) as u32
}

/// A hook, to be run.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct HookRequest {
    /// Its place in [`Hook::ALL`].
    #[n(0)]
    pub(crate) hook: u8,
    #[n(1)]
    pub(crate) attempt: u32,
    #[n(2)]
    pub(crate) call_id: u64,
    #[n(3)]
    pub(crate) epoch: u64,
    /// The whole time of the call.
    #[n(4)]
    pub(crate) timeout_ms: u64,
    /// When it is over, by [`monotonic`]: a helper may still have to load the component.
    #[n(5)]
    pub(crate) ends_us: u64,
    /// 0 none, 1 standby, 2 promoted.
    #[n(6)]
    pub(crate) role: u8,
    #[n(7)]
    pub(crate) service: String,
    #[n(8)]
    pub(crate) node: String,
    /// Name and address.
    #[n(9)]
    pub(crate) master: Option<(String, String)>,
    /// The service's folder, where the guest may read it.
    #[n(10)]
    pub(crate) workdir: Option<String>,
    #[n(11)]
    pub(crate) config: Vec<(String, String)>,
    /// For `failed`: hook, message, whether it timed out.
    #[n(12)]
    pub(crate) cause: Option<(u8, String, bool)>,
    /// The helper was started for this very call, because the one before was stale.
    #[n(13)]
    pub(crate) is_repeated: bool,
    /// The keys of `[config]` whose values nobody else may see.
    #[n(14)]
    pub(crate) secrets: Vec<(String, SecretText)>,
    /// The call is part of a test.
    #[n(15)]
    pub(crate) test: Option<TestClock>,
}

/// The time of a call in a test: the wall clock stands still, and `sleep` passes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct TestClock {
    /// What the wall clock says when the call begins, since 1970.
    #[n(0)]
    pub(crate) wall_us: u64,
    /// `sleep` takes its time: the test is being recorded.
    #[n(1)]
    pub(crate) sleeps: bool,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct SecretText(#[n(0)] pub(crate) String);

/// How long it is.
impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl HookRequest {
    /// `defaults` has what the configuration does not say.
    pub(crate) fn new(
        hook: Hook,
        context: &Context,
        left: Duration,
        grants: &Grants,
        defaults: &[(String, String)],
        secrets: Vec<(String, SecretText)>,
    ) -> HookRequest {
        let mut config = context.config.clone();
        let is_said = |(key, _): &&(String, String)| context.config.iter().any(|(name, _)| name == key);
        config.extend(defaults.iter().filter(|default| !is_said(default)).cloned());
        HookRequest {
            hook: number_of(hook),
            attempt: context.attempt,
            call_id: context.call_id,
            epoch: context.epoch,
            timeout_ms: u64::try_from(context.timeout.as_millis()).unwrap_or(u64::MAX),
            ends_us: u64::try_from((monotonic() + left).as_micros()).unwrap_or(u64::MAX),
            role: match context.role {
                Role::None => 0,
                Role::Standby => 1,
                Role::Promoted => 2,
            },
            service: context.service.clone(),
            node: context.node.clone(),
            master: context.master.clone(),
            workdir: grants.reads(&context.home).then(|| context.home.display().to_string()),
            config,
            cause: context
                .cause
                .as_ref()
                .map(|cause| (number_of(cause.hook), cause.message.clone(), cause.timed_out)),
            is_repeated: false,
            secrets,
            test: None,
        }
    }
}

/// The machine's clock that nobody sets: koid and its helpers have the same.
pub(crate) fn monotonic() -> Duration {
    // Every Linux has it.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}

fn number_of(hook: Hook) -> u8 {
    hook as u8
}

/// The hook of this number.
pub(crate) fn hook_of(number: u8) -> Option<Hook> {
    Hook::ALL.into_iter().find(|hook| number_of(*hook) == number)
}

/// From a helper.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum GuestMessage {
    /// Describing: the names of what the component imports and exports.
    #[n(0)]
    Interfaces {
        #[n(0)]
        imports: Vec<String>,
        #[n(1)]
        exports: Vec<String>,
    },
    /// Describing: what the component says of itself, a [`DescribedHandler`] as JSON.
    #[n(1)]
    Described(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// The component cannot be run: why. Nothing comes after this.
    #[n(2)]
    Refused(#[n(0)] String),
    /// The component is loaded, and calls are taken. This confines the helper.
    #[n(3)]
    Ready(#[n(0)] Layers),
    /// A line for the log.
    #[n(4)]
    Line(#[n(0)] u8, #[n(1)] String),
    /// The guest broke off (0), or says that it does not have this hook (1).
    #[n(5)]
    Incident(#[n(0)] u8),
    /// Wants an answer.
    #[n(6)]
    Question(#[n(0)] GuestQuestion),
    /// A piece of the input of the program that was asked for last; an empty one is its end.
    #[n(7)]
    Input(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// The call has ended. The bytes that the guest's memory had grown to by then.
    #[n(8)]
    Ended(#[n(0)] HookEnding, #[n(1)] u64),
    /// Wants the addresses of a name, in ASCII. The number is that of no look-up that has no answer yet.
    #[n(9)]
    LookUp(#[n(0)] u64, #[n(1)] String),
    /// The call has not begun: a granted folder is another one than when the helper was started, and it cannot reach it.
    #[n(10)]
    Stale,
}

/// What a component says of itself, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DescribedHandler {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: String,
    /// A bit for each hook, by its place in [`Hook::ALL`].
    pub(crate) hooks: u8,
    pub(crate) wants: Vec<Want>,
    pub(crate) config: Vec<ConfigKey>,
}

/// What a guest wants of koid.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum GuestQuestion {
    /// The newest epoch that this node has heard of.
    #[n(0)]
    Epoch,
    /// A value of the store.
    #[n(1)]
    Get(#[n(0)] String),
    /// To store a value.
    #[n(2)]
    Set(#[n(0)] String, #[cbor(n(1), with = "minicbor::bytes")] Vec<u8>),
    /// To remove a value.
    #[n(3)]
    Delete(#[n(0)] String),
    /// All keys of the store.
    #[n(4)]
    Keys,
    /// To run a program. Its input follows.
    #[n(5)]
    Run(#[n(0)] ProgramRequest),
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ProgramRequest {
    #[n(0)]
    pub(crate) program: String,
    #[n(1)]
    pub(crate) args: Vec<String>,
    #[n(2)]
    pub(crate) env: Vec<(String, String)>,
    #[n(3)]
    pub(crate) timeout_ms: Option<u64>,
}

impl ProgramRequest {
    /// Bytes of what the program is given.
    pub(crate) fn arguments_bytes(&self) -> usize {
        let args: usize = self.args.iter().map(|arg| arg.len() + 1).sum();
        let env: usize = self.env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        self.program.len() + args + env
    }
}

/// koid's answer to a question.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum HostAnswer {
    #[n(0)]
    Epoch(#[n(0)] u64),
    #[n(1)]
    Value(#[cbor(n(0), with = "minicbor::bytes")] Option<Vec<u8>>),
    /// It is stored, or removed.
    #[n(2)]
    Stored,
    #[n(3)]
    Keys(#[n(0)] Vec<String>),
    #[n(4)]
    StoreRefused(#[n(0)] StoreError),
    #[n(5)]
    Exited(#[n(0)] ProgramExit),
    #[n(6)]
    ProgramRefused(#[n(0)] ProgramRunError),
}

/// What came of a look-up.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum LookupAnswer {
    /// In the order in which they are to be tried; at least one, IPv4-mapped ones as IPv4.
    #[n(0)]
    Addresses(#[n(0)] Vec<IpAddr>),
    /// The name is not known, or the name server does not answer: the system does not tell which.
    #[n(1)]
    Unknown,
    /// There are too many look-ups already.
    #[n(2)]
    Busy,
}

/// Whether it may be looked up: what is left of a name when a helper has put it into ASCII.
pub(crate) fn may_be_looked_up(name: &str) -> bool {
    // An address is no name, nor is what has an address in it that a resolver might see.
    let is_of_a_name = |byte: u8| byte.is_ascii_graphic() && !b"#%/:<>?@[\\]^|".contains(&byte);
    (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(is_of_a_name)
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ProgramExit {
    /// None: a signal ended it.
    #[n(0)]
    pub(crate) code: Option<i32>,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) stdout: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) stderr: Vec<u8>,
    /// More was written than is kept.
    #[n(3)]
    pub(crate) truncated: bool,
}

/// Why the store does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum StoreError {
    /// The key or the value is too long.
    #[n(0)]
    TooLarge,
    /// There is no room for it.
    #[n(1)]
    QuotaExceeded,
    /// The disk's fault.
    #[n(2)]
    Io(#[n(0)] String),
}

/// Why a program did not run to its end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum ProgramRunError {
    /// Nothing grants it.
    #[n(0)]
    Denied,
    /// There is no such program.
    #[n(1)]
    NotFound,
    /// It took too long and was ended.
    #[n(2)]
    TimedOut,
    /// Anything else.
    #[n(3)]
    Io(#[n(0)] String),
    /// There were more processes than `[limits]` allow, and all of them were killed. The hook fails by that.
    #[n(4)]
    TooManyProcesses,
}

/// How a hook ended.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum HookEnding {
    #[n(0)]
    Done,
    #[n(1)]
    Status {
        /// 0 healthy, 1 promoted, 2 standby, 3 live, 4 stopped.
        #[n(0)]
        observed: u8,
        #[n(1)]
        message: String,
        #[n(2)]
        score: Option<i32>,
        #[n(3)]
        details: Vec<(String, String)>,
    },
    #[n(2)]
    Failed(#[n(0)] String),
    #[n(3)]
    Lasting(#[n(0)] String),
    #[n(4)]
    CannotRun(#[n(0)] String),
    #[n(5)]
    TimedOut,
    #[n(6)]
    Aborted,
}

impl From<HookError> for HookEnding {
    fn from(error: HookError) -> HookEnding {
        match error {
            HookError::Failed(why) => HookEnding::Failed(why),
            HookError::Lasting(why) => HookEnding::Lasting(why),
            HookError::CannotRun(why) | HookError::NoRoom(why) => HookEnding::CannotRun(why),
            HookError::TimedOut(_) => HookEnding::TimedOut,
            HookError::Aborted => HookEnding::Aborted,
        }
    }
}

/// A level as it is sent.
pub(crate) fn number_of_level(level: LogLevel) -> u8 {
    match level {
        LogLevel::Debug => 0,
        LogLevel::Info => 1,
        LogLevel::Warn => 2,
        LogLevel::Error => 3,
    }
}

/// The level of this number.
pub(crate) fn level_of(number: u8) -> LogLevel {
    match number {
        0 => LogLevel::Debug,
        1 => LogLevel::Info,
        2 => LogLevel::Warn,
        _ => LogLevel::Error,
    }
}

/// A message in its frame.
pub(crate) fn encode<M: Encode<()>>(message: &M) -> Vec<u8> {
    let mut frame = vec![0; LENGTH_BYTES];
    // Writing into memory cannot fail.
    let _ = minicbor::encode(message, &mut frame);
    let length = u32::try_from(frame.len() - LENGTH_BYTES).unwrap_or(u32::MAX);
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    frame
}

/// The first whole message of `bytes`, and how many bytes it took; none: it has not all come yet.
pub(crate) fn decode<M: for<'b> Decode<'b, ()>>(
    bytes: &[u8],
    most_bytes: usize,
) -> Result<Option<(M, usize)>, ReplyError> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > most_bytes {
        return Err(ReplyError::Garbled);
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let mut decoder = minicbor::Decoder::new(body);
    let message = decoder.decode().map_err(|_| ReplyError::Garbled)?;
    if decoder.position() != length {
        return Err(ReplyError::Garbled);
    }
    Ok(Some((message, LENGTH_BYTES + length)))
}

/// Messages out of a stream.
pub(crate) struct FrameReader<R> {
    from: R,
    most_bytes: usize,
    read: Vec<u8>,
}

impl<R> FrameReader<R> {
    /// No message may have more than `most_bytes`.
    pub(crate) fn new(from: R, most_bytes: usize) -> FrameReader<R> {
        FrameReader { from, most_bytes, read: Vec::new() }
    }

    /// Between two calls nothing is kept in memory.
    pub(crate) fn shrink(&mut self) {
        self.read.shrink_to_fit();
    }

    fn take<M: for<'b> Decode<'b, ()>>(&mut self) -> Result<Option<M>, ReplyError> {
        let Some((message, length)) = decode(&self.read, self.most_bytes)? else { return Ok(None) };
        self.read.drain(..length);
        Ok(Some(message))
    }
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// The next message. May be dropped and begun again at any time.
    pub(crate) async fn next<M: for<'b> Decode<'b, ()>>(&mut self) -> Result<M, ReplyError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            self.read.reserve(CHUNK_BYTES);
            if self.from.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return Err(ReplyError::Closed);
            }
        }
    }
}

impl<R: io::Read> FrameReader<R> {
    /// The next message. Blocks.
    ///
    /// # Errors
    /// The outer error is the stream's: it has a time limit.
    pub(crate) fn next_blocking<M: for<'b> Decode<'b, ()>>(&mut self) -> io::Result<Result<M, ReplyError>> {
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            match self.take() {
                Ok(Some(message)) => return Ok(Ok(message)),
                Ok(None) => {}
                Err(error) => return Ok(Err(error)),
            }
            match self.from.read(&mut chunk) {
                Ok(0) => return Ok(Err(ReplyError::Closed)),
                Ok(n) => self.read.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<GuestMessage> {
        let run = ProgramRequest {
            program: "/bin/true".into(),
            args: vec!["a".into()],
            env: vec![("A".into(), "b".into())],
            timeout_ms: Some(7),
        };
        let status = HookEnding::Status {
            observed: 2,
            message: "replays".into(),
            score: Some(-3),
            details: vec![("lag".into(), "1".into())],
        };
        vec![
            GuestMessage::Ready(Layers { user: true, network: false, landlock: 7, seccomp: true }),
            GuestMessage::Stale,
            GuestMessage::Line(2, "said".into()),
            GuestMessage::Question(GuestQuestion::Set("key".into(), vec![0; 300])),
            GuestMessage::Question(GuestQuestion::Run(run)),
            GuestMessage::Input(vec![1, 2, 3]),
            GuestMessage::LookUp(7, "db.example".into()),
            GuestMessage::Ended(status, 17 << 16),
        ]
    }

    #[test]
    fn messages_come_through_in_whatever_pieces() {
        let stream: Vec<u8> = some().iter().flat_map(encode).collect();
        for piece_bytes in [1, 3, 1000] {
            let mut reader = FrameReader::new(io::empty(), GUEST_FRAME_BYTES);
            let mut taken = Vec::new();
            for piece in stream.chunks(piece_bytes) {
                reader.read.extend_from_slice(piece);
                while let Some(message) = reader.take::<GuestMessage>().unwrap() {
                    taken.push(message);
                }
            }
            assert_eq!(taken, some());
        }
    }

    #[test]
    fn whatever_a_helper_writes_is_a_message_or_garbled() {
        let frames: Vec<Vec<u8>> = some().iter().map(encode).collect();
        for frame in &frames {
            for place in 0..frame.len() {
                for change in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                    let mut changed = frame.clone();
                    changed[place] ^= change;
                    // It answers, and takes no more than was there.
                    if let Ok(Some((_, taken))) = decode::<GuestMessage>(&changed, GUEST_FRAME_BYTES) {
                        assert!(taken <= changed.len());
                    }
                }
            }
        }
        let too_long = [0xff_u8; 64];
        assert_eq!(decode::<GuestMessage>(&too_long, GUEST_FRAME_BYTES), Err(ReplyError::Garbled));
    }

    #[test]
    fn only_names_are_looked_up() {
        for name in ["db", "db.example.", "xn--bcher-kva.example", "_srv.db_1", &"a".repeat(NAME_BYTES)] {
            assert!(may_be_looked_up(name), "{name}");
        }
        for no in
            ["", "a b", "::1", "fe80::1%eth0", "a/b", "b\u{fc}cher", "a\0b", &"a".repeat(NAME_BYTES + 1)]
        {
            assert!(!may_be_looked_up(no), "{no}");
        }
    }

    #[test]
    fn hooks_have_numbers_that_lead_back() {
        for hook in Hook::ALL {
            assert_eq!(hook_of(number_of(hook)), Some(hook));
        }
        assert_eq!(hook_of(77), None);
    }
}
