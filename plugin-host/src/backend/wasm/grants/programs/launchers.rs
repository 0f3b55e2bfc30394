//! Programs with which a handler may do anything.

use std::fs;
use std::path::Path;

/// They run what they are given, by an argument, a file or standard input: shells, interpreters, and programs that start others. A name with
/// a version at its end (`python3.11`) counts as the name alone.
const LAUNCHERS: [&str; 67] = [
    "ash",
    "at",
    "awk",
    "bash",
    "batch",
    "busybox",
    "chroot",
    "crontab",
    "csh",
    "dash",
    "doas",
    "docker",
    "ed",
    "emacs",
    "env",
    "ex",
    "expect",
    "find",
    "flock",
    "gawk",
    "gdb",
    "git",
    "ionice",
    "ksh",
    "ld.so",
    "less",
    "lua",
    "make",
    "man",
    "mawk",
    "more",
    "mysql",
    "nano",
    "nice",
    "node",
    "nohup",
    "nsenter",
    "parallel",
    "perl",
    "php",
    "podman",
    "psql",
    "python",
    "rsync",
    "ruby",
    "runuser",
    "scp",
    "script",
    "sed",
    "setpriv",
    "setsid",
    "sftp",
    "sh",
    "socat",
    "sqlite",
    "ssh",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemd-run",
    "tar",
    "taskset",
    "timeout",
    "unshare",
    "vim",
    "xargs",
];

/// Whether a handler that may run the program at `path`, or what that leads to, may do anything. Blocks.
pub(in crate::backend::wasm::grants) fn leads_anywhere(path: &Path) -> bool {
    is_launcher(path) || fs::canonicalize(path).is_ok_and(|real| is_launcher(&real))
}

/// Whether the program at `path` is one of them.
fn is_launcher(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    LAUNCHERS.contains(&name.as_str()) || LAUNCHERS.contains(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_hides_no_launcher() {
        for path in
            ["/bin/sh", "/usr/bin/python3", "/usr/bin/python3.11", "/usr/bin/perl5.36.0", "/usr/bin/lua5.4"]
        {
            assert!(is_launcher(Path::new(path)), "{path}");
        }
        for path in ["/usr/sbin/ip", "/usr/bin/df", "/usr/lib/postgresql/15/bin/pg_ctl", "/bin/systemctl"] {
            assert!(!is_launcher(Path::new(path)), "{path}");
        }
        assert!(LAUNCHERS.is_sorted());
    }
}
