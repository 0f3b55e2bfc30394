//! Opens files of which nothing is known yet.

use std::fs::{File, FileType, OpenOptions, metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

/// Opens the file at `path` for reading. It never waits: a FIFO without a writer would hold up whoever opens it, and opening a
/// device may do things.
///
/// # Errors
/// It cannot be opened, or is no regular file: the error says what it is.
pub fn open_file(path: &Path) -> io::Result<File> {
    must_be_file(metadata(path)?.file_type())?;
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    // Another thing may have been put there in between.
    must_be_file(file.metadata()?.file_type())?;
    Ok(file)
}

/// Whether a thing of this kind is a regular file.
///
/// # Errors
/// It is no regular file: the error says what it is.
pub fn must_be_file(kind: FileType) -> io::Result<()> {
    let what = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a FIFO (a named pipe)",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "no file",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, and a file is needed")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn what_is_no_file_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink(at("fifo"), at("link")).unwrap();
        for (path, what) in [
            (at("fifo"), "a FIFO"),
            (at("link"), "a FIFO"),
            (at("socket"), "a socket"),
            (folder.path().to_owned(), "a folder"),
            ("/dev/null".into(), "a device"),
        ] {
            let error = open_file(&path).unwrap_err().to_string();
            assert!(error.contains(what), "{}: {error}", path.display());
        }
        std::fs::write(at("file"), "x").unwrap();
        assert!(open_file(&at("file")).is_ok());
        assert_eq!(open_file(&at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
