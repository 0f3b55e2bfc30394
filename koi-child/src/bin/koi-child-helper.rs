//! Stands in for koid where this crate is tested by itself: it is the keeper, or it starts `sh -c COMMAND` as koid would, says
//! what that says, and ends.

use std::io::Write;
use std::process::{ExitCode, Stdio};

use koi_child::{KEEP, Output};

fn main() -> ExitCode {
    koi_child::begin(Some("/proc/self/exe"));
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words[..] {
        [word] if word == KEEP => koi_child::keep(),
        [word] if word == "go-on-in-the-background" => go_on_in_the_background(),
        [word, script] if word == "run" => run(script).unwrap_or(ExitCode::FAILURE),
        _ => {
            eprintln!("koi-child-helper: started by tests of koi-child, and of no use by itself");
            ExitCode::from(2)
        }
    }
}

/// The first thread ends, and another goes on.
#[allow(unsafe_code, reason = "only the kernel can end the first thread alone")]
fn go_on_in_the_background() -> ! {
    std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_secs(600)));
    println!("it goes on");
    // SAFETY: it takes a number and returns to nobody. What this thread owns stays as it is.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("this thread has ended")
}

/// The output is read until the script itself has ended.
fn run(script: &str) -> std::io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut child = koi_child::command("/bin/sh").args(["-c", script]).stdout(Stdio::piped()).spawn()?;
        let end = child.stdout.take().ok_or_else(|| std::io::Error::other("it has no pipe"))?;
        let mut output = Output::new(end.into())?;
        let status = child.wait()?;
        let mut buffer = [0; 4096];
        while let Some(read) = output.read_now(&mut buffer) {
            std::io::stdout().write_all(&buffer[..read])?;
        }
        Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(99)).unwrap_or(99)))
    })
}
