//! `[grants]` of a service: what of the node its component may use. Nothing is granted unless it stands there.
//!
//! | key | what | form |
//! |---|---|---|
//! | `read`, `write` | directories | absolute paths; the guest sees them under the same path |
//! | `tcp`, `udp` | whom it may talk to | `ip:port`, `name:port`, `network/bits:port`; `*` as port: any |
//! | `lookup` | resolving names | `true` |
//! | `env` | variables of the daemon | names |
//! | `exec` | programs | a command line with `*` and a last `**`, or a table: `run`, `user`, `keep` |
//! | `exec-env` | variables for these programs | names |
//! | `http` | whom it may send requests to | as under `tcp` |
//! | `user` | as whom it reads and writes its directories | a name |
//! | `dangerous` | programs with which a handler may do anything | `true` |
//!
//! Everything that can be found wrong is found wrong when the service is loaded: directories and programs are looked at, names are
//! resolved and their addresses kept, so that a name server's later answers change nothing. Names under `http` are looked up at each
//! request: a name server's answer grants no address of this machine or its network ([`addresses::authority`]).

mod addresses;
pub(crate) mod directories;
pub(crate) mod error;
mod interfaces;
mod paths;
pub(crate) mod programs;
mod section;
mod users;
pub(crate) mod wanted;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub(crate) use addresses::authority::HttpHost;
use koi_files::trust;
use serde::{Deserialize, Serialize};

use crate::backend::wasm::grants::addresses::address::AddressGrant;
use crate::backend::wasm::grants::addresses::authority::{Authority, may_mean};
use crate::backend::wasm::grants::directories::directory::Directory;
use crate::backend::wasm::grants::error::GrantError;
use crate::backend::wasm::grants::programs::program;
use crate::backend::wasm::grants::programs::program::Program;
use crate::backend::wasm::grants::section::Section;
use crate::backend::wasm::grants::users::NamedUser;
use crate::config::setting::SecretFile;
use crate::granted::Granted;
use crate::host::Host;
use crate::plugin::{Resolved, Setup};

/// What one service's component may use, checked and resolved.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Grants {
    read: Vec<Directory>,
    write: Vec<Directory>,
    tcp: Vec<AddressGrant>,
    udp: Vec<AddressGrant>,
    lookup: bool,
    env: Vec<String>,
    programs: Vec<Program>,
    exec_env: Vec<String>,
    /// Its programs may do whatever koid may, and the operator says that this is meant.
    dangerous: bool,
    http: Vec<Authority>,
    /// None: one that nobody else is.
    user: Option<NamedUser>,
    /// As they stand in the file, to show what a line must say with one thing more in it.
    written: toml::Table,
}

impl Grants {
    /// Reads the service's `[grants]`. Blocks: directories are looked at and names resolved.
    ///
    /// # Errors
    /// A sentence that says what of it cannot be, and what to write.
    pub(crate) fn read(setup: &Setup<'_>, host: &Host) -> Result<Grants, GrantError> {
        let section = Section::from_table(setup.grants)?;
        // Whoever takes services down makes do with what is there by now.
        let is_first = setup.opening.is_first();
        let resolved = setup.opening.resolved();
        let addresses = resolved.map(|resolved| &resolved.addresses);
        let to_read =
            |path: &str| if is_first { Directory::to_read(path, host) } else { Ok(Directory::again(path)) };
        let to_write =
            |path: &str| if is_first { Directory::to_write(path, host) } else { Ok(Directory::again(path)) };
        let grants = Grants {
            read: section.each("read", to_read)?,
            write: section.each("write", to_write)?,
            tcp: section.each("tcp", |text| AddressGrant::resolve(text, addresses, &host.resolver))?,
            udp: section.each("udp", |text| AddressGrant::resolve(text, addresses, &host.resolver))?,
            lookup: section.flag("lookup")?,
            env: section.each("env", program::plain_variable)?,
            programs: section.command_lines("exec", |line| match resolved {
                None if host.stand_in.is_some() => Program::made_up(line),
                None => Program::parse(line),
                Some(resolved) => Program::again(line, &resolved.users),
            })?,
            exec_env: section.each("exec-env", program::variable)?,
            dangerous: section.flag("dangerous")?,
            http: section.each("http", Authority::parse)?,
            user: section.text("user", |name| match resolved {
                None => users::of_helper(name),
                Some(resolved) => users::again(name, &resolved.users),
            })?,
            written: setup.grants.clone(),
        };
        if !grants.exec_env.is_empty() && grants.programs.is_empty() {
            return Err(GrantError::ExecEnvAlone);
        }
        if is_first {
            grants.check_programs(host.stand_in.is_some())?;
        }
        Ok(grants)
    }

