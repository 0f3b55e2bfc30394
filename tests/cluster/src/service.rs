//! Services for the nodes to run.

use std::fs;
use std::path::Path;

use koi_testkit::{write_executable, write_with_mode};

/// What stands in the place of the hook log's path in a script.
const LOG: &str = "@HOOKLOG@";

/// A line in the hook log when a hook begins and when it ends by itself.
const RECORD: &str = r#"#!/bin/sh
say() {
    read -r up rest < /proc/uptime
    echo "$up $KOI_NODE $KOI_SERVICE $KOI_EVENT $1 $KOI_IS_PROMOTED $KOI_EPOCH $KOI_STATE ${KOI_GROUP-main}" >> @HOOKLOG@
}
say begin
trap 'say end' EXIT
"#;

/// Exits as the file `status-code` in its folder says.
const STATUS: &str = r#"#!/bin/sh
[ -f status-code ] || exit 0
read -r code message < status-code
[ -z "$message" ] || echo "$message"
exit "$code"
"#;

/// A service: a folder with files, or a single script.
#[derive(Clone, Debug, Default)]
pub struct Service {
    files: Vec<(String, Vec<u8>, u32)>,
    single: Option<String>,
}

impl Service {
    /// A folder with nothing in it.
    pub fn empty() -> Service {
        Service::default()
    }

    /// A folder whose hooks write to the cluster's hook log, and whose `status` says what the test wants
    /// ([`crate::Node::set_status`]).
    pub fn recorded() -> Service {
        let plain = ["start", "stop", "promote", "demote", "failed"];
        plain.iter().fold(Service::empty(), |service, hook| service.hook(hook, "")).script("status", STATUS)
    }

    /// A single file, called with the hook's name; it records its hooks but for `status`.
    pub fn single(body: &str) -> Service {
        let quiet = format!("[ \"$1\" != status ] || exit 0\n{}", RECORD.replacen("#!/bin/sh\n", "", 1));
        Service { files: Vec::new(), single: Some(format!("#!/bin/sh\n{quiet}{body}\n")) }
    }

    /// A single file, just like this.
    pub fn single_file(text: &str) -> Service {
        Service { files: Vec::new(), single: Some(text.to_owned()) }
    }

    /// A hook that is recorded, and runs these lines of shell in between.
    pub fn hook(self, name: &str, body: &str) -> Service {
        self.script(name, &format!("{RECORD}{body}\n"))
    }

    /// An executable as it is; it replaces one of the same name.
    pub fn script(self, name: &str, text: &str) -> Service {
        self.file(name, text, 0o755)
    }

    /// Any file.
    pub fn file(self, name: &str, text: &str, mode: u32) -> Service {
        self.bytes(name, text.as_bytes(), mode)
    }

    /// The same of bytes that need not be text, such as a plugin.
    pub fn bytes(mut self, name: &str, bytes: &[u8], mode: u32) -> Service {
        self.files.retain(|(other, ..)| other != name);
        self.files.push((name.to_owned(), bytes.to_owned(), mode));
        self
    }

    /// Puts the service at `path`, all at once: whoever looks meanwhile sees the whole service or none.
    pub(crate) fn install(&self, path: &Path, hooklog: &Path) {
        let fill = |text: &str| text.replace(LOG, &hooklog.display().to_string());
        // A name with a dot is no service.
        let beside = path.with_extension("new");
        match &self.single {
            Some(text) => write_executable(&beside, fill(text)),
            None => {
                fs::create_dir_all(&beside).expect("a service's folder can be made");
                for (name, bytes, mode) in &self.files {
                    let text = std::str::from_utf8(bytes).map(|text| fill(text).into_bytes());
                    write_with_mode(&beside.join(name), text.as_ref().unwrap_or(bytes), *mode);
                }
            }
        }
        fs::rename(&beside, path).expect("a service can be put in its place");
    }
}
