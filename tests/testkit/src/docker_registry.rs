//! A registry of the kind that everybody runs (Debian's docker-registry), on loopback, with TLS and a password.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use tempfile::TempDir;

use crate::{free_ports, met_within, skip, write_with_mode};

/// Who may log in.
pub const USER: &str = "koi";
/// The user's password.
pub const PASSWORD: &str = "s3cret";
/// The same as registries keep it.
const HTPASSWD: &str = "koi:$2y$05$pB9V5R3VIemMV69HYrV6Keg8e6Ys8WSLriXGKqTJpqI7PrrCa08rS\n";

/// How long it may take to answer at first.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of an authority that nobody but tests trusts, and what it says of 127.0.0.1. `plugin-host/tests/certificates/make` has made them.
const AUTHORITY: &[u8] = include_bytes!("../../../plugin-host/tests/certificates/authority.der");
const SERVER: &[u8] = include_bytes!("../../../plugin-host/tests/certificates/server.der");
const SERVER_KEY: &[u8] = include_bytes!("../../../plugin-host/tests/certificates/server-key.der");

/// A registry. Dropped, it ends; what was pushed is kept until the value goes.
#[derive(Debug)]
pub struct DockerRegistry {
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl DockerRegistry {
    /// Starts one. None, and a word about it: it is not installed.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn start() -> Option<DockerRegistry> {
        if Command::new("docker-registry").arg("--version").stdout(Stdio::null()).status().is_err() {
            skip("a real registry: apt-get install docker-registry");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = free_ports(1)[0];
        let mut registry = DockerRegistry { folder, port, process: None };
        registry.write();
        registry.go_on();
        Some(registry)
    }

    /// Host and port, as references name it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The certificate of its authority.
    pub fn authority(&self) -> PathBuf {
        self.path("authority.pem")
    }

    /// A file that nobody else can read, with the password.
    pub fn password_file(&self) -> PathBuf {
        self.path("password")
    }

    /// A `registries.toml` that knows it, written to `path`.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write_settings(&self, path: &Path) {
        let text = format!(
            "[registries.\"{}\"]\nuser = \"{USER}\"\npassword_file = {:?}\nca_file = {:?}\n",
            self.host(),
            self.password_file(),
            self.authority()
        );
        fs::write(path, text).expect("a file can be written");
    }

    /// Ends it. It can go on.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again, at the same port and with what it had.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn go_on(&mut self) {
        let log = fs::File::create(self.path("log")).expect("a file can be written");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(self.path("config.yml")).stdin(Stdio::null());
        let errors = log.try_clone().expect("a file can be shared");
        self.process = Some(command.stdout(log).stderr(errors).spawn().expect("it can be started"));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let answers = met_within(PATIENCE, || TcpStream::connect(address).is_ok());
        assert!(answers, "{}", fs::read_to_string(self.path("log")).unwrap_or_default());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self) {
        for (name, kind, der) in [
            ("authority.pem", "CERTIFICATE", AUTHORITY),
            ("server.pem", "CERTIFICATE", SERVER),
            ("server-key.pem", "PRIVATE KEY", SERVER_KEY),
        ] {
            write_with_mode(&self.path(name), pem(kind, der), 0o600);
        }
        write_with_mode(&self.path("password"), format!("{PASSWORD}\n"), 0o600);
        write_with_mode(&self.path("htpasswd"), HTPASSWD, 0o600);
        let at = |name: &str| self.path(name).display().to_string();
        let config = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\nauth:\n  htpasswd:\n    realm: \
             koi\n    path: {}\nhttp:\n  addr: {}\n  tls:\n    certificate: {}\n    key: {}\n",
            at("data"),
            at("htpasswd"),
            self.host(),
            at("server.pem"),
            at("server-key.pem")
        );
        write_with_mode(&self.path("config.yml"), config, 0o600);
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        self.stop();
    }
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = Base64::encode_string(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}
