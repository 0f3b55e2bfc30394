//! Stands in for koid where this crate is tested by itself: compiles and runs components, and loads native libraries.

use std::process::ExitCode;

fn main() -> ExitCode {
    koi_child::begin(Some("/proc/self/exe"));
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    koi_plugin_host::process(&args).unwrap_or_else(|| {
        eprintln!("koi-plugin-helper: started by tests of koi-plugin-host, and of no use by itself");
        ExitCode::from(2)
    })
}
