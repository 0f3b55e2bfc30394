//! Which grant an imported interface needs.

use crate::backend::wasm::grants::Grants;
use crate::backend::wasm::grants::error::GrantError;

/// What koid offers to every component.
const FREE: [&str; 27] = [
    "koi:service/types",
    "koi:service/host",
    "koi:service/state",
    "koi:service/attributes",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/wall-clock",
    "wasi:clocks/monotonic-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    // They lead nowhere by themselves: to open directories, to addresses that are checked, to a handler that sends.
    "wasi:filesystem/types",
    "wasi:filesystem/preopens",
    "wasi:sockets/network",
    "wasi:sockets/instance-network",
    "wasi:http/types",
];

/// What needs a grant: the interface, the key, and a line as an example.
const GRANTED: [(&str, &str, &str); 7] = [
    ("wasi:sockets/tcp", "tcp", "tcp = [\"HOST:PORT\"]"),
    ("wasi:sockets/tcp-create-socket", "tcp", "tcp = [\"HOST:PORT\"]"),
    ("wasi:sockets/udp", "udp", "udp = [\"HOST:PORT\"]"),
    ("wasi:sockets/udp-create-socket", "udp", "udp = [\"HOST:PORT\"]"),
    ("wasi:sockets/ip-name-lookup", "lookup", "lookup = true"),
    ("wasi:http/outgoing-handler", "http", "http = [\"HOST:PORT\"]"),
    ("koi:service/exec", "exec", "exec = [\"/PATH/TO/PROGRAM ARGUMENTS\"]"),
];

impl Grants {
    /// Whether a component of this service may import `interface`, as in `wasi:sockets/tcp@0.2.3`.
    ///
    /// # Errors
    /// A sentence with the line of `[grants]` that is missing, or that koid has no such interface at all.
    pub(crate) fn check_import(&self, interface: &str) -> Result<(), GrantError> {
        let (name, version) = interface.split_once('@').unwrap_or((interface, ""));
        if name.starts_with("wasi:") && !version.starts_with("0.2.") {
            return Err(GrantError::OtherWasi { interface: interface.to_owned() });
        }
        if FREE.contains(&name) {
            return Ok(());
        }
        let Some((_, key, line)) = GRANTED.iter().find(|(granted, ..)| *granted == name) else {
            return Err(GrantError::UnknownInterface { interface: interface.to_owned() });
        };
        match self.has(key) {
            true => Ok(()),
            false => Err(GrantError::InterfaceNotGranted { interface: interface.to_owned(), line }),
        }
    }
}
