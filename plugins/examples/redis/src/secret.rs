//! The password, from where it stands.

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

use crate::config::Password;

/// Longest file that is taken for a password, in bytes.
const MAX_BYTES: u64 = 4096;

/// The password; none: the server asks for none.
///
/// # Errors
/// What is wrong with the file, and what to do.
pub(crate) fn read(password: &Password) -> Result<Option<String>, String> {
    match password {
        Password::None => Ok(None),
        Password::Text(text) => Ok(Some(text.clone())),
        Password::File(file) => first_line(file).map(Some),
    }
}

fn first_line(file: &str) -> Result<String, String> {
    let (folder, _) = file.rsplit_once('/').unwrap_or_default();
    let folder = if folder.is_empty() { "/" } else { folder };
    let (dir, name) = granted(file).ok_or_else(|| {
        format!("password-file: {file} is not granted; add read = [\"{folder}\"] to [grants]")
    })?;
    let bytes =
        open_and_read(&dir, &name).map_err(|code| format!("password-file: {file}: {}", code.name()))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("password-file: {file} is not UTF-8"))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => {
            Err(format!("password-file: {file} begins with an empty line; write the password into its first"))
        }
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
