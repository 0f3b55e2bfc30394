//! What /proc says of processes.

use std::fs;

/// A process, as it was a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// Its id.
    pub id: i32,
    /// The name of its program, cut by the kernel.
    pub name: String,
    /// It is more than a zombie.
    pub runs: bool,
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// When it was started, in ticks of the kernel's clock since the machine was. With the id it names a process.
    pub started: u64,
}

impl ProcessStat {
    /// The process with this id; none: there is none.
    pub fn of(id: i32) -> Option<ProcessStat> {
        ProcessStat::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    /// Reads a line of /proc/PID/stat, proc(5): `pid (name) state ppid pgrp …`. The name may hold blanks and brackets.
    pub(crate) fn parse(stat: &str) -> Option<ProcessStat> {
        let (id, rest) = stat.split_once(" (")?;
        let (name, fields) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        Some(ProcessStat {
            id: id.parse().ok()?,
            name: name.to_owned(),
            runs: !matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            // The 22nd field; the first is the id.
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

/// The ids of all processes. Empty where there is no /proc.
pub fn process_ids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "77 0 -1 0 0 0 0 0 0 0 0 0 0 20 0 1 4711 0 0";

    #[test]
    fn a_name_cannot_confuse() {
        let stat = ProcessStat::parse(&format!("80 (a) R (b) D 1 77 {REST}")).unwrap();
        assert_eq!((stat.id, stat.name.as_str(), stat.runs), (80, "a) R (b", true));
        assert_eq!((stat.parent, stat.group, stat.started), (1, 77, 4711));
        assert!(!ProcessStat::parse(&format!("80 (sh) Z 1 77 {REST}")).unwrap().runs);
        assert_eq!(ProcessStat::parse(""), None);
    }

    #[test]
    fn this_process_is_found() {
        let own = ProcessStat::of(std::process::id() as i32).unwrap();
        assert!(own.runs && own.started > 0 && process_ids().any(|id| id == own.id));
    }
}
