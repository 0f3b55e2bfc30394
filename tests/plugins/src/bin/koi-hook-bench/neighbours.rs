//! What a demotion takes beside services that take what they can.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use koi_plugin_api::Hook;
use koi_plugin_tests::guests::Guest;
use tokio::time::sleep;

use crate::{Bench, Subject, at, shown};

/// Hostile services.
const NEIGHBOURS: usize = 16;
/// Demotions that are measured.
const DEMOTES: usize = 100;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(20);
/// What 99 of 100 of them may take longer than they do alone.
const TARGET: Duration = Duration::from_millis(20);
/// How long one call of a hostile `status` may take.
const HOSTILE_TIME: Duration = Duration::from_secs(1);

/// What they do in `status`, by name.
const HOSTILE: [(&str, &str); 3] = [
    ("spins", "(loop (br 0)) (unreachable)"),
    ("logs", "(loop (call $log (i32.const 2) %{all that there is to say}) (br 0)) (unreachable)"),
    ("stores", "(loop (call $set %{key} %{value} (i32.const 512)) (br 0)) (unreachable)"),
];

/// Measures it, and prints a table.
pub(crate) fn measure(bench: &Bench) -> io::Result<()> {
    let wrong = |why: String| io::Error::other(format!("neighbours: {why}"));
    let quiet = Guest::new("quiet").hook("demote", "(call $done)").build();
    let write = |name: &str, component: Vec<u8>| fs::write(bench.folder.path().join(name), component);
    write("quiet.wasm", quiet)?;
    for (name, status) in HOSTILE {
        write(&format!("{name}.wasm"), Guest::new(name).hook("status", status).build())?;
    }
    let script = bench.service("neighbours-script", None, "demote", "").map_err(wrong)?;
    let component = bench.service("neighbours-wasm", Some("quiet.wasm"), "demote", "").map_err(wrong)?;
    let innocents = [("shell script", script), ("WASM, by hand", component)];
    let hostile = (0..NEIGHBOURS).map(|number| {
        let (name, _) = HOSTILE[number % HOSTILE.len()];
        bench.service(&format!("neighbours-{number}"), Some(&format!("{name}.wasm")), "status", "")
    });
    let hostile = hostile.collect::<Result<Vec<Subject>, String>>().map_err(wrong)?;

    println!(
        "\n`demote` of one service beside {NEIGHBOURS} that spin, log and store in `status`, {DEMOTES} times.\n"
    );
    println!("{:15} {:>10} {:>10} {:>10} {:>10}", "", "alone", "beside", "99 %", "longest");
    let mut is_met = true;
    for (name, innocent) in &innocents {
        let alone = demotes(bench, innocent).map_err(wrong)?;
        let ended = Arc::new(AtomicBool::new(false));
        let neighbours: Vec<_> =
            hostile.iter().map(|subject| harass(bench, subject, ended.clone())).collect();
        let beside = demotes(bench, innocent).map_err(wrong)?;
        ended.store(true, Ordering::Relaxed);
        for neighbour in neighbours {
            bench.runtime.block_on(neighbour).map_err(io::Error::from)?;
        }
        let late = at(&beside, 98);
        is_met &= late <= at(&alone, 50) + TARGET;
        println!(
            "{name:15} {:>10} {:>10} {:>10} {:>10}",
            shown(at(&alone, 50)),
            shown(at(&beside, 50)),
            shown(late),
            shown(at(&beside, 100))
        );
    }
    println!(
        "\nalone, beside: medians; 99 %: 99 of 100 took no longer. Target: {} more than alone; {}.",
        shown(TARGET),
        if is_met { "met" } else { "missed" }
    );
    Ok(())
}

/// How long each took, the shortest first.
fn demotes(bench: &Bench, innocent: &Subject) -> Result<Vec<Duration>, String> {
    let mut took = Vec::with_capacity(DEMOTES);
    for _ in 0..DEMOTES {
        bench.runtime.block_on(async { sleep(PAUSE).await });
        let began = Instant::now();
        let call = innocent.call(Hook::Demote, crate::TIMEOUT);
        bench.runtime.block_on(call).map_err(|error| format!("its demote: {error:?}"))?;
        took.push(began.elapsed());
    }
    took.sort();
    Ok(took)
}

/// Asks for its status again and again.
fn harass(bench: &Bench, subject: &Subject, ended: Arc<AtomicBool>) -> tokio::task::JoinHandle<()> {
    let subject = subject.clone();
    bench.runtime.spawn(async move {
        while !ended.load(Ordering::Relaxed) {
            // It ends at its time, as it is meant to.
            let _ = subject.call(Hook::Status, HOSTILE_TIME).await;
        }
    })
}
