//! `[fence]`: how the leader turns other nodes off (R12). Its tables have the options of whatever agent there is, so it is read here and not by
//! the table of keys.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use koi_files::trust;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::NAME_BYTES;
use crate::keys::nearest;
use crate::value::{Escapes, Setting, excerpt_name, quote};

/// What `[fence]` may say.
const KEYS: [&str; 4] = ["command", "agent", "timeout", "nodes"];
/// How long a fence may take, if nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A fence takes no less: an agent that is started has just begun by then.
const SHORTEST: Duration = Duration::from_secs(1);
/// And no more: the cluster would wait for it that long.
const LONGEST: Duration = Duration::from_mins(30);
/// Nodes that may have a table.
const NODES: usize = 32;
/// Options of one node.
const OPTIONS: usize = 64;
/// Where Debian's fence-agents are.
const AGENTS: &str = "/usr/sbin";

/// `[fence]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fences {
    /// What turns a node off.
    pub how: FenceMethod,
    /// How long that may take, until it is verified.
    pub timeout: Duration,
    /// `[fence.nodes.NAME]`: those that can be turned off.
    pub nodes: BTreeMap<String, FenceNode>,
}

/// What turns a node off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceMethod {
    /// A program and its first arguments; `off NODE` or `status NODE` is added.
    Command(Vec<String>),
    /// One of fence-agents: a program that reads its options from standard input.
    Agent {
        /// As it was written.
        name: String,
        /// The program.
        path: PathBuf,
    },
}

impl FenceMethod {
    /// What is run.
    pub fn program(&self) -> &Path {
        match self {
            FenceMethod::Command(words) => Path::new(words.first().map_or("", String::as_str)),
            FenceMethod::Agent { path, .. } => path,
        }
    }
}

/// `[fence.nodes.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FenceNode {
    /// The agent's options; for a command, variables.
    pub options: BTreeMap<String, String>,
    /// Where the password is; it is read each time.
    pub password_file: Option<PathBuf>,
}

/// Something is wrong with `[fence]`.
pub(crate) struct FenceFault {
    /// Where it begins.
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) hint: String,
}

fn fault(at: usize, message: impl Into<String>, hint: impl Into<String>) -> FenceFault {
    FenceFault { at, message: message.into(), hint: hint.into() }
}

type Key<'t> = Spanned<std::borrow::Cow<'t, str>>;

/// Reads `[fence]`, which begins at `at`. `look`: whether programs are looked for on this machine.
pub(crate) fn read(
    at: usize,
    table: &DeTable<'_>,
    folder: &Path,
    look: bool,
) -> Result<Fences, Vec<FenceFault>> {
    let mut reader = Reader { folder, look, faults: Vec::new() };
    let (mut how, mut timeout, mut nodes) = (Vec::new(), TIMEOUT, BTreeMap::new());
    for (key, value) in table {
        let (name, at): (&str, _) = (key.get_ref(), key.span().start);
        match name {
            "command" => how.extend(reader.command(at, value.get_ref())),
            "agent" => how.extend(reader.agent(at, value.get_ref())),
            "timeout" => timeout = reader.timeout(at, value.get_ref()),
            "nodes" => nodes = reader.nodes(at, value.get_ref()),
            _ => {
                let meant = nearest(name, KEYS.into_iter());
                let message =
                    format!("unknown key fence.{}; did you mean fence.{meant}?", excerpt_name(name));
                let hint = format!("the keys of [fence] are: {}", KEYS.join(", "));
                reader.faults.push(fault(at, message, hint));
            }
        }
    }
    let says = |name: &str| table.iter().any(|(key, _)| key.get_ref() == name);
    if says("command") == says("agent") {
        let message = match says("agent") {
            true => "fence.command and fence.agent are both set",
            false => "[fence] has neither command nor agent",
        };
        reader.faults.push(fault(
            at,
            message,
            "set one: command = [\"/etc/koi/fence\"], or agent = \"fence_ipmilan\"",
        ));
    }
    // A section that was misspelt is said already.
    if nodes.is_empty() && !says("nodes") && reader.faults.is_empty() {
        reader.faults.push(fault(
            at,
            "[fence] has no nodes",
            "write a table [fence.nodes.NAME] for each node, with its options",
        ));
    }
    match how.pop().filter(|_| reader.faults.is_empty()) {
        Some(how) => Ok(Fences { how, timeout, nodes }),
        None => Err(reader.faults),
    }
}

