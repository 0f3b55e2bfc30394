//! File systems that are soon full.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

/// No [`SmallDisk`] is larger, in bytes.
const SMALL: u64 = 16 << 20;

/// A small file system in the place of a folder. It goes when this is dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a tmpfs of this size, like `256k` or `1m`, on a folder. None: this user may not mount one.
    pub fn mount(folder: &Path, size: &str) -> Option<SmallDisk> {
        let options = format!("size={size}");
        let arguments = ["-t", "tmpfs", "-o", options.as_str(), "koi-test"];
        let mounted = Command::new("mount").args(arguments).arg(folder).status();
        mounted.is_ok_and(|status| status.success()).then(|| SmallDisk(folder.to_owned()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file until no byte more fits.
    ///
    /// # Panics
    /// If that ends in any other way.
    #[track_caller]
    pub fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("a file can be made");
        let filled = io::copy(&mut io::repeat(7).take(SMALL), &mut ballast).expect_err("it does not fit");
        assert_eq!(filled.kind(), io::ErrorKind::StorageFull);
    }

    /// Removes that file.
    ///
    /// # Panics
    /// If it is not there.
    #[track_caller]
    pub fn empty(&self) {
        fs::remove_file(self.ballast()).expect("the ballast is there");
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a daemon may still be using it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
