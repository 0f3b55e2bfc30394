//! `[limits]` of `service.toml`, and the watch over a guest's memory.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use wasmtime::ResourceLimiter;

use crate::config::nearest::nearest;

const MIB: usize = 1024 * 1024;

/// Memory of a guest whose service does not say.
const DEFAULT_MEMORY_BYTES: usize = 64 * MIB;

/// More cannot be granted: a 32-bit guest cannot use it.
const MAX_MEMORY_BYTES: usize = 4096 * MIB;

/// No runtime of a language fits into less.
const MIN_MEMORY_BYTES: usize = 64 * 1024;

/// Elements of all tables of a guest; each takes a pointer's worth of the host's memory.
pub(crate) const TABLE_ELEMENTS: usize = 1 << 20;

/// Core instances, tables and memories of a guest. Components made of several languages have a dozen.
const ITEMS: usize = 256;

/// Files and sockets of a guest whose service does not say.
const DEFAULT_FILES: usize = 64;

/// More than so many open files nobody has found a use for.
const MAX_FILES: usize = 4096;

/// With fewer nothing is done: a granted folder is one, and a file and a connection in the same call are two more.
const MIN_FILES: usize = 8;

/// Processes of a service's programs, at a time, where the service does not say.
const DEFAULT_PROCESSES: usize = 32;

/// More than so many no hook has a use for.
const MAX_PROCESSES: usize = 4096;

const KEYS: [&str; 3] = ["memory", "files", "processes"];

/// Why a service's `[limits]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LimitsError {
    /// No such key.
    #[error("[limits]: `{key}` is not known; the nearest is `{nearest}`")]
    UnknownKey { key: String, nearest: &'static str },
    /// `memory` is no size, or one that cannot be. `value` is as TOML writes it.
    #[error(
        "[limits]: `memory` must be a size in double quotes, from \"{}\" to \"{}\", like \"64MiB\", not {value}",
        size_text(MIN_MEMORY_BYTES).replace(' ', ""), size_text(MAX_MEMORY_BYTES).replace(' ', "")
    )]
    Memory { value: String },
    /// `files` is no number, or one that cannot be. `value` is as TOML writes it.
    #[error("[limits]: `files` must be a number from {MIN_FILES} to {MAX_FILES}, not {value}")]
    Files { value: String },
    /// `processes` is no number, or one that cannot be. `value` is as TOML writes it.
    #[error("[limits]: `processes` must be a number from 1 to {MAX_PROCESSES}, not {value}")]
    Processes { value: String },
}

/// `[limits]`, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// All linear memories of the guest together.
    pub(crate) memory_bytes: usize,
    /// Open files and sockets.
    pub(crate) files: usize,
    /// Programs and what they start, at a time.
    pub(crate) processes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory_bytes: DEFAULT_MEMORY_BYTES, files: DEFAULT_FILES, processes: DEFAULT_PROCESSES }
    }
}

impl Limits {
    /// Reads `[limits]`.
    pub(crate) fn read(table: &toml::Table) -> Result<Limits, LimitsError> {
        let mut limits = Limits::default();
        for (key, value) in table {
            match key.as_str() {
                "memory" => limits.memory_bytes = memory(value)?,
                "files" => limits.files = files(value)?,
                "processes" => limits.processes = processes(value)?,
                _ => return Err(LimitsError::UnknownKey { key: key.clone(), nearest: nearest(key, KEYS) }),
            }
        }
        Ok(limits)
    }

    /// What is said of a guest that wants more memory.
    pub(crate) fn memory_exceeded(self) -> LimitExceededError {
        LimitExceededError::Memory { limit_bytes: self.memory_bytes }
    }

    /// What is said of a guest whose programs were too many processes.
    pub(crate) fn processes_exceeded(self) -> LimitExceededError {
        LimitExceededError::Processes { most: self.processes }
    }

    /// A line each, for people.
    pub(crate) fn lines(self) -> Vec<String> {
        vec![
            format!("memory {}", size_text(self.memory_bytes)),
            format!("files {}", self.files),
            format!("processes {}", self.processes),
        ]
    }
}

/// Reads `"64MiB"`.
fn memory(value: &toml::Value) -> Result<usize, LimitsError> {
    let wrong = || LimitsError::Memory { value: value.to_string() };
    let text = value.as_str().ok_or_else(wrong)?.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "KiB" => 1024,
        "MiB" => MIB,
        "GiB" => 1024 * MIB,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<usize>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(wrong)?;
    if (MIN_MEMORY_BYTES..=MAX_MEMORY_BYTES).contains(&bytes) { Ok(bytes) } else { Err(wrong()) }
}

/// Reads a number of files.
fn files(value: &toml::Value) -> Result<usize, LimitsError> {
    number(value, MIN_FILES..=MAX_FILES).ok_or_else(|| LimitsError::Files { value: value.to_string() })
}

/// Reads a number of processes.
fn processes(value: &toml::Value) -> Result<usize, LimitsError> {
    number(value, 1..=MAX_PROCESSES).ok_or_else(|| LimitsError::Processes { value: value.to_string() })
}

fn number(value: &toml::Value, allowed: RangeInclusive<usize>) -> Option<usize> {
    let number = value.as_integer().and_then(|number| usize::try_from(number).ok());
    number.filter(|number| allowed.contains(number))
}

