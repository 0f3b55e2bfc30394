//! The file `state`, and what it says together with the file `identity`.

use std::io;
use std::path::Path;

use koi_core::record::Durable;
use koi_core::types::NodeId;
use minicbor::{Decode, Encode};

use super::envelope;
use super::identity::{PreviousRun, RunLocation, StoredIdentity};
use crate::os::sys;

pub(super) const MAGIC: &[u8; 8] = b"koistate";
pub(super) const FORMAT: u32 = 1;

/// The contents of the file `state`. Id and starts are those of the file `identity`, which a koid from before R13 does not know.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoredState {
    /// Drawn at the first start.
    #[n(0)]
    pub(crate) id: NodeId,
    /// How often the daemon was started.
    #[n(1)]
    pub(crate) starts: u64,
    /// The core's state; none: it has not asked for anything to be kept yet.
    #[n(2)]
    pub(crate) durable: Option<Durable>,
}

fn draw_id() -> NodeId {
    // A version 4 UUID.
    let bits = (u128::from(sys::random_u64()) << 64) | u128::from(sys::random_u64());
    NodeId(bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62))
}

/// The two files, as far as they are sound.
pub(super) struct StateFiles {
    pub(super) kept: Option<StoredState>,
    pub(super) identity: Option<StoredIdentity>,
}

impl StateFiles {
    /// Who this node is, what it knows of its last run, and whether its state is an old one. The identity says who it is; a state of another
    /// identity, or of fewer starts than the identity has counted, is as good as none.
    pub(super) fn combine(self, here: &RunLocation) -> (StoredState, PreviousRun, bool) {
        let before = self.identity.as_ref().map(|identity| identity.before(here)).unwrap_or_default();
        let fresh = || StoredState { id: draw_id(), starts: 0, durable: None };
        let mut kept = match (self.kept, &self.identity) {
            (Some(kept), None) => kept,
            (None, None) => fresh(),
            (Some(kept), Some(identity)) if kept.id == identity.id && kept.starts >= identity.starts => kept,
            (Some(kept), Some(identity)) => {
                let durable = kept.durable.map(|durable| durable.after_restore());
                return (StoredState { id: identity.id, starts: identity.starts, durable }, before, true);
            }
            (None, Some(identity)) => StoredState { id: identity.id, starts: identity.starts, durable: None },
        };
        if let Some(durable) = kept.durable.as_mut().filter(|_| before.rebooted) {
            // Nothing of it is promoted any more.
            durable.held = None;
        }
        (kept, before, false)
    }
}

pub(super) fn render(kept: &StoredState) -> Vec<u8> {
    envelope::render(kept, MAGIC, FORMAT)
}

pub(super) fn write(folder: &Path, kept: &StoredState) -> io::Result<()> {
    envelope::write(folder, "state", &render(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_id_is_a_version_4_uuid() {
        let text = draw_id().to_string();
        assert_eq!(&text[14..15], "4", "{text}");
        assert!("89ab".contains(&text[19..20]), "{text}");
    }
}
