//! The password, from where it stands.

use std::fmt;

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

use crate::config::Password;

/// Longest file that is taken for a password, in bytes.
const MAX_BYTES: u64 = 4096;

/// The password; none: the server asks for none.
///
/// # Errors
/// What is wrong with the file, and what to do.
pub(crate) fn read(password: &Password) -> Result<Option<String>, PasswordError> {
    match password {
        Password::None => Ok(None),
        Password::Text(text) => Ok(Some(text.clone())),
        Password::File(file) => first_line(file).map(Some),
    }
}

/// Why a file gives no password. Says the file, and never what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PasswordError {
    /// It is not below a granted folder.
    NotGranted { file: String, folder: String },
    /// It cannot be read.
    Unreadable { file: String, why: &'static str },
    /// It is not UTF-8.
    NotText { file: String },
    /// Its first line is empty.
    Empty { file: String },
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PasswordError::NotGranted { file, folder } => {
                write!(f, "password-file: {file} is not granted; add read = [\"{folder}\"] to [grants]")
            }
            PasswordError::Unreadable { file, why } => write!(f, "password-file: {file}: {why}"),
            PasswordError::NotText { file } => write!(f, "password-file: {file} is not UTF-8"),
            PasswordError::Empty { file } => write!(
                f,
                "password-file: {file} begins with an empty line; write the password into its first"
            ),
        }
    }
}

fn first_line(path: &str) -> Result<String, PasswordError> {
    let file = path.to_owned();
    let (folder, _) = path.rsplit_once('/').unwrap_or_default();
    let folder = if folder.is_empty() { "/" } else { folder };
    let Some((dir, name)) = granted(path) else {
        return Err(PasswordError::NotGranted { file, folder: folder.to_owned() });
    };
    let bytes = match open_and_read(&dir, &name) {
        Ok(bytes) => bytes,
        Err(code) => return Err(PasswordError::Unreadable { file, why: code.name() }),
    };
    let Ok(text) = String::from_utf8(bytes) else { return Err(PasswordError::NotText { file }) };
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(PasswordError::Empty { file }),
    }
}

/// The granted directory that the file lies in, and its path from there.
fn granted(file: &str) -> Option<(Descriptor, String)> {
    get_directories().into_iter().find_map(|(dir, path)| {
        let rest = file.strip_prefix(path.trim_end_matches('/'))?.strip_prefix('/')?;
        Some((dir, rest.to_owned()))
    })
}

fn open_and_read(dir: &Descriptor, name: &str) -> Result<Vec<u8>, ErrorCode> {
    let file = dir.open_at(PathFlags::SYMLINK_FOLLOW, name, OpenFlags::empty(), DescriptorFlags::READ)?;
    let (bytes, _) = file.read(MAX_BYTES, 0)?;
    Ok(bytes)
}
