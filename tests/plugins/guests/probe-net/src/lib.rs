//! Tries what needs an interface that only a grant gives: sockets, name look-up, HTTP, programs.

mod frame;
mod http;
mod sockets;

use frame::koi::service::exec::{self, Command, ExecError};

fn run(op: &str, rest: &str) -> Result<String, String> {
    match op {
        "tcp" => sockets::tcp(rest),
        "tcp-bind" => sockets::tcp_bind(rest),
        "listen" => sockets::listen(rest),
        "udp" => sockets::udp(rest),
        "udp-bind" => sockets::udp_bind(rest),
        "lookup" => sockets::lookup(rest),
        "http" => http::get(rest),
        "exec" => execute(rest),
        _ => Err(format!("no such op: {op}")),
    }
}

/// `[NAME=VALUE]… [<BYTES] [~MILLISECONDS] PROGRAM ARGUMENT…`; `_` in an argument stands for a space.
fn execute(text: &str) -> Result<String, String> {
    let mut command = Command {
        program: String::new(),
        args: Vec::new(),
        env: Vec::new(),
        stdin: Vec::new(),
        timeout_ms: None,
    };
    for word in text.split(' ') {
        if !command.program.is_empty() {
            command.args.push(word.replace('_', " "));
        } else if let Some(bytes) = word.strip_prefix('<') {
            command.stdin = vec![b'x'; bytes.parse().map_err(|_| "not a number of bytes")?];
        } else if let Some(ms) = word.strip_prefix('~') {
            command.timeout_ms = ms.parse().ok();
        } else if let Some((name, value)) = word.split_once('=') {
            command.env.push((name.into(), value.into()));
        } else {
            command.program = word.into();
        }
    }
    let output = exec::run(&command).map_err(|error| match error {
        ExecError::Denied => "denied".into(),
        ExecError::NotFound => "not found".into(),
        ExecError::TimedOut => "timed out".into(),
        ExecError::Io(text) => text,
    })?;
    let shown = |bytes: &[u8]| match bytes.len() {
        0..=4000 => format!("{:?}", String::from_utf8_lossy(bytes)),
        more => format!("{more} bytes"),
    };
    let (out, err) = (shown(&output.stdout), shown(&output.stderr));
    Ok(format!("code {:?} out {out} err {err} truncated {}", output.code, output.truncated))
}
