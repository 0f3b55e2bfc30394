//! What confines a helper on this machine.

use minicbor::{Decode, Encode};

/// What confines a helper besides the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Layers {
    /// It runs as a user of its own, or as the granted one.
    #[n(0)]
    pub(crate) user: bool,
    /// Without a grant for the network it has an empty one.
    #[n(1)]
    pub(crate) network: bool,
    /// The version of the kernel's Landlock that holds it to its folders and ports; 0: none does.
    #[n(2)]
    pub(crate) landlock: u8,
    /// Its system calls are filtered.
    #[n(3)]
    pub(crate) seccomp: bool,
}

impl Layers {
    /// What this machine does not give, for people; none: it gives all.
    pub(crate) fn lacking(self) -> Option<String> {
        let layers = [
            (self.user, "a user of its own"),
            (self.network, "a network of its own"),
            (self.landlock > 0, "Landlock"),
            (self.seccomp, "seccomp"),
        ];
        let lacking: Vec<&str> = layers.iter().filter(|(there, _)| !there).map(|(_, name)| *name).collect();
        (!lacking.is_empty()).then(|| format!("without {}", lacking.join(", ")))
    }
}
