//! Whether a file can be a shared library for this machine: better words than the dynamic loader's.

use std::io::Read;
use std::path::Path;

use koi_plugin_shell::open_regular;

/// What is looked at: `e_ident`, `e_type` and `e_machine` of the ELF header, elf(5).
const HEADER_BYTES: usize = 20;
const TYPE_AT: usize = 16;
const MACHINE_AT: usize = 18;
/// A shared object.
const ET_DYN: u16 = 3;

/// Class, byte order and machine: what must be the same as our own.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ElfMachine {
    class: u8,
    order: u8,
    code: u16,
}

/// Why a file cannot be loaded as a library. It stands behind the file's name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ElfError {
    /// The system does not give it to us.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// Something else.
    #[error("is not a shared library (no ELF file); build it with `cc -shared -fPIC` or as a cdylib")]
    NotElf,
    /// It was built for other computers.
    #[error("is built for {found}, and this koid runs on {own}; build it for that")]
    OtherMachine { found: String, own: String },
    /// A program or an object file.
    #[error("is an ELF file, but not a shared library; link it with -shared")]
    NotShared,
}

/// Says what is wrong with the file at `path`, if that can be seen from outside.
pub(crate) fn check(path: &Path) -> Result<(), ElfError> {
    let header = header(path).map_err(ElfError::Unreadable)?;
    let (machine, kind) = parse(&header).ok_or(ElfError::NotElf)?;
    // Without /proc the dynamic loader has the last word alone.
    let own = header_of_this_program().as_deref().and_then(parse);
    match own {
        Some((own, _)) if own != machine => {
            Err(ElfError::OtherMachine { found: name(machine), own: name(own) })
        }
        _ if kind != ET_DYN => Err(ElfError::NotShared),
        _ => Ok(()),
    }
}

fn header_of_this_program() -> Option<Vec<u8>> {
    header(Path::new("/proc/self/exe")).ok()
}

fn header(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut header = Vec::new();
    open_regular(path)?.take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    Ok(header)
}

/// Machine and type of the file; none: not ELF.
fn parse(header: &[u8]) -> Option<(ElfMachine, u16)> {
    let header: &[u8; HEADER_BYTES] =
        header.try_into().ok().filter(|h: &&[u8; _]| h.starts_with(b"\x7fELF"))?;
    let (class, order) = (header[4], header[5]);
    let number = |at: usize| match order {
        2 => u16::from_be_bytes([header[at], header[at + 1]]),
        _ => u16::from_le_bytes([header[at], header[at + 1]]),
    };
    Some((ElfMachine { class, order, code: number(MACHINE_AT) }, number(TYPE_AT)))
}

fn name(machine: ElfMachine) -> String {
    let bits = if machine.class == 1 { 32 } else { 64 };
    match machine.code {
        3 => "x86".into(),
        8 => format!("MIPS, {bits} bits"),
        20 | 21 => format!("PowerPC, {bits} bits"),
        22 => "s390".into(),
        40 => "ARM, 32 bits".into(),
        62 if bits == 64 => "x86-64".into(),
        183 => "ARM, 64 bits".into(),
        243 => format!("RISC-V, {bits} bits"),
        258 => "LoongArch".into(),
        code => format!("machine {code} (ELF), {bits} bits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(bytes: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.so");
        std::fs::write(&file, bytes).unwrap();
        check(&file).unwrap_err().to_string()
    }

    #[test]
    fn a_file_of_another_machine_is_named() {
        let mut header = header_of_this_program().unwrap();
        header[MACHINE_AT..].copy_from_slice(&[22, 0]);
        let text = complaint(&header);
        assert!(text.starts_with("is built for s390, and this koid runs on "), "{text}");
    }

    #[test]
    fn what_is_no_shared_library_is_said_to_be_none() {
        assert!(complaint(b"#!/bin/sh\nexit 0 # long enough\n").contains("no ELF file"));
        assert!(complaint(b"").contains("no ELF file"));
        let mut header = header_of_this_program().unwrap();
        header[TYPE_AT] = 1;
        assert!(complaint(&header).contains("link it with -shared"));
    }
}
