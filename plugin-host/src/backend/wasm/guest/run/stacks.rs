//! Stacks for guests, used again: to map one for each call and to unmap it takes longer than all else that a small hook does.
//!
//! What a call leaves in a stack is seen by no later guest: a guest cannot read the host's stacks, and all of a helper's are of one service.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, mprotect, munmap};
use nix::unistd::{SysconfVar, sysconf};
use wasmtime::{StackCreator, StackMemory};

/// Stacks that are kept: a call has one.
const KEPT: usize = 2;

/// Bytes at the top of a kept stack that stay in memory; what a call took beyond them is given back.
const WARM_BYTES: usize = 64 * 1024;

/// Why there is no stack.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StackError {
    #[error("no memory for a stack of {bytes} bytes: {source}")]
    Memory { bytes: usize, source: Errno },
    #[error("a stack cannot have {bytes} bytes")]
    Size { bytes: usize },
}

/// Makes stacks, and keeps those that are given back. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Stacks(Arc<Mutex<Vec<Mapping>>>);

/// Memory for one stack, with a page below it that nobody may touch.
struct Mapping {
    /// Of the page below.
    begin: NonNull<u8>,
    /// With that page.
    bytes: usize,
    page_bytes: usize,
}

// SAFETY: the memory belongs to no thread, and whoever has the mapping has all of it.
unsafe impl Send for Mapping {}
// SAFETY: a shared mapping gives its addresses only.
unsafe impl Sync for Mapping {}

/// A stack in use. Dropped, it is kept for the next one.
struct Stack {
    mapping: Option<Mapping>,
    kept: Stacks,
}

impl Mapping {
    fn new(stack_bytes: usize) -> Result<Mapping, StackError> {
        let page_bytes = page_bytes();
        let size = || StackError::Size { bytes: stack_bytes };
        let bytes = stack_bytes.checked_next_multiple_of(page_bytes).and_then(|n| n.checked_add(page_bytes));
        let bytes = bytes.and_then(NonZeroUsize::new).ok_or_else(size)?;
        let memory = |source| StackError::Memory { bytes: stack_bytes, source };
        let (rights, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE);
        // SAFETY: the kernel chooses where, and nothing is there yet.
        let begin = unsafe { mmap_anonymous(None, bytes, rights, flags) }.map_err(memory)?;
        let mapping = Mapping { begin: begin.cast(), bytes: bytes.get(), page_bytes };
        // SAFETY: the page is this mapping's, and nobody uses it.
        unsafe { mprotect(begin, page_bytes, ProtFlags::PROT_NONE) }.map_err(memory)?;
        Ok(mapping)
    }

    fn stack_bytes(&self) -> usize {
        self.bytes - self.page_bytes
    }

    /// Gives back what is not kept in memory.
    fn cool(&self) {
        let deep = self.stack_bytes().saturating_sub(WARM_BYTES);
        if deep > 0 {
            // SAFETY: the range is this mapping's, and no guest runs on it. That it fails costs memory and nothing else.
            let _ =
                unsafe { madvise(self.begin.add(self.page_bytes).cast(), deep, MmapAdvise::MADV_DONTNEED) };
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and whoever drops it uses it no more.
        let _ = unsafe { munmap(self.begin.cast(), self.bytes) };
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let Some(mapping) = self.mapping.take() else { return };
        mapping.cool();
        let mut kept = self.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(mapping);
        }
    }
}

// SAFETY: each stack is memory of its own, page aligned, as large as was asked for, with a page below it that cannot be touched. A kept
// one belongs to nobody until it is handed out again.
unsafe impl StackCreator for Stacks {
    fn new_stack(&self, size: usize, zeroed: bool) -> wasmtime::Result<Box<dyn StackMemory>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = kept.iter().position(|mapping| mapping.stack_bytes() >= size);
        let used = fitting.filter(|_| !zeroed).map(|at| kept.swap_remove(at));
        drop(kept);
        let mapping = match used {
            Some(mapping) => mapping,
            None => Mapping::new(size)?,
        };
        Ok(Box::new(Stack { mapping: Some(mapping), kept: self.clone() }))
    }
}

// SAFETY: the answers are those of the mapping, which lives as long as this.
unsafe impl StackMemory for Stack {
    fn top(&self) -> *mut u8 {
        // SAFETY: one past the end of the mapping.
        let end = |mapping: &Mapping| unsafe { mapping.begin.as_ptr().add(mapping.bytes) };
        self.mapping.as_ref().map_or(std::ptr::null_mut(), end)
    }

    fn range(&self) -> Range<usize> {
        let range = |mapping: &Mapping| {
            let begin = mapping.begin.as_ptr() as usize;
            begin + mapping.page_bytes..begin + mapping.bytes
        };
        self.mapping.as_ref().map_or(0..0, range)
    }

    fn guard_range(&self) -> Range<*mut u8> {
        let guard = |mapping: &Mapping| {
            let begin = mapping.begin.as_ptr();
            // SAFETY: the page is within the mapping.
            begin..unsafe { begin.add(mapping.page_bytes) }
        };
        self.mapping.as_ref().map_or(std::ptr::null_mut()..std::ptr::null_mut(), guard)
    }
}

fn page_bytes() -> usize {
    const USUAL: usize = 4096;
    let found = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    found.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(USUAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_used_again_and_what_it_took_is_given_back() {
        let stacks = Stacks::default();
        let first = stacks.new_stack(1 << 20, false).unwrap();
        let (range, guard) = (first.range(), first.guard_range());
        assert_eq!((range.len(), range.end), (1 << 20, first.top() as usize));
        assert_eq!(guard.end as usize, range.start, "the guard lies below");
        let bytes = range.start as *mut u8;
        // SAFETY: the lowest and the highest byte of a stack that nobody runs on.
        unsafe {
            bytes.write(1);
            bytes.add(range.len() - 1).write(1);
        }
        drop(first);
        let second = stacks.new_stack(1 << 20, false).unwrap();
        assert_eq!(second.range(), range);
        // SAFETY: as above.
        let (lowest, highest) = unsafe { (bytes.read(), bytes.add(range.len() - 1).read()) };
        assert_eq!((lowest, highest), (0, 1), "deep down it is new, at the top it is warm");

        let beside = stacks.new_stack(1 << 20, false).unwrap();
        assert_ne!(beside.range(), second.range(), "two at once are two");
        drop((second, beside));
        let clean = stacks.new_stack(1 << 20, true).unwrap();
        // SAFETY: as above, of another stack.
        let top = unsafe { clean.top().sub(1).read() };
        assert_eq!(top, 0, "who wants zeros gets them");
    }
}