    /// A guest that may change a program that it may run may run anything, and with some programs it may in any case. What strangers
    /// may change runs what they like; what is made up nobody changes. Blocks.
    fn check_programs(&self, are_made_up: bool) -> Result<(), GrantError> {
        for program in &self.programs {
            if let Some(danger) = program.danger().filter(|_| !self.dangerous) {
                return Err(GrantError::Dangerous { entry: program.to_string(), danger });
            }
            if let Some(why) = program.distrust().filter(|_| !are_made_up) {
                return Err(GrantError::Untrusted { entry: program.to_string(), why });
            }
            if let Some(directory) = self.write.iter().find(|directory| program.lies_in(directory)) {
                return Err(GrantError::OwnProgram {
                    program: program.path().to_owned(),
                    directory: directory.path().to_owned(),
                });
            }
        }
        Ok(())
    }

    /// A guest that may change the file of a secret chooses what it is told. Blocks.
    pub(crate) fn check_secrets(&self, secrets: &[SecretFile]) -> Result<(), GrantError> {
        for SecretFile { key, path } in secrets {
            let on_way = trust::entries_on_way(path);
            let holds = |directory: &&Directory| on_way.iter().any(|entry| directory.holds(entry));
            if let Some(directory) = self.write.iter().find(holds) {
                let directory = directory.path().to_owned();
                return Err(GrantError::OwnSecret { key: key.clone(), file: path.clone(), directory });
            }
        }
        Ok(())
    }

    /// What is granted. The lines show the directory that a link leads to, the addresses that a name has, and the variables that
    /// aren't set.
    pub(crate) fn granted(&self) -> Vec<Granted> {
        let directory = |key, of: &Directory| Granted::entry(key, of.path().display().to_string(), of);
        let variable = |name: &String| match std::env::var_os(name) {
            Some(_) => Granted::entry("env", name, name),
            None => Granted::entry("env", name, format_args!("{name} (not set in koid)")),
        };
        let any_name = || Granted {
            key: "lookup".to_owned(),
            value: String::new(),
            line: "lookup of any name".to_owned(),
        };
        let read = self.read.iter().map(|of| directory("read", of));
        let write = self.write.iter().map(|of| directory("write", of));
        let tcp = self.tcp.iter().map(|of| Granted::entry("tcp", of.written(), of));
        let udp = self.udp.iter().map(|of| Granted::entry("udp", of.written(), of));
        let lookup = self.lookup.then(any_name);
        let dangerous = self.dangerous.then(|| Granted {
            key: "dangerous".to_owned(),
            value: String::new(),
            line: "dangerous: with its programs it may do all that koid may".to_owned(),
        });
        let programs =
            self.programs.iter().map(|of| Granted::entry("exec", of.path().display().to_string(), of));
        let exec_env = self.exec_env.iter().map(|name| Granted::entry("exec-env", name, name));
        let http = self.http.iter().map(|of| Granted::entry("http", of.to_string(), of));
        let user = self.user.iter().map(|of| Granted::entry("user", &of.0, &of.0));
        read.chain(write)
            .chain(tcp)
            .chain(udp)
            .chain(lookup)
            .chain(self.env.iter().map(variable))
            .chain(programs)
            .chain(exec_env)
            .chain(dangerous)
            .chain(http)
            .chain(user)
            .collect()
    }

    /// What the names under `tcp`, `udp`, `exec` and `user` stand for.
    pub(crate) fn resolved(&self) -> Resolved {
        Resolved {
            addresses: self.tcp.iter().chain(&self.udp).filter_map(AddressGrant::resolved).collect(),
            users: self.programs.iter().filter_map(Program::user).chain(&self.user).cloned().collect(),
        }
    }

    /// Whether what a program leaves may be kept.
    pub(crate) fn keeps_some(&self) -> bool {
        self.programs.iter().any(Program::keeps)
    }

    /// What is kept must be ended some time: after `stop`, which the handler must have.
    pub(crate) fn check_kept(&self, has_stop: bool) -> Result<(), GrantError> {
        match self.programs.iter().find(|program| program.keeps() && !has_stop) {
            Some(program) => Err(GrantError::KeepWithoutStop { entry: program.to_string() }),
            None => Ok(()),
        }
    }

    /// The line of `[grants]` that holds `value` besides what stands there now.
    pub(crate) fn line_with(&self, key: &str, value: impl Into<toml::Value>) -> String {
        self.line_with_all(key, [value.into()])
    }

