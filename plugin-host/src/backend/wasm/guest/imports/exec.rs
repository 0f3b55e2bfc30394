//! The `exec` interface, as guests see it: koid runs the programs.

use crate::backend::wasm::bindings::v0_2::koi::service::exec;
use crate::backend::wasm::bindings::v0_2::koi::service::exec::ExecError;
use crate::backend::wasm::guest::run::data::Guest;
use crate::backend::wasm::protocol::{
    ARGUMENTS_BYTES, GuestMessage, GuestQuestion, HostAnswer, INPUT_BYTES, INPUT_CHUNK_BYTES, ProgramRequest,
    ProgramRunError,
};

impl exec::Host for Guest {
    async fn run(&mut self, command: exec::Command) -> Result<exec::Output, ExecError> {
        let exec::Command { program, args, env, stdin, timeout_ms } = command;
        if stdin.len() > INPUT_BYTES {
            return Err(ExecError::Io(format!("more than {} MiB of standard input", INPUT_BYTES >> 20)));
        }
        let request = ProgramRequest { program, args, env, timeout_ms };
        if request.arguments_bytes() > ARGUMENTS_BYTES {
            let most = ARGUMENTS_BYTES >> 10;
            return Err(ExecError::Io(format!("more than {most} KiB of arguments and variables")));
        }
        let link = &self.call.link;
        let answer = link.asked(GuestQuestion::Run(request));
        for piece in stdin.chunks(INPUT_CHUNK_BYTES) {
            link.send(&GuestMessage::Input(piece.to_vec()));
        }
        link.send(&GuestMessage::Input(Vec::new()));
        match answer.await {
            Ok(HostAnswer::Exited(exit)) => Ok(exec::Output {
                code: exit.code,
                stdout: exit.stdout,
                stderr: exit.stderr,
                truncated: exit.truncated,
            }),
            Ok(HostAnswer::ProgramRefused(error)) => Err(match error {
                ProgramRunError::Denied => ExecError::Denied,
                ProgramRunError::NotFound => ExecError::NotFound,
                ProgramRunError::TimedOut => ExecError::TimedOut,
                ProgramRunError::Io(why) => ExecError::Io(why),
                ProgramRunError::TooManyProcesses => ExecError::Io("too many processes at a time".into()),
            }),
            Ok(_) | Err(_) => Err(ExecError::Io("koid gave no answer".into())),
        }
    }
}
