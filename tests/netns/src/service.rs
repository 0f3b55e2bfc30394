//! The services that the nodes run: one holds an address while it is promoted; another, where it is wanted, runs in a process of its own.

use std::path::{Path, PathBuf};

use koi_cluster_tests::Service;

use crate::network::SERVICE_ADDRESS;

/// Its name in the services folder.
pub(crate) const NAME: &str = "10-address";

/// The name of the one with a process.
pub(crate) const SERVER: &str = "20-server";

/// The name of the one in another group.
pub(crate) const PLAIN: &str = "30-plain";

/// What the harness replaces by the hook log's path.
const LOG: &str = "@HOOKLOG@";

/// A service whose hooks log with CLOCK_MONOTONIC. What `status` says is the truth, or what `status-code` says; a file
/// `promote-takes` or `demote-takes` holds these hooks up for so many seconds.
pub(crate) fn address() -> Service {
    let mark = marker();
    let hook = |name: &str, work: &str| {
        let mark = mark.display();
        let script = format!("#!/bin/sh\n{mark} {LOG} begin\n{work}\n{mark} {LOG} end\n");
        (name.to_owned(), script)
    };
    let held_up = |name: &str| format!("[ ! -f {name}-takes ] || sleep \"$(cat {name}-takes)\"");
    let take = format!("ip address replace {SERVICE_ADDRESS}/32 dev eth0");
    let give = format!("ip address del {SERVICE_ADDRESS}/32 dev eth0 2>/dev/null");
    let hooks = [
        hook("start", ""),
        hook("promote", &format!("{take}\n{}", held_up("promote"))),
        hook("demote", &format!("{}\n{give}", held_up("demote"))),
        hook("stop", &give),
        hook("failed", ""),
    ];
    let service = hooks.iter().fold(Service::empty(), |service, (name, text)| service.script(name, text));
    service.script("status", &status(&mark))
}

/// A service that runs in a process, which its `start` and its `status` name.
pub(crate) fn server() -> Service {
    let mark = marker();
    let mark = mark.display();
    // It is there, and no zombie: who reaps it late is not measured.
    let runs = "{ pid=$(cat server.pid) && read -r _ _ state _ < \"/proc/$pid/stat\" && [ \"$state\" != Z ]; } 2> /dev/null";
    let hooks = [
        (
            "start",
            format!(
                "{runs} || {{ sleep 1000000 > /dev/null 2>&1 & echo $! > server.pid; }}\necho pidfile=server.pid"
            ),
        ),
        ("promote", String::new()),
        ("demote", String::new()),
        ("stop", format!("! {runs} || kill \"$(cat server.pid)\"")),
        ("failed", String::new()),
    ];
    let service = hooks.iter().fold(Service::empty(), |service, (name, work)| {
        service.script(name, &format!("#!/bin/sh\n{mark} {LOG} begin\n{work}\n{mark} {LOG} end\n"))
    });
    service.script("status", &format!("#!/bin/sh\necho pidfile=server.pid\n{runs}\n"))
}

/// A service of another group: its hooks do nothing but log.
pub(crate) fn plain() -> Service {
    let mark = marker();
    let mark = mark.display();
    let hooks = ["start", "promote", "demote", "stop", "failed"];
    let service = hooks.iter().fold(Service::empty(), |service, name| {
        service.script(name, &format!("#!/bin/sh\n{mark} {LOG} begin\n{mark} {LOG} end\n"))
    });
    service.script("status", "#!/bin/sh\n")
}

fn status(mark: &Path) -> String {
    format!(
        "#!/bin/sh\nif [ -f status-code ]; then\n    read -r code message < status-code\n    if [ \"$code\" != 0 ]; then\n        \
         {} {LOG} end\n        exit \"$code\"\n    fi\nfi\nip -o address show dev eth0 | grep -q {SERVICE_ADDRESS}/32 && exit 90\n\
         exit 91\n",
        mark.display()
    )
}

/// `koi-mark` lies beside the program that runs, or beside its folder if that is a test's.
fn marker() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows where it lies");
    let found =
        program.ancestors().skip(1).take(2).map(|folder| folder.join("koi-mark")).find(|p| p.is_file());
    found.expect("cargo has built koi-mark with this crate's tests")
}
