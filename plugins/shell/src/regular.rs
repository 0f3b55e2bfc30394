//! Files are files: whatever else lies in the place of one is named, and nobody waits for it.

use std::fs::{self, File, FileType, Metadata, metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

/// What lies there that is no regular file, for the middle of a sentence; none: it is one.
pub fn what_else(kind: FileType) -> Option<&'static str> {
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("a folder"),
        () if kind.is_fifo() => Some("a FIFO (a named pipe)"),
        () if kind.is_socket() => Some("a socket"),
        () if kind.is_block_device() || kind.is_char_device() => Some("a device"),
        () => Some("something else"),
    }
}

/// Opens a regular file for reading. Opening a FIFO would wait for a writer, and opening a device may do anything: whatever is no
/// regular file is not opened.
///
/// # Errors
/// It cannot be opened, or what it is instead.
pub fn open_regular(path: &Path) -> io::Result<File> {
    refuse_others(&metadata(path)?)?;
    // It may have been replaced since.
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    refuse_others(&file.metadata()?)?;
    Ok(file)
}

/// All bytes of a regular file.
///
/// # Errors
/// As [`open_regular`], or it cannot be read.
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn refuse_others(meta: &Metadata) -> io::Result<()> {
    match what_else(meta.file_type()) {
        None => Ok(()),
        Some(what) => Err(io::Error::other(format!("it is {what}, not a file"))),
    }
}

/// Whether a script is there. A dangling link is: someone wants that hook. So is one that cannot be looked at: running it
/// says why. A folder is not.
pub(crate) fn is_there(script: &Path) -> bool {
    match fs::metadata(script) {
        Ok(found) => !found.is_dir(),
        Err(_) => match fs::symlink_metadata(script) {
            Ok(_) => true,
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn whatever_is_no_file_is_named_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        std::fs::write(at("file"), "text").unwrap();
        assert_eq!(read_regular(&at("file")).unwrap(), b"text");
        let cases = [
            (at("fifo"), "it is a FIFO (a named pipe), not a file"),
            (at("socket"), "it is a socket, not a file"),
            (folder.path().to_owned(), "it is a folder, not a file"),
            ("/dev/zero".into(), "it is a device, not a file"),
        ];
        for (path, words) in cases {
            assert_eq!(open_regular(&path).unwrap_err().to_string(), words);
        }
        assert_eq!(open_regular(&at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
