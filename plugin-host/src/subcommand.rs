//! The first words by which koid starts its own program again.

/// Compiles the component on standard input to standard output.
pub(crate) const COMPILE: &str = "plugin-compile";
/// Runs the guests of one service, or asks a component what it is.
pub(crate) const WASM: &str = "plugin-wasm";
/// Runs the programs that the guests of one service ask for.
pub(crate) const EXEC: &str = "plugin-exec";
/// Loads a native library and runs its hooks.
pub(crate) const NATIVE: &str = "plugin-native";

/// Tries all of a handler, for `koi plugins check`.
pub(crate) const CHECK: &str = "plugin-check";
/// Runs one hook by hand, for `koi plugins run`.
pub(crate) const RUN: &str = "plugin-run";
/// Runs test files, for `koi plugins test`.
pub(crate) const TEST: &str = "plugin-test";
