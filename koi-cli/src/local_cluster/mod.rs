//! Three real daemons on this machine, in a folder that goes with them: `koi demo` and `koi plugins dev` have one.

pub(crate) mod cluster;
pub(crate) mod folder;
pub(crate) mod interrupt;
pub(crate) mod process;
pub(crate) mod restarts;