    /// The line of `[grants]` that holds all of `values` besides what stands there now.
    pub(crate) fn line_with_all(&self, key: &str, values: impl IntoIterator<Item = toml::Value>) -> String {
        let mut all = self.written.get(key).and_then(toml::Value::as_array).cloned().unwrap_or_default();
        for value in values {
            if !all.contains(&value) {
                all.push(value);
            }
        }
        format!("{key} = {}", toml::Value::Array(all))
    }

    /// Whether the guest sees `directory` and what is in it.
    pub(crate) fn reads(&self, directory: &Path) -> bool {
        self.read.iter().chain(&self.write).any(|granted| granted.holds(directory))
    }

    /// Where a file is that the guest may read: the directory, all links followed when the service was loaded, and its way from there, which is
    /// nothing but names. Nothing is looked at.
    pub(crate) fn file_to_read(&self, path: &Path) -> Option<(&Path, PathBuf)> {
        self.read.iter().chain(&self.write).find_map(|granted| granted.way_to(path))
    }

    /// Whether the guest may connect to `address`.
    pub(crate) fn allows_tcp(&self, address: SocketAddr) -> bool {
        self.tcp.iter().any(|granted| granted.allows(address))
    }

    /// Whether the guest may exchange datagrams with `address`.
    pub(crate) fn allows_udp(&self, address: SocketAddr) -> bool {
        self.udp.iter().any(|granted| granted.allows(address))
    }

    /// Whether the guest may send requests to `host` at `port`, as far as it is known before it is looked up.
    pub(crate) fn allows_http(&self, host: &HttpHost, port: u16) -> bool {
        self.http.iter().any(|granted| granted.allows(host, port))
    }

    /// Whether a request for `name` may go to `address`.
    pub(crate) fn allows_http_at(&self, name: &str, address: SocketAddr) -> bool {
        may_mean(name, address.ip()) || self.http.iter().any(|granted| granted.holds(address))
    }

    /// Whether the guest may have this name looked up, for itself or for a request.
    pub(crate) fn allows_look_up(&self, name: &str) -> bool {
        self.lookup || self.http.iter().any(|granted| granted.names(name))
    }

    /// The program to run for a guest that asks for `path` with `args`. Blocks: links are followed.
    pub(crate) fn program(&self, path: &str, args: &[String]) -> Option<&Program> {
        self.programs.iter().find(|program| program.fits(args, self.dangerous) && program.is_at(path))
    }

    /// The entries under `exec` for the program at `path`, as they are written, the one that comes nearest to `args` first. Blocks: links
    /// are followed.
    pub(crate) fn entries_for(&self, path: &str, args: &[String]) -> Vec<(&toml::Value, &Program)> {
        let written = self.written.get("exec").and_then(toml::Value::as_array).into_iter().flatten();
        let mut entries: Vec<_> =
            written.zip(&self.programs).filter(|(_, program)| program.is_at(path)).collect();
        entries.sort_by_key(|(_, program)| Reverse(program.fitting(args)));
        entries
    }

    /// All programs that the guest may run.
    pub(crate) fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// Whether the guest may give `name` to the programs that it runs.
    pub(crate) fn allows_exec_env(&self, name: &str) -> bool {
        self.exec_env.iter().any(|granted| granted == name)
    }

    /// Directories with their kind: true for those that may be changed.
    pub(crate) fn directories(&self) -> impl Iterator<Item = (&Directory, bool)> {
        let read = self.read.iter().map(|directory| (directory, false));
        read.chain(self.write.iter().map(|directory| (directory, true)))
    }

    /// Whether its programs may do whatever koid may.
    pub(crate) fn is_dangerous(&self) -> bool {
        self.dangerous
    }

    /// As whom the helper runs; none: as one that nobody else is.
    pub(crate) fn user(&self) -> Option<&NamedUser> {
        self.user.as_ref()
    }

    /// Whether anything of the node's network is granted.
    pub(crate) fn needs_network(&self) -> bool {
        ["tcp", "udp", "http"].into_iter().any(|key| self.has(key))
    }

    /// The TCP ports that the guest may connect to; none: any.
    pub(crate) fn connect_ports(&self) -> Option<BTreeSet<u16>> {
        self.tcp.iter().map(AddressGrant::port).chain(self.http.iter().map(Authority::port)).collect()
    }

    /// The variables of the daemon that the guest sees.
    pub(crate) fn variables(&self) -> &[String] {
        &self.env
    }

    /// What is granted at all of what needs an interface of its own.
    pub(crate) fn has(&self, key: &str) -> bool {
        match key {
            "tcp" => !self.tcp.is_empty(),
            "udp" => !self.udp.is_empty(),
            "lookup" => self.lookup,
            "exec" => !self.programs.is_empty(),
            "http" => !self.http.is_empty(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
