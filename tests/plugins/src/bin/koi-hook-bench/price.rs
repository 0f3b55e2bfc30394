//! The price of a small component beside that of an empty script: time, and memory.

use std::fs;
use std::io;
use std::time::Duration;

use tokio::time::sleep;

use crate::{Bench, Subject, at, shown};

/// Between two hooks of the second measurement: whatever they need has left the caches of the processor then.
const PAUSE: Duration = Duration::from_millis(5);
/// What the component's hook may take at most, as a share of the script's.
const TARGET_SHARE: f64 = 0.125;
/// Private memory of a component's helper.
const TARGET_HELPER_BYTES: u64 = 6 << 20;
/// By how much the memory of koid itself may differ with one service more. It allocates by pages.
const TARGET_OWN_BYTES: u64 = 256 << 10;
/// Services whose memory is measured together, to see past the size of an allocation.
const SERVICES: usize = 8;

/// Measures it, and prints a table.
pub(crate) fn measure(bench: &Bench, rounds: usize) -> io::Result<()> {
    let wrong = |why: String| io::Error::other(format!("price: {why}"));
    fs::write(bench.folder.path().join("small.wasm"), crate::smallest())?;
    let script = bench.service("price-script", None, "status", "").map_err(wrong)?;
    let component = bench.service("price-wasm", Some("small.wasm"), "status", "").map_err(wrong)?;
    let hooks = [&script, &component];
    let in_a_row = medians(bench, hooks, rounds, Duration::ZERO).map_err(wrong)?;
    let after_pauses = medians(bench, hooks, rounds, PAUSE).map_err(wrong)?;

    let (own, helpers) = (own_bytes()?, helper_bytes()?);
    let services: Vec<_> = (0..SERVICES)
        .map(|number| bench.service(&format!("price-{number}"), Some("small.wasm"), "status", ""))
        .collect::<Result<_, _>>()
        .map_err(wrong)?;
    for subject in &services {
        bench.call(subject).map_err(wrong)?;
    }
    let count = SERVICES as u64;
    let own = own_bytes()?.saturating_sub(own) / count;
    let helper = helper_bytes()?.saturating_sub(helpers) / count;

    println!(
        "The price of a small component beside that of an empty shell script, {rounds} rounds by turns.\n"
    );
    println!("{:34} {:>10} {:>10} {:>10} {:>10}", "", "script", "component", "share", "target");
    let [with, without] = [("`status` by turns", Some(TARGET_SHARE)), ("`status`, each after a pause", None)];
    for ((what, target), [script, component]) in [(with, in_a_row), (without, after_pauses)] {
        let share = component.as_secs_f64() / script.as_secs_f64();
        let verdict = target.map(|target| format!("{target:>10.3}  {}", verdict(share <= target)));
        let verdict = verdict.unwrap_or_default();
        println!("{what:34} {:>10} {:>10} {share:>10.3} {verdict}", shown(script), shown(component));
    }
    for (what, bytes, target) in [
        ("private memory of its helper", helper, TARGET_HELPER_BYTES),
        ("growth of koid's memory with it", own, TARGET_OWN_BYTES),
    ] {
        println!(
            "{what:34} {:>10} {:>10} {:>10} {:>10}  {}",
            "",
            mib(bytes),
            "",
            mib(target),
            verdict(bytes <= target)
        );
    }
    println!("\nmedians; a pause: {}.\n", shown(PAUSE));
    Ok(())
}

/// The median of each of the two, called by turns.
fn medians(
    bench: &Bench,
    subjects: [&Subject; 2],
    rounds: usize,
    pause: Duration,
) -> Result<[Duration; 2], String> {
    let mut took = [Vec::new(), Vec::new()];
    for round in 0..crate::WARM_UP + rounds {
        for (subject, took) in subjects.into_iter().zip(&mut took) {
            if !pause.is_zero() {
                bench.runtime.block_on(async { sleep(pause).await });
            }
            let time = bench.call(subject)?;
            if round >= crate::WARM_UP {
                took.push(time);
            }
        }
    }
    took.iter_mut().for_each(|took| took.sort());
    Ok(took.map(|took| at(&took, 50)))
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}

/// Memory of this process, which stands for koid.
fn own_bytes() -> io::Result<u64> {
    bytes_of("/proc/self/smaps_rollup", &["Rss:"])
}

/// Private memory of all helpers of components. One that ends meanwhile has none.
fn helper_bytes() -> io::Result<u64> {
    let own = std::process::id();
    let mut sum = 0;
    for process in fs::read_dir("/proc")?.flatten() {
        let path = process.path();
        let parent = format!("PPid:\t{own}\n");
        if fs::read_to_string(path.join("status")).is_ok_and(|status| status.contains(&parent)) {
            sum += bytes_of(path.join("smaps_rollup"), &["Private_Clean:", "Private_Dirty:"]).unwrap_or(0);
        }
    }
    Ok(sum)
}

fn bytes_of(path: impl AsRef<std::path::Path>, fields: &[&str]) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let kib = |line: &str| {
        let rest = fields.iter().find_map(|field| line.strip_prefix(field))?;
        rest.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    Ok(text.lines().filter_map(kib).sum::<u64>() * 1024)
}

fn mib(bytes: u64) -> String {
    format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20))
}
