//! Files for tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes a file with this mode.
///
/// # Panics
/// If it cannot be written.
#[track_caller]
pub fn write_with_mode(path: &Path, bytes: impl AsRef<[u8]>, mode: u32) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let set = fs::set_permissions(path, fs::Permissions::from_mode(mode));
    set.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Writes a script or a program that everybody may run.
///
/// # Panics
/// If it cannot be written.
#[track_caller]
pub fn write_executable(path: &Path, bytes: impl AsRef<[u8]>) {
    write_with_mode(path, bytes, 0o755);
}
