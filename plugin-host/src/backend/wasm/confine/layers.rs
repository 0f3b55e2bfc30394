//! What confines a process with foreign code on this machine.

use minicbor::{Decode, Encode};

/// The version of Landlock that has all that such a process is held by: moves 2, truncation 3, ports 4, signals 6.
const LANDLOCK: u8 = 6;

/// What confines a process with foreign code besides the sandbox.
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
        let landlock = match self.landlock {
            0 => "Landlock".to_owned(),
            version => format!("all of Landlock (version {version} of {LANDLOCK})"),
        };
        let layers = [
            (self.user, "a user of its own".to_owned()),
            (self.network, "a network of its own".to_owned()),
            (self.landlock >= LANDLOCK, landlock),
            (self.seccomp, "seccomp".to_owned()),
        ];
        let lacking: Vec<String> =
            layers.into_iter().filter(|(there, _)| !there).map(|(_, name)| name).collect();
        (!lacking.is_empty()).then(|| format!("without {}", lacking.join(", ")))
    }
}
