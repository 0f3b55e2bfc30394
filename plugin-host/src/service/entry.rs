//! The name of an entry in the services folder (docs/from-classic.md): `[NN-]name`.

use std::ffi::OsStr;

/// Bytes of a service's name.
const NAME_BYTES: usize = 63;

/// Folders that file systems and tools put wherever they are used. Names with a `.` in them (`.git`, `web.rpmsave`,
/// `web.dpkg-old`) are ignored anyhow.
const LEFT_BY_TOOLS: [&str; 10] = [
    "lost+found",
    "CVS",
    "RCS",
    "SCCS",
    "_darcs",
    "_svn",
    "__pycache__",
    "__MACOSX",
    "@eaDir",
    "node_modules",
];

/// What a name makes of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EntryKind<'n> {
    /// A service. Lower priorities go first; none: independent.
    Service { name: &'n str, priority: Option<u8> },
    /// Not meant to be one: an editor's or a package manager's left-over.
    Ignored(&'static str),
    /// Meant to be one, but it cannot be called that.
    Refused(&'static str),
}

/// Reads the name of an entry.
pub(crate) fn read(file_name: &OsStr) -> EntryKind<'_> {
    let Some(whole) = file_name.to_str() else { return EntryKind::Refused("its name is not UTF-8") };
    if whole.contains('.') {
        return EntryKind::Ignored("its name has a `.` in it");
    }
    if whole.ends_with('~') {
        return EntryKind::Ignored("its name ends in `~`");
    }
    if whole.len() > 1 && whole.starts_with('#') && whole.ends_with('#') {
        return EntryKind::Ignored("its name is of the form `#name#`");
    }
    if whole.starts_with('#') {
        return EntryKind::Ignored("its name begins with `#`");
    }
    if whole.len() > 1 && whole.starts_with('%') && whole.ends_with('%') {
        return EntryKind::Ignored("its name is of the form `%name%`");
    }
    if whole.ends_with(",v") {
        return EntryKind::Ignored("its name ends in `,v`");
    }
    if LEFT_BY_TOOLS.contains(&whole) {
        return EntryKind::Ignored("file systems, archives and tools leave such folders behind");
    }
    let (name, priority) = split(whole);
    match refusal(name) {
        Some(why) => EntryKind::Refused(why),
        None => EntryKind::Service { name, priority },
    }
}

/// Takes one or two digits and a dash off the front.
fn split(whole: &str) -> (&str, Option<u8>) {
    match whole.split_once('-') {
        Some((digits, name)) if digits.len() <= 2 && is_number(digits) => (name, digits.parse().ok()),
        _ => (whole, None),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Names stand in logs, in `name:State:event:+`, in environment variables and on command lines.
fn refusal(name: &str) -> Option<&'static str> {
    let forbidden =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '/' | '\\' | '"' | '\'' | '`');
    if name.is_empty() {
        Some("there is no name behind its priority")
    } else if name.len() > NAME_BYTES {
        Some("its name is longer than 63 bytes")
    } else if name.starts_with('-') {
        Some("its name begins with a dash")
    } else if name.contains(forbidden) {
        Some("its name has a blank, a control character, a quote, `:` or `\\` in it")
    } else {
        None
    }
}

/// Whether someone seems to have meant a priority and wrote three or more digits.
pub(crate) fn looks_like_priority(name: &str) -> bool {
    name.split_once('-').is_some_and(|(digits, _)| is_number(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_name(name: &str) -> EntryKind<'_> {
        read(OsStr::new(name))
    }

    fn service(name: &str, priority: Option<u8>) -> EntryKind<'_> {
        EntryKind::Service { name, priority }
    }

    #[test]
    fn a_priority_is_one_or_two_digits_and_a_dash() {
        assert_eq!(from_name("vip"), service("vip", None));
        assert_eq!(from_name("10-vip"), service("vip", Some(10)));
        assert_eq!(from_name("07-vip"), service("vip", Some(7)));
        assert_eq!(from_name("5-my-db"), service("my-db", Some(5)));
        assert_eq!(from_name("42"), service("42", None));
        assert_eq!(from_name("100-vip"), service("100-vip", None));
        assert!(looks_like_priority("100-vip") && !looks_like_priority("my-db"));
    }

    #[test]
    fn what_editors_leave_behind_is_ignored() {
        for name in ["vip.bak", ".git", "vip~", "#vip#", "#vip", "%vip%", "vip,v"] {
            assert!(matches!(from_name(name), EntryKind::Ignored(_)), "{name}");
        }
        assert_eq!(from_name("a#b"), service("a#b", None));
    }

    #[test]
    fn what_file_systems_and_tools_leave_behind_is_ignored() {
        for name in ["lost+found", "CVS", "__pycache__", "web.rpmsave", "web.rpmnew", "web.dpkg-old", ".svn"]
        {
            assert!(matches!(from_name(name), EntryKind::Ignored(_)), "{name}");
        }
        assert_eq!(from_name("10-CVS"), service("CVS", Some(10)), "somebody wants that one");
    }

    #[test]
    fn what_cannot_be_called_so_is_refused() {
        for name in ["my vip", "vip\n", "a:b", "10-", "10--x", "-x", &"x".repeat(64)] {
            assert!(matches!(from_name(name), EntryKind::Refused(_)), "{name:?}");
        }
    }
}
