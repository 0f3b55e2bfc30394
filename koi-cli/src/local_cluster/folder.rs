//! The temporary folder of a cluster: key, configurations, services, and what the nodes leave in it.

use std::fs::{self, Permissions};
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use koi_proto::key::Key;
use tempfile::TempDir;

use crate::error::CommandError;

/// The nodes.
pub(crate) const NAMES: [&str; 3] = ["a", "b", "c"];

/// Bytes of the path of a Unix socket, without the final NUL (`sun_path` of unix(7)), less what stands after the folder.
const FOLDER_BYTES: usize = 107 - "/a.sock".len();

/// A name of a folder is no longer than this one.
const LONGEST_NAME: &str = "/koi-demo-XXXXXX";

/// The folder, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    made: TempDir,
    keep: bool,
}

impl Folder {
    /// Makes the folder (mode 0700) with all that three nodes need to start. Its name begins with `koi-` and `purpose`; what else belongs into
    /// it, `fill` puts there: each node has a folder for its services by then.
    pub(crate) fn make(
        purpose: &str,
        keep: bool,
        fill: impl FnOnce(&Folder) -> io::Result<()>,
    ) -> Result<Folder, CommandError> {
        let under = usual_place();
        let hint = "TMPDIR names another place; it must not be mounted noexec, and its path must be short";
        let failed = |e: io::Error| {
            CommandError::local(format!("cannot make a folder in {}: {e}", under.display()), hint)
        };
        let mut made = tempfile::Builder::new()
            .prefix(&format!("koi-{purpose}-"))
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&under)
            .map_err(failed)?;
        made.disable_cleanup(keep);
        let folder = Folder { made, keep };
        let key = Key::generate().map_err(|e| CommandError::local(e.to_string(), ""))?;
        folder.prepare_nodes(&key.to_hex()).and_then(|()| fill(&folder)).map_err(failed)?;
        Ok(folder)
    }

    fn prepare_nodes(&self, key: &str) -> io::Result<()> {
        write(&self.path().join("cluster.key"), &format!("{key}\n"), 0o600)?;
        symlink(std::env::current_exe()?, self.path().join("koi"))?;
        let ports = free_ports()?;
        for (name, port) in NAMES.into_iter().zip(ports) {
            write(&self.config(name), &configuration(name, port, ports), 0o600)?;
            fs::create_dir_all(self.home(name).join("services"))?;
        }
        Ok(())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.made.path()
    }

    /// A node's own folder: its services and what they leave behind.
    pub(crate) fn home(&self, node: &str) -> PathBuf {
        self.path().join(node)
    }

    /// A node's configuration.
    pub(crate) fn config(&self, node: &str) -> PathBuf {
        self.path().join(format!("{node}.toml"))
    }

    /// A node's API.
    pub(crate) fn socket(&self, node: &str) -> PathBuf {
        self.path().join(format!("{node}.sock"))
    }

    /// What a node's daemon says.
    pub(crate) fn log(&self, node: &str) -> PathBuf {
        self.path().join(format!("{node}.log"))
    }

    /// The number of a node's process.
    pub(crate) fn pid_file(&self, node: &str) -> PathBuf {
        self.path().join(format!("{node}.pid"))
    }

    /// The last lines of a node's log, at most so many.
    pub(crate) fn last_lines(&self, node: &str, most: usize) -> Vec<String> {
        let log = fs::read(self.log(node)).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(most)..].iter().map(|line| (*line).to_owned()).collect()
    }

    /// Removes it now, unless it is to be kept; whether it did.
    pub(crate) fn remove(self) -> Result<bool, CommandError> {
        if self.keep {
            return Ok(false);
        }
        let path = self.path().to_owned();
        self.made.close().map(|()| true).map_err(|e| {
            CommandError::local(format!("cannot remove {}: {e}", path.display()), "remove it by hand")
        })
    }
}

/// `TMPDIR`, or `/tmp` where a socket in that would have too long a path.
fn usual_place() -> PathBuf {
    let place = std::env::temp_dir();
    let room = FOLDER_BYTES - LONGEST_NAME.len();
    if place.as_os_str().len() <= room && place.is_absolute() { place } else { PathBuf::from("/tmp") }
}

/// A port for each node that is free for UDP and for TCP.
fn free_ports() -> io::Result<[u16; 3]> {
    const TRIES: usize = 100;
    let mut taken = Vec::new();
    for _ in 0..TRIES {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = udp.local_addr()?.port();
        // Both are held until all are found, so that no port is found twice.
        if let Ok(tcp) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            taken.push((port, udp, tcp));
        }
        if let [(a, ..), (b, ..), (c, ..)] = taken[..] {
            return Ok([a, b, c]);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no three ports of 127.0.0.1 are free"))
}

/// A node's `koi.toml`. All times are the defaults. A relative path is relative to the file.
fn configuration(name: &str, port: u16, ports: [u16; 3]) -> String {
    let everyone = ports.map(|port| format!("\"127.0.0.1:{port}\"")).join(", ");
    format!(
        r#"[node]
name = "{name}"
bind = "127.0.0.1"
port = {port}
state_dir = "{name}/state"
socket = "{name}.sock"

[cluster]
electors = 3
transport = [{everyone}]
key_file = "cluster.key"

[services]
folder = "{name}/services"
workingdir = "{name}"

[plugins]
dirs = []
"#
    )
}

/// Writes a file with these permissions.
pub(crate) fn write(path: &Path, content: &str, mode: u32) -> io::Result<()> {
    fs::write(path, content)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one_that_the_daemon_takes() {
        for name in NAMES {
            let text = configuration(name, 40_001, [40_001, 40_002, 40_003]);
            let config = koi_config::parse_toml(&text, Path::new("/tmp/koi-demo-x/a.toml")).unwrap().config;
            assert_eq!((config.node.name.as_str(), config.node.port), (name, 40_001));
            assert_eq!(config.cluster.transport.len(), 3);
        }
    }

    #[test]
    fn a_folder_is_private_short_and_gone_in_the_end() {
        let folder = Folder::make("demo", false, |_| Ok(())).unwrap();
        let path = folder.path().to_owned();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(folder.socket("a").as_os_str().len() <= 107, "{path:?}");
        assert!(folder.home("c").join("services").is_dir());
        assert!(folder.remove().unwrap());
        assert!(!path.exists());
    }
}
