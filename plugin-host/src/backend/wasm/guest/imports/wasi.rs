//! What a component finds of WASI: the interfaces that the grants give it, and behind them what is granted.

use std::net::SocketAddr;
use std::sync::Arc;

use koi_plugin_api::{CallLog, Hook, LogLevel};
use wasmtime::component::{HasData, HasSelf, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sockets};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSockets, WasiSocketsView};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder, WasiView};
use wasmtime_wasi_http::p2::bindings::http as wasi_http;
use wasmtime_wasi_http::{WasiHttp, WasiHttpView};

use crate::backend::wasm::bindings::v0_1::koi::service as older;
use crate::backend::wasm::bindings::v0_2::koi::service::{attributes, exec, state};
use crate::backend::wasm::grants::Grants;
use crate::backend::wasm::grants::directories::directory::Directory;
use crate::backend::wasm::grants::error::DirectoryError;
use crate::backend::wasm::guest::imports::names;
use crate::backend::wasm::guest::run::data::Guest;

impl Grants {
    /// Puts into `linker` what every component may import, and what the grants give this one. [`Grants::check_import`] says
    /// the same of each interface by its name.
    pub(crate) fn link(&self, linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
        link(linker, |key| self.has(key))
    }

    /// Opens to one call's guest what is granted; `variables` are the granted ones with their values. What is refused later is told to `log`, with the line that would grant it.
    ///
    /// # Errors
    /// When a granted directory cannot be opened (any more). A hook that takes the service down has to make do without it: it is the
    /// last one that should fail because a disk is gone.
    pub(crate) fn apply(
        self: &Arc<Self>,
        builder: &mut WasiCtxBuilder,
        hook: Hook,
        variables: &[(String, String)],
        log: &Arc<dyn CallLog>,
    ) -> Result<(), DirectoryError> {
        for (directory, writable) in self.directories() {
            match open_to(builder, directory, writable) {
                Err(error) if matches!(hook, Hook::Demote | Hook::Stop | Hook::Failed) => {
                    log.line(LogLevel::Warn, &format!("{error}; {} goes on without it", hook.as_str()));
                }
                opened => opened?,
            }
        }
        for (name, value) in variables {
            builder.env(name, value);
        }
        let gate = Gate { grants: self.clone(), log: log.clone() };
        builder.allow_tcp(self.has("tcp")).allow_udp(self.has("udp")).socket_addr_check(
            move |address, usage| {
                let allowed = gate.allows(address, usage);
                Box::pin(std::future::ready(allowed))
            },
        );
        Ok(())
    }
}

fn open_to(
    builder: &mut WasiCtxBuilder,
    directory: &Directory,
    writable: bool,
) -> Result<(), DirectoryError> {
    let perms = if writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
    let path = directory.path();
    builder
        .preopened_dir(directory.real()?, path.display().to_string(), perms)
        .map_err(|error| DirectoryError::Unopened { path: path.to_owned(), error })?;
    Ok(())
}

/// Puts everything into `linker` that a component can import. With no grants, and a context in which nothing is open, it leads
/// nowhere: for a look at a component that may not do anything yet.
pub(crate) fn link_all(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    link(linker, |_| true)
}

fn link(linker: &mut Linker<Guest>, has: impl Fn(&str) -> bool) -> wasmtime::Result<()> {
    link_harmless(linker)?;
    attributes::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    state::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    older::state::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    if has("exec") {
        exec::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
        older::exec::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    }
    if has("tcp") {
        sockets::tcp::add_to_linker::<Guest, WasiSockets>(linker, Guest::sockets)?;
        sockets::tcp_create_socket::add_to_linker::<Guest, WasiSockets>(linker, Guest::sockets)?;
    }
    if has("udp") {
        sockets::udp::add_to_linker::<Guest, WasiSockets>(linker, Guest::sockets)?;
        sockets::udp_create_socket::add_to_linker::<Guest, WasiSockets>(linker, Guest::sockets)?;
    }
    if has("lookup") {
        names::link(linker)?;
    }
    if has("http") {
        wasi_http::outgoing_handler::add_to_linker::<Guest, WasiHttp>(linker, Guest::http)?;
    }
    Ok(())
}

/// What every component may import: what touches nothing of the node, and what leads nowhere without a grant.
fn link_harmless(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use wasmtime_wasi::p2::bindings::io;

    let l = linker;
    io::error::add_to_linker::<Guest, HasTable>(l, |guest| &mut guest.table)?;
    io::poll::add_to_linker::<Guest, HasTable>(l, |guest| &mut guest.table)?;
    io::streams::add_to_linker::<Guest, HasTable>(l, |guest| &mut guest.table)?;
    clocks::wall_clock::add_to_linker::<Guest, WasiClocks>(l, Guest::clocks)?;
    clocks::monotonic_clock::add_to_linker::<Guest, WasiClocks>(l, Guest::clocks)?;
    random::random::add_to_linker::<Guest, WasiRandom>(l, |guest| guest.ctx().ctx.random())?;
    random::insecure::add_to_linker::<Guest, WasiRandom>(l, |guest| guest.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<Guest, WasiRandom>(l, |guest| guest.ctx().ctx.random())?;
    cli::exit::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::environment::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::stdin::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::stdout::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::stderr::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_input::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_output::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_stdin::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_stdout::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_stderr::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    filesystem::types::add_to_linker::<Guest, WasiFilesystem>(l, Guest::filesystem)?;
    filesystem::preopens::add_to_linker::<Guest, WasiFilesystem>(l, Guest::filesystem)?;
    sockets::network::add_to_linker::<Guest, WasiSockets>(l, &Default::default(), Guest::sockets)?;
    sockets::instance_network::add_to_linker::<Guest, WasiSockets>(l, Guest::sockets)?;
    wasi_http::types::add_to_linker::<Guest, WasiHttp>(l, &Default::default(), Guest::http)
}

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Lets through what is granted, and tells the call's log of the rest.
struct Gate {
    grants: Arc<Grants>,
    log: Arc<dyn CallLog>,
}

impl Gate {
    fn allows(&self, address: SocketAddr, usage: SocketAddrUse) -> bool {
        match usage {
            SocketAddrUse::TcpConnect => {
                self.grants.allows_tcp(address) || self.denied("connect to", address, "tcp")
            }
            SocketAddrUse::UdpSend => {
                self.grants.allows_udp(address) || self.denied("send to", address, "udp")
            }
            // From anyone: nothing that the guest did.
            SocketAddrUse::UdpReceive => self.grants.allows_udp(address),
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => {
                is_no_choice(address) || self.refused("bind to", address)
            }
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => self.refused("listen at", address),
        }
    }

    fn denied(&self, what: &str, address: SocketAddr, key: &str) -> bool {
        let plain = SocketAddr::new(address.ip().to_canonical(), address.port());
        let line = self.grants.line_with(key, plain.to_string());
        self.log.line(
            LogLevel::Warn,
            &format!("denied: {what} {plain}; to grant it write under [grants] of service.toml: {line}"),
        );
        false
    }

    fn refused(&self, what: &str, address: SocketAddr) -> bool {
        self.log.line(
            LogLevel::Warn,
            &format!("denied: {what} {address}; handlers only connect, and nothing grants this"),
        );
        false
    }
}

/// Whether binding leaves address and port to the kernel, as connecting does anyway; or only keeps it on this machine.
fn is_no_choice(address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    address.port() == 0 && (ip.is_unspecified() || ip.is_loopback())
}
