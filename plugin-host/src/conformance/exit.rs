//! How a trial ends, besides 0.

/// It breaks the contract, or cannot be loaded; or the hook did not go well.
pub(crate) const FAILED: u8 = 1;
/// There is nothing to try: no such file, a `service.toml` with a mistake, a wrong command line.
pub(crate) const USAGE: u8 = 2;
/// It would not be safe.
pub(crate) const UNSAFE: u8 = 5;
/// A signal has interrupted it.
pub(crate) const INTERRUPTED: u8 = 130;