struct Reader<'f> {
    folder: &'f Path,
    look: bool,
    faults: Vec<FenceFault>,
}

impl Reader<'_> {
    fn command(&mut self, at: usize, value: &DeValue<'_>) -> Option<FenceMethod> {
        let words: Option<Vec<String>> = match value {
            DeValue::Array(items) => items.iter().map(|item| text_of(item.get_ref())).collect(),
            _ => None,
        };
        let Some((program, rest)) = words.as_ref().and_then(|words| words.split_first()) else {
            let hint = "write command = [\"/etc/koi/fence\"]; `off NODE` and `status NODE` are added to it";
            self.faults.push(fault(at, "fence.command must be a list of texts, the program first", hint));
            return None;
        };
        let path = self.folder.join(program);
        self.must_run(at, "fence.command", &path, "check the name, and make it executable: chmod 755");
        let program = path.to_string_lossy().into_owned();
        Some(FenceMethod::Command([program].into_iter().chain(rest.iter().cloned()).collect()))
    }

    fn agent(&mut self, at: usize, value: &DeValue<'_>) -> Option<FenceMethod> {
        let Some(name) = text_of(value).filter(|name| !name.is_empty()) else {
            self.faults.push(fault(at, "fence.agent must be a text", "write agent = \"fence_ipmilan\""));
            return None;
        };
        let path = if name.contains('/') { self.folder.join(&name) } else { Path::new(AGENTS).join(&name) };
        self.must_run(
            at,
            "fence.agent",
            &path,
            "install it: apt install fence-agents; or check the name: ls /usr/sbin/fence_*",
        );
        Some(FenceMethod::Agent { name, path })
    }

    /// The program is there, and can be run.
    fn must_run(&mut self, at: usize, key: &str, path: &Path, hint: &str) {
        let runs = |meta: std::fs::Metadata| meta.is_file() && meta.permissions().mode() & 0o111 != 0;
        if !self.look || std::fs::metadata(path).is_ok_and(runs) {
            return;
        }
        let message = format!("{key}: there is no program {}", path.display());
        self.faults.push(fault(at, message, hint));
    }

    /// The file is there, and nobody else reads or changes it.
    fn must_be_secret(&mut self, at: usize, key: &str, file: &Path) {
        if !self.look {
            return;
        }
        let shown = file.display();
        let (message, hint) = match std::fs::metadata(file) {
            Err(error) => (
                format!("{key}: {shown} cannot be read: {error}"),
                format!(
                    "write the password into it, one line; before that: install -m 600 /dev/null {shown}"
                ),
            ),
            Ok(found) => match trust::check_metadata(file, &found) {
                Some(untrusted) => {
                    (format!("{key}: {untrusted}"), format!("chown root {shown}; chmod 600 {shown}"))
                }
                None if trust::is_open_to_others(&found) => (
                    format!("{key}: {shown} may be read by others than its owner"),
                    format!("chmod 600 {shown}"),
                ),
                None => return,
            },
        };
        self.faults.push(fault(at, message, hint));
    }

    fn timeout(&mut self, at: usize, value: &DeValue<'_>) -> Duration {
        match Duration::from_toml(value, self.folder) {
            Ok(timeout) if (SHORTEST..=LONGEST).contains(&timeout) => return timeout,
            Ok(_) => {
                let hint = "a fence is to be over long before an operator is";
                self.faults.push(fault(at, "fence.timeout must be between 1s and 30m", hint));
            }
            Err(errors) => {
                let all = errors.into_iter();
                self.faults.extend(all.map(|e| fault(at, format!("fence.timeout {}", e.message), e.hint)));
            }
        }
        TIMEOUT
    }

    fn nodes(&mut self, at: usize, value: &DeValue<'_>) -> BTreeMap<String, FenceNode> {
        let DeValue::Table(tables) = value else {
            self.faults.push(fault(at, "fence.nodes is a section, not a key", "write [fence.nodes.NAME]"));
            return BTreeMap::new();
        };
        if tables.len() > NODES {
            self.faults.push(fault(at, format!("[fence] has more than {NODES} nodes"), ""));
        }
        tables.iter().take(NODES).filter_map(|(key, value)| self.node(key, value.get_ref())).collect()
    }

    fn node(&mut self, key: &Key<'_>, value: &DeValue<'_>) -> Option<(String, FenceNode)> {
        let (name, at): (&str, _) = (key.get_ref(), key.span().start);
        let shown = excerpt_name(name);
        let DeValue::Table(table) = value else {
            let hint = format!("write [fence.nodes.{shown}] on a line of its own, and its options below");
            self.faults.push(fault(at, format!("fence.nodes.{shown} is a section, not a key"), hint));
            return None;
        };
        if name.is_empty() || name.len() > NAME_BYTES {
            let message = format!("fence.nodes.{shown}: a node's name has 1 to {NAME_BYTES} bytes");
            self.faults.push(fault(at, message, ""));
        }
        let mut node = FenceNode::default();
        if table.len() > OPTIONS {
            self.faults.push(fault(at, format!("fence.nodes.{shown} has more than {OPTIONS} options"), ""));
        }
        for (key, value) in table.iter().take(OPTIONS) {
            self.option(&shown, key, value.get_ref(), &mut node);
        }
        Some((name.to_owned(), node))
    }

    fn option(&mut self, node: &str, key: &Key<'_>, value: &DeValue<'_>, into: &mut FenceNode) {
        let (name, at): (&str, _) = (key.get_ref(), key.span().start);
        let path = format!("fence.nodes.{node}.{}", excerpt_name(name));
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name == "password_file" {
            match text_of(value).filter(|text| !text.is_empty()) {
                Some(file) => {
                    let file = self.folder.join(file);
                    self.must_be_secret(at, &path, &file);
                    into.password_file = Some(file);
                }
                None => self.faults.push(fault(at, format!("{path} must be the name of a file"), "")),
            }
        } else if ["password", "passwd"].contains(&name) {
            let hint = "write it into a file that only root may read, and set password_file = \"/etc/koi/…\"";
            self.faults.push(fault(at, format!("{path}: a password does not stand here"), hint));
        } else if ["action", "nodename"].contains(&name) {
            self.faults.push(fault(at, format!("{path} is set by koi"), "leave it out"));
        } else if name.is_empty() || !name.chars().all(plain) {
            let hint = "letters, digits, `_` and `-` are expected";
            self.faults.push(fault(at, format!("{path} is no name of an option"), hint));
        } else {
            match text_of(value).filter(|text| !text.contains(['\n', '\r', '\0'])) {
                Some(text) => _ = into.options.insert(name.to_owned(), text),
                None => {
                    let hint = "the agent is told it in one line of its own";
                    self.faults.push(fault(
                        at,
                        format!("{path} must be a text of one line, a number, or true or false"),
                        hint,
                    ));
                }
            }
        }
    }
}