/// `64 MiB`: in the largest unit of which it is a whole number.
fn size_text(bytes: usize) -> String {
    match bytes {
        n if n % (1024 * MIB) == 0 => format!("{} GiB", n / (1024 * MIB)),
        n if n % MIB == 0 => format!("{} MiB", n / MIB),
        n => format!("{} KiB", n.div_ceil(1024)),
    }
}

/// Why a guest got no more. It ends the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitExceededError {
    /// Its memory.
    #[error("wanted more than {} of memory; raise memory under [limits] of service.toml", size_text(*limit_bytes))]
    Memory {
        /// What it may have.
        limit_bytes: usize,
    },
    /// Its programs.
    #[error("ran more than {most} processes at a time; raise processes under [limits] of service.toml")]
    Processes {
        /// What it may have.
        most: usize,
    },
    /// Its tables.
    #[error("wanted tables of more than {TABLE_ELEMENTS} elements")]
    Table,
}

/// How far a guest's memory has grown in a call: it never shrinks. Clones share it, for the guest may be gone before anybody asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryMark(Arc<AtomicUsize>);

impl MemoryMark {
    /// All linear memories of the guest together.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed) as u64
    }

    fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

/// Keeps a guest to its limits. All of its memories count together: wasmtime's own limiter bounds each by itself.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    memory_bytes: usize,
    mark: MemoryMark,
    table_elements: usize,
}

impl Limiter {
    /// For one store.
    pub(crate) fn new(limits: Limits, mark: MemoryMark) -> Limiter {
        Limiter { limits, memory_bytes: 0, mark, table_elements: 0 }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // Its own declaration, not ours: it is told no, as the standard says.
            return Ok(false);
        }
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.limits.memory_bytes {
            return Err(LimitExceededError::Memory { limit_bytes: self.limits.memory_bytes }.into());
        }
        self.memory_bytes = total;
        self.mark.set(total);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > TABLE_ELEMENTS {
            return Err(LimitExceededError::Table.into());
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        ITEMS
    }

    fn tables(&self) -> usize {
        ITEMS
    }

    fn memories(&self) -> usize {
        ITEMS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<usize, String> {
        let limits = Limits::read(&text.parse().unwrap()).map_err(|error| error.to_string());
        limits.map(|limits| limits.memory_bytes)
    }

    #[test]
    fn memory_is_a_size_with_a_unit() {
        assert_eq!(read(""), Ok(64 * MIB));
        assert_eq!(read("memory = \"512KiB\""), Ok(512 * 1024));
        assert_eq!(read("memory = \"128 MiB\""), Ok(128 * MIB));
        assert_eq!(read("memory = \"4GiB\""), Ok(4096 * MIB));
    }

    #[test]
    fn what_is_no_size_is_refused_with_an_example() {
        for text in
            ["64", "\"64\"", "\"64MB\"", "\"MiB\"", "\"5GiB\"", "\"1KiB\"", "\"99999999999999999999GiB\""]
        {
            let error = read(&format!("memory = {text}")).unwrap_err();
            assert!(error.contains("from \"64KiB\" to \"4GiB\", like \"64MiB\", not "), "{error}");
        }
        assert_eq!(read("memry = 1").unwrap_err(), "[limits]: `memry` is not known; the nearest is `memory`");
    }

    #[test]
    fn files_are_a_number() {
        let read = |text: &str| {
            let limits = Limits::read(&text.parse().unwrap()).map_err(|error| error.to_string());
            limits.map(|limits| limits.files)
        };
        assert_eq!((read(""), read("files = 100")), (Ok(64), Ok(100)));
        for text in ["7", "4097", "\"64\"", "-1"] {
            let error = read(&format!("files = {text}")).unwrap_err();
            assert_eq!(error, format!("[limits]: `files` must be a number from 8 to 4096, not {text}"));
        }
    }

    #[test]
    fn processes_are_a_number() {
        let read = |text: &str| {
            let limits = Limits::read(&text.parse().unwrap()).map_err(|error| error.to_string());
            limits.map(|limits| limits.processes)
        };
        assert_eq!((read(""), read("processes = 1"), read("processes = 4096")), (Ok(32), Ok(1), Ok(4096)));
        for text in ["0", "4097", "\"32\"", "-1"] {
            let error = read(&format!("processes = {text}")).unwrap_err();
            assert_eq!(error, format!("[limits]: `processes` must be a number from 1 to 4096, not {text}"));
        }
    }

    #[test]
    fn all_memories_of_a_guest_count_together() {
        let mark = MemoryMark::default();
        let mut limiter = Limiter::new(Limits { memory_bytes: 3 * MIB, ..Limits::default() }, mark.clone());
        assert!(limiter.memory_growing(0, MIB, None).unwrap());
        assert!(limiter.memory_growing(0, 2 * MIB, None).unwrap());
        let refused = limiter.memory_growing(MIB, MIB + 65536, None).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "wanted more than 3 MiB of memory; raise memory under [limits] of service.toml"
        );
        assert_eq!(mark.bytes(), 3 * MIB as u64, "what it was refused it never had");
    }
}
