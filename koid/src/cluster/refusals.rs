//! What the network brought of late and koid did not take, in sentences for a status: each says what to do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use koi_core::types::Time;
use koi_proto::seal::OpenError;

/// For so long after the last of its kind it is told. Whoever speaks to a cluster does so several times a second.
const TOLD_FOR: Duration = Duration::from_secs(15);

/// A datagram that did not come in, or did not go out.
#[derive(Clone, Debug)]
pub(crate) enum RefusedDatagram {
    /// It came from here, and could not be opened.
    Unopened { source: SocketAddr, error: OpenError },
    /// It was to go there.
    Unsent { to: SocketAddr, error: String },
    /// It was of a run of a node that is long over.
    OfOldRun { source: SocketAddr },
}

/// What a status has of these. A warning says that not all is well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RefusalNotices {
    pub(crate) warnings: Vec<String>,
    pub(crate) advice: Vec<String>,
}

impl RefusedDatagram {
    /// A word for counters. It never changes.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            RefusedDatagram::Unopened { error, .. } => error.kind(),
            RefusedDatagram::Unsent { .. } => "send-failed",
            RefusedDatagram::OfOldRun { .. } => "old-session",
        }
    }

    /// Whether somebody may belong to this cluster and be kept out of it by mistake. Others may be on the same port or group rightly.
    fn is_warning(&self) -> bool {
        match self {
            RefusedDatagram::Unopened { error, .. } => match error {
                OpenError::UnknownKey(_)
                | OpenError::Forged
                | OpenError::Version(_)
                | OpenError::Malformed(_) => true,
                OpenError::NotKoi | OpenError::OtherCluster(_) | OpenError::TooLong => false,
            },
            RefusedDatagram::Unsent { .. } | RefusedDatagram::OfOldRun { .. } => false,
        }
    }

    /// What happened. Shown in the log as it is.
    pub(crate) fn sentence(&self) -> String {
        match self {
            RefusedDatagram::Unopened { source, error } => match error {
                OpenError::UnknownKey(_) => format!("{source} uses another key: {error}"),
                OpenError::OtherCluster(_) => format!("{source} belongs to another cluster: {error}"),
                OpenError::Version(_) => format!("{source} speaks another version: {error}"),
                OpenError::NotKoi | OpenError::Forged | OpenError::Malformed(_) | OpenError::TooLong => {
                    format!("a datagram from {source} was dropped: {error}")
                }
            },
            RefusedDatagram::Unsent { to, error } => format!("cannot send to {to}: {error}"),
            RefusedDatagram::OfOldRun { source } => {
                format!("a datagram from {source} was dropped: it is of a run of koid that is long over")
            }
        }
    }

    /// What an operator does about it.
    fn remedy(&self) -> &'static str {
        match self {
            RefusedDatagram::Unopened { error, .. } => match error {
                OpenError::UnknownKey(_) => {
                    "give it this cluster's key file and restart koid there, or stop it"
                }
                OpenError::OtherCluster(_) => {
                    "if it is to be of this cluster, set cluster.id there; else it does no harm"
                }
                OpenError::Version(_) | OpenError::Malformed(_) => "bring every node to one version of koi",
                OpenError::Forged => "look for a bad cable or network info, or for who sends it",
                OpenError::NotKoi | OpenError::TooLong => "look at what runs there; it does no harm",
            },
            RefusedDatagram::Unsent { .. } => "look at routes, firewalls and cluster.transport",
            RefusedDatagram::OfOldRun { .. } => "it is late, or recorded and sent again; it does no harm",
        }
    }
}

/// The newest refusal of each kind.
#[derive(Debug, Default)]
pub(crate) struct RefusedDatagrams {
    kinds: BTreeMap<&'static str, RecentRefusal>,
}

#[derive(Debug)]
struct RecentRefusal {
    newest: RefusedDatagram,
    at: Time,
    count: u64,
}

impl RefusedDatagrams {
    /// One more.
    pub(crate) fn note(&mut self, refusal: RefusedDatagram, now: Time) {
        match self.kinds.get_mut(refusal.kind()) {
            Some(kind) if now.since(kind.at) < TOLD_FOR => {
                *kind = RecentRefusal { newest: refusal, at: now, count: kind.count + 1 };
            }
            Some(_) | None => {
                self.kinds.insert(refusal.kind(), RecentRefusal { newest: refusal, at: now, count: 1 });
            }
        }
    }

    /// What is to be told now.
    pub(crate) fn told(&self, now: Time) -> RefusalNotices {
        let mut told = RefusalNotices::default();
        for kind in self.kinds.values().filter(|kind| now.since(kind.at) < TOLD_FOR) {
            let more = match kind.count {
                1 => String::new(),
                count => format!(" ({count} such datagrams of late)"),
            };
            let sentence = format!("{}{more}; {}", kind.newest.sentence(), kind.newest.remedy());
            match kind.newest.is_warning() {
                true => told.warnings.push(sentence),
                false => told.advice.push(sentence),
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time(1 << 40) + Duration::from_secs(seconds)
    }

    #[test]
    fn what_was_refused_is_told_with_a_remedy_until_it_stops() {
        let source = "192.0.2.9:7600".parse().unwrap();
        let mut refusals = RefusedDatagrams::default();
        for n in 0..3 {
            let error = OpenError::Version(9);
            refusals.note(RefusedDatagram::Unopened { source, error }, at(n));
        }
        refusals.note(RefusedDatagram::Unopened { source, error: OpenError::OtherCluster(4) }, at(3));
        let told = refusals.told(at(4));
        let [warning] = &told.warnings[..] else { panic!("{told:?}") };
        for part in ["192.0.2.9:7600", "protocol version 9", "3 such datagrams", "one version of koi"] {
            assert!(warning.contains(part), "{warning}");
        }
        let [advice] = &told.advice[..] else { panic!("{told:?}") };
        assert!(advice.contains("cluster id 4"), "{advice}");
        assert_eq!(refusals.told(at(60)), RefusalNotices::default(), "it has stopped");
    }
}
