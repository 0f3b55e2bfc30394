//! What koid and its guardian tell each other, over a socket that keeps messages apart. Nobody waits for an answer.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use koi_core::group::GroupName;
use koi_core::types::{Epoch, Time};
use minicbor::{Decode, Encode};

use crate::hooks::process_groups::GroupKind;
use crate::os::sys;

/// The longest message: a configuration of 64 KiB, and some room.
pub(crate) const MESSAGE_BYTES: usize = 128 * 1024;
/// Room for messages that the guardian has not read yet: one for each of the most services that there may be.
pub(crate) const ROOM_BYTES: usize = 4 << 20;

/// What a guardian is called in a list of processes.
pub(crate) const NAME: &str = "koid-guardian";

/// The guardian stands guard.
pub(crate) const STANDS: &[u8] = b"stands";
/// Its answer to [`GuardianMessage::Ping`].
pub(crate) const HERE: &[u8] = b"here";
/// The watchdog is armed.
pub(crate) const ARMED: &[u8] = b"armed";
/// The watchdog is not armed; why follows.
pub(crate) const UNARMED: &[u8] = b"unarmed ";

/// What koid tells the guardian.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum GuardianMessage {
    /// Who this node is and how its services are found. The first message, and again when the configuration changes.
    #[n(0)]
    Setup(#[n(0)] Box<Setup>),
    /// Whom to tell when the daemon is dead.
    #[n(1)]
    Route(#[n(0)] Route),
    /// What is to be watched of a group from now on.
    #[n(2)]
    Watch(#[n(0)] GroupName, #[n(1)] Watching),
    /// How far up a service is has changed.
    #[n(3)]
    Service(#[n(0)] ServiceUpdate),
    /// A hook's process group was started, or is gone.
    #[n(4)]
    Group(#[n(0)] GroupUpdate),
    /// The daemon ends in order.
    #[n(5)]
    Bye,
    /// Whether the guardian is there: it answers at once.
    #[n(6)]
    Ping,
}

/// See [`GuardianMessage::Setup`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Setup {
    /// The configuration as `koi.toml`, without its secret.
    #[n(0)]
    pub(crate) config: String,
    /// The node's UUID.
    #[n(1)]
    pub(crate) id: String,
}

/// See [`GuardianMessage::Route`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Route {
    /// Sealed: the daemon is dead.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) dead: Vec<u8>,
    /// Sealed: nothing is promoted here any more.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) all_down: Vec<u8>,
    /// `ip:port`.
    #[n(2)]
    pub(crate) to: Vec<String>,
    /// Sealed, for each group where there are several: nothing of it is promoted here any more.
    #[n(3)]
    pub(crate) down: Vec<GroupDown>,
}

/// See [`Route::down`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct GroupDown {
    /// The group.
    #[n(0)]
    pub(crate) group: GroupName,
    /// What is said.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) sealed: Vec<u8>,
}

impl Route {
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.to.iter().filter_map(|text| text.parse().ok())
    }
}

/// The core's `Watch`, on the wire; instants of CLOCK_BOOTTIME, which both processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Watching {
    #[n(0)]
    Nothing,
    #[n(1)]
    Frozen,
    #[n(2)]
    Lease {
        #[n(0)]
        ends_us: u64,
        #[n(1)]
        epoch: u64,
    },
    #[n(3)]
    Demoting {
        #[n(0)]
        by_us: u64,
        #[n(1)]
        epoch: u64,
    },
}

impl From<koi_core::guard::Watch> for Watching {
    fn from(watch: koi_core::guard::Watch) -> Watching {
        match watch {
            koi_core::guard::Watch::Nothing => Watching::Nothing,
            koi_core::guard::Watch::Frozen => Watching::Frozen,
            koi_core::guard::Watch::Lease { ends: Time(ends_us), epoch: Epoch(epoch) } => {
                Watching::Lease { ends_us, epoch }
            }
            koi_core::guard::Watch::Demoting { by: Time(by_us), epoch: Epoch(epoch) } => {
                Watching::Demoting { by_us, epoch }
            }
        }
    }
}

/// See [`GuardianMessage::Service`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ServiceUpdate {
    #[n(0)]
    pub(crate) name: String,
    /// Its group.
    #[n(2)]
    pub(crate) group: GroupName,
    /// None: it is down. False: it runs. True: it is, or may be, promoted.
    #[n(1)]
    pub(crate) promoted: Option<bool>,
}

/// See [`GuardianMessage::Group`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct GroupUpdate {
    /// Names the hook.
    #[n(0)]
    pub(crate) run: u64,
    #[n(1)]
    pub(crate) group: i32,
    /// None: it is gone.
    #[n(2)]
    pub(crate) began: Option<GroupBegan>,
}

/// A hook's process group that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct GroupBegan {
    /// How it is ended.
    #[n(0)]
    pub(crate) kind: GroupKind,
    /// When its leader was there, by CLOCK_BOOTTIME: one of its number that is younger is another's.
    #[n(1)]
    pub(crate) noted_us: u64,
}

/// Tells the guardian a message; it is never waited for.
pub(crate) fn send(socket: &OwnedFd, message: &GuardianMessage) -> io::Result<()> {
    let bytes = minicbor::to_vec(message).map_err(io::Error::other)?;
    sys::send_message(socket.as_fd(), &bytes)
}

/// Waits until the guardian at the other end stands guard.
pub(crate) fn wait_until_it_stands(socket: &OwnedFd) -> io::Result<()> {
    let mut buffer = [0; 16];
    sys::wait_readable(socket.as_fd(), None)?;
    match sys::receive_message(socket.as_fd(), &mut buffer)? {
        Some(length) if &buffer[..length] == STANDS => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
