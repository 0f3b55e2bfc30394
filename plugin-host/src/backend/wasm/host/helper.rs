//! A component's helper, as koid sees it.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use koi_plugin_api::{GroupReport, Hook};

use crate::backend::helper::socket::ReadHalf;
use crate::backend::helper::{HelperProcess, Killed, RequestSender};
use crate::backend::wasm::confine::Layers;
use crate::backend::wasm::engine;
use crate::backend::wasm::host::exec::programs::Programs;
use crate::backend::wasm::load::sealed::ComponentCode;
use crate::backend::wasm::protocol::{FrameReader, GUEST_FRAME_BYTES, GuestSetup, HostMessage, encode};
use crate::subcommand::WASM;

/// How much nicer than koid a helper is in hooks that nobody waits for.
const NICENESS: i32 = 10;

/// The word that the code's descriptors come with.
const CODE: u8 = b'c';

/// A process that runs one service's guests. Dropped, it is killed.
pub(crate) struct GuestHelper {
    // Dropped first.
    pub(crate) body: HelperProcess,
    pub(crate) requests: RequestSender,
    pub(crate) messages: FrameReader<ReadHalf>,
    /// What confines it, once it has said so.
    pub(crate) layers: Option<Layers>,
    /// Runs the programs that its guests ask for; none: they may run none.
    pub(crate) programs: Option<Programs>,
    /// It is nicer than koid by so much.
    niceness: i32,
}

impl GuestHelper {
    /// Starts one, for `setup`, and beside it a broker if guests may run programs. Blocks a little; must be called in a runtime.
    pub(crate) fn start(
        program: &Path,
        service: &str,
        (code, setup): (&ComponentCode, &HostMessage),
        runs_programs: bool,
    ) -> io::Result<GuestHelper> {
        let (body, socket) = HelperProcess::start(command(program, service))?;
        match koi_child::send_descriptors(socket.as_fd(), CODE, &code.descriptors()) {
            // It has ended already: whoever calls it finds that, and how.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            sent => sent?,
        }
        socket.set_nonblocking(true)?;
        let from = ReadHalf::new(socket.try_clone()?)?;
        let mut requests = RequestSender::new(socket);
        requests.push(&encode(setup));
        let programs = runs_programs.then(|| Programs::start(program, service)).transpose()?;
        let messages = FrameReader::new(from, GUEST_FRAME_BYTES);
        Ok(GuestHelper { body, requests, messages, programs, layers: None, niceness: 0 })
    }

    /// Ends it with all that it has started, and what the programs have that it asked for.
    pub(crate) async fn kill(self, told: &mut GroupReport) -> Killed {
        let GuestHelper { body, programs, .. } = self;
        let programs_end = async {
            if let Some(programs) = programs {
                programs.shut_down().await;
            }
        };
        tokio::join!(body.kill(told), programs_end).0
    }

    /// Gives it its share of the processor for a hook: what is asked again and again goes behind what moves or takes down a service.
    pub(crate) fn hurry(&mut self, hook: Hook) {
        let niceness = match hook {
            Hook::Start | Hook::Status | Hook::Changed => NICENESS,
            Hook::Promote | Hook::Demote | Hook::Stop | Hook::Failed => 0,
        };
        if niceness != self.niceness {
            self.niceness = niceness;
            self.body.process.set_niceness(niceness);
        }
    }

    /// Asks for something, as soon as the helper reads.
    pub(crate) fn ask(&mut self, message: &HostMessage) {
        self.requests.push(&encode(message));
    }
}

/// The command of a helper. It has nothing of koid's environment. `service` is for whoever looks at a list of processes.
pub(crate) fn command(program: &Path, service: impl AsRef<OsStr>) -> Command {
    let mut command = koi_child::command(program);
    command
        .arg(WASM)
        .arg(service)
        .env_clear()
        // One heap for all threads: there are few, and each heap takes its share of the memory.
        .env("MALLOC_ARENA_MAX", "1")
        .envs(engine::variables())
        .current_dir("/");
    command
}

/// Hands code and setup to a helper through a socket that blocks.
pub(crate) fn set_up(
    socket: &mut std::os::unix::net::UnixStream,
    code: &ComponentCode,
    setup: &HostMessage,
) -> io::Result<()> {
    koi_child::send_descriptors(socket.as_fd(), CODE, &code.descriptors())?;
    socket.write_all(&encode(setup))
}

/// A setup as it is sent.
pub(crate) fn message(setup: &GuestSetup) -> Result<HostMessage, serde_json::Error> {
    serde_json::to_vec(setup).map(HostMessage::Setup)
}
