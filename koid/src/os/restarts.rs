//! What starts koid again when it has crashed.

use std::env;

use crate::reporting::say;

/// Where whoever restarts koid says so.
const RESTARTED_BY: &str = "KOI_RESTARTED_BY";
/// What systemd gives to a service of its own.
const OF_SYSTEMD: [&str; 2] = ["NOTIFY_SOCKET", "INVOCATION_ID"];
/// Characters of a name.
const NAME_CHARS: usize = 64;

/// Its name for people; none: nothing is known to.
pub(crate) fn restarted_by() -> Option<String> {
    let said = env::var(RESTARTED_BY).ok().filter(|name| !name.trim().is_empty());
    let named = said.map(|name| say::short(&say::one_line(&name), NAME_CHARS).into_owned());
    let systemd = || OF_SYSTEMD.iter().all(|name| env::var_os(name).is_some()).then(|| "systemd".to_owned());
    named.or_else(systemd)
}