/// A text, a number or a truth value as an agent reads it.
fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// `[fence]` as `koi.toml` has it; nothing if there is none.
pub(crate) fn write(fences: Option<&Fences>) -> String {
    let Some(Fences { how, timeout, nodes }) = fences else { return String::new() };
    let said = |text: &str| quote(text, Escapes::Toml);
    let how = match how {
        FenceMethod::Agent { name, .. } => format!("agent = {}", said(name)),
        FenceMethod::Command(words) => {
            let words: Vec<String> = words.iter().map(|word| said(word)).collect();
            format!("command = [{}]", words.join(", "))
        }
    };
    let mut out = format!("\n[fence]\n{how}\n");
    out.push_str(&format!("timeout = {}\n", timeout.toml().unwrap_or_default()));
    for (name, node) in nodes {
        out.push_str(&format!("\n[fence.nodes.{}]\n", said(name)));
        for (option, value) in &node.options {
            out.push_str(&format!("{option} = {}\n", said(value)));
        }
        if let Some(file) = &node.password_file {
            out.push_str(&format!("password_file = {}\n", said(&file.to_string_lossy())));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse_toml, show, to_toml};

    const BASE: &str = "[cluster]\nelectors = 3\ntransport = [\"192.0.2.1\"]\npassword = \"long enough, and nobody guesses it\"\n";

    fn secret(path: &Path, mode: u32) {
        std::fs::write(path, "geheim\n").expect("it is written");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    fn parsed(fence: &str) -> Result<Option<Fences>, String> {
        let text = format!("{BASE}{fence}");
        parse_toml(&text, Path::new("/etc/koi/koi.toml"))
            .map(|loaded| loaded.config.fence)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn it_is_read_and_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let password = folder.path().join("b.password");
        secret(&password, 0o600);
        let fence = "[fence]\ncommand = [\"/bin/true\", \"x\"]\ntimeout = \"20s\"\n[fence.nodes.b]\nip = \"192.0.2.12\"\nport = 3\n\
                     lanplus = true\npassword_file = \"PASSWORD\"\n[fence.nodes.\"c d\"]\n";
        let fence = &fence.replace("PASSWORD", &password.display().to_string());
        let fences = parsed(fence).expect("it is good").expect("it is there");
        assert_eq!(fences.how, FenceMethod::Command(vec!["/bin/true".into(), "x".into()]));
        assert_eq!(fences.timeout, Duration::from_secs(20));
        let options = fences.nodes["b"].options.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
        assert_eq!(options, ["ip=192.0.2.12", "lanplus=true", "port=3"]);
        assert_eq!(fences.nodes["b"].password_file, Some(password));
        assert!(fences.nodes["c d"].options.is_empty());
        let loaded =
            parse_toml(&format!("{BASE}{fence}"), Path::new("/etc/koi/koi.toml")).expect("it is good");
        let again = parse_toml(&to_toml(&loaded.config), Path::new("/etc/koi/koi.toml")).expect("it is good");
        assert_eq!(again.config.fence, loaded.config.fence);
        assert!(show(&loaded.config).contains("[fence.nodes.\"b\"]"));
    }

    #[test]
    fn none_is_none() {
        assert_eq!(parsed(""), Ok(None));
    }

    #[test]
    fn an_agent_that_is_not_there_is_named_with_its_line_and_a_remedy() {
        let error =
            parsed("[fence]\nagent = \"fence_nosuch\"\n[fence.nodes.b]\n").expect_err("it is not there");
        assert_eq!(
            error,
            "/etc/koi/koi.toml:6: fence.agent: there is no program /usr/sbin/fence_nosuch\n    install it: apt install fence-agents; or \
             check the name: ls /usr/sbin/fence_*"
        );
    }

    #[test]
    fn a_password_file_that_is_missing_or_that_others_may_read_is_named_with_its_line_and_a_remedy() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("b.password");
        let fence = format!(
            "[fence]\ncommand = [\"/bin/true\"]\n[fence.nodes.b]\npassword_file = \"{}\"\n",
            path.display()
        );
        let error = parsed(&fence).expect_err("it is missing");
        assert!(
            error.contains(":8: fence.nodes.b.password_file: ") && error.contains("install -m 600"),
            "{error}"
        );
        secret(&path, 0o644);
        let error = parsed(&fence).expect_err("others may read it");
        assert!(error.contains("may be read by others") && error.contains("chmod 600"), "{error}");
        assert!(!error.contains("geheim"), "{error}");
        secret(&path, 0o600);
        assert!(parsed(&fence).is_ok());
    }

    #[test]
    fn whatever_is_wrong_is_said_with_its_line() {
        let cases = [
            ("[fence]\n[fence.nodes.b]\n", ":5: [fence] has neither command nor agent"),
            ("[fence]\ncommand = [\"/bin/true\"]\nagent = \"/bin/true\"\n[fence.nodes.b]\n", "are both set"),
            ("[fence]\ncommand = \"/bin/true\"\n[fence.nodes.b]\n", ":6: fence.command must be a list"),
            ("[fence]\ncommand = [\"/bin/true\"]\n", "has no nodes"),
            (
                "[fence]\ncommand = [\"/bin/true\"]\ntimout = \"1s\"\n[fence.nodes.b]\n",
                ":7: unknown key fence.timout; did you mean fence.timeout?",
            ),
            (
                "[fence]\ncommand = [\"/bin/true\"]\ntimeout = \"10ms\"\n[fence.nodes.b]\n",
                "between 1s and 30m",
            ),
            (
                "[fence]\ncommand = [\"/bin/true\"]\n[fence.nodes.b]\npassword = \"x1y2\"\n",
                ":8: fence.nodes.b.password: a password",
            ),
            ("[fence]\ncommand = [\"/bin/true\"]\n[fence.nodes.b]\naction = \"on\"\n", "is set by koi"),
            ("[fence]\ncommand = [\"/bin/true\"]\n[fence.nodes.b]\nip = [1]\n", "must be a text of one line"),
        ];
        for (fence, expected) in cases {
            let error = parsed(fence).expect_err(fence);
            assert!(error.contains(expected), "{fence}: {error}");
            assert!(!error.contains("x1y2"), "{error}");
        }
    }
}
