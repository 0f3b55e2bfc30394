//! `koi attr`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Subcommand};
use koi_proto::api::Group;

use super::time::duration;

/// `koi attr`.
#[derive(Debug, Subcommand)]
pub(crate) enum Attr {
    /// Print what an attribute says; exit 1 if there is none of this name
    Get {
        /// Its key
        key: String,
        #[command(flatten)]
        read: AttrRead,
    },
    /// List the attributes of the group
    List(AttrRead),
    /// Write an attribute, and return when a quorum has it on disk
    Set {
        /// Its key: up to 64 letters, digits, `.`, `-` and `_`
        key: String,
        /// What it is to say: up to 256 bytes of UTF-8
        #[arg(allow_hyphen_values = true)]
        value: OsString,
        #[command(flatten)]
        write: AttrWrite,
    },
    /// Remove an attribute
    Unset {
        /// Its key
        key: String,
        #[command(flatten)]
        write: AttrWrite,
    },
    /// Wait until the asked node acts on an attribute: exit 3 if that does not come
    Wait(AttrWait),
}

/// How attributes are read.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct AttrRead {
    /// Of which group; needed where there are several, and not in a hook
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<Group>,
    /// What the leader knows: every write that was answered is in it
    #[arg(long)]
    pub(crate) fresh: bool,
}

/// How attributes are written.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct AttrWrite {
    /// Of which group; needed where there are several, and not in a hook
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<Group>,
    /// Write it as an operator, whoever is master; events tell who did
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not ask
    #[arg(long, requires = "force")]
    pub(crate) yes: bool,
}

/// `koi attr wait`. Its `--timeout` is for the whole wait, as that of `koi wait`.
#[derive(Debug, Args)]
pub(crate) struct AttrWait {
    /// Its key
    pub(crate) key: String,
    /// Until it says this
    #[arg(long, value_name = "TEXT", conflicts_with = "gone", allow_hyphen_values = true)]
    pub(crate) value: Option<OsString>,
    /// Until there is none of this name
    #[arg(long)]
    pub(crate) gone: bool,
    /// How long to wait in all [default: 60s]
    #[arg(id = "wait_timeout", long = "timeout", value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Of which group; needed where there are several, and not in a hook
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<Group>,
    /// Stands in for the global option, whose long name is taken here; clap copies the value to it.
    #[arg(id = "timeout", short = 't', value_name = "TIME", value_parser = duration, help = "How long one answer may take [default: 6s]")]
    _answer_timeout: Option<Duration>,
}
