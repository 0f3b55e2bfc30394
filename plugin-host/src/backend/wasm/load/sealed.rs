//! Compiled code in memory that nobody can change any more. It is mapped and run from there: whatever happens to the file in the cache
//! meanwhile harms nobody.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// What the list of mappings calls it.
const NAME: &CStr = c"koi-compiled";

/// Code that is being written.
pub(crate) struct UnsealedCode {
    file: File,
    size_bytes: u64,
}

impl UnsealedCode {
    /// Without a byte.
    pub(crate) fn new() -> io::Result<UnsealedCode> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        Ok(UnsealedCode { file: File::from(memfd_create(NAME, flags)?), size_bytes: 0 })
    }

    /// Seals it.
    pub(crate) fn seal(self) -> io::Result<SealedCode> {
        let seals =
            SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
        fcntl(&self.file, FcntlArg::F_ADD_SEALS(seals))?;
        Ok(SealedCode { file: self.file, size_bytes: self.size_bytes })
    }
}

impl Write for UnsealedCode {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.size_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All compiled code of a component.
#[derive(Debug)]
pub(crate) struct ComponentCode {
    pub(crate) component: SealedCode,
    /// What it imports modules from, if it was [parted](super::parts).
    pub(crate) runtime: Option<Arc<SealedCode>>,
}

impl ComponentCode {
    /// Its bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.component.size_bytes + self.runtime.as_ref().map_or(0, |runtime| runtime.size_bytes)
    }

    /// As a helper takes them: the component's, and the runtime's if there is one.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        std::iter::once(&self.component).chain(self.runtime.as_deref()).map(AsFd::as_fd).collect()
    }
}

/// Compiled code.
#[derive(Debug)]
pub(crate) struct SealedCode {
    file: File,
    /// Its bytes.
    pub(crate) size_bytes: u64,
}

impl SealedCode {
    /// A copy of these bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> io::Result<SealedCode> {
        let mut code = UnsealedCode::new()?;
        code.write_all(bytes)?;
        code.seal()
    }
}

impl AsFd for SealedCode {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_code_cannot_be_changed() {
        let code = SealedCode::from_bytes(b"code").unwrap();
        assert_eq!(code.size_bytes, 4);
        let mut file = code.file.try_clone().unwrap();
        assert!(file.write_all(b"more").is_err());
        assert!(file.set_len(1).is_err());
    }
}
