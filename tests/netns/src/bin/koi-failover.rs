//! `koi-failover [WORD] [RUNS] [--against FOLDER]` — how long a cluster is without a master after a fault: medians over some runs, as a table;
//! and how many failovers the loss of packets brings about. With another folder of `koid` and `koi` each try is made with
//! both, by turns, and the table has how many times as long ours take. A benchmark and not a test, but two promoted at once are an error
//! here too. `cargo xtask failover` builds all and runs it.

#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use koi_netns::{Builder, Faults, MAIN, WEB, World, checker, now};
use koi_testkit::met_within;
use nix::sys::signal::Signal;

/// How often each fault is tried.
const RUNS: usize = 5;
/// Between all being well and the fault.
const CALM: Duration = Duration::from_millis(700);
/// How long packets are lost.
const LOSSY: Duration = Duration::from_secs(20);
/// So many of a hundred.
const LOSSES: [u8; 4] = [5, 20, 30, 50];
/// Within what a fault must have led to a promotion, or it counts as none.
const LIMIT: Duration = Duration::from_secs(40);

/// The fastest settings that are promised.
const FAST: [(&str, &str); 4] = [
    ("timing.heartbeat", "\"20ms\""),
    ("timing.leader_lease", "\"100ms\""),
    ("timing.master_lease", "\"200ms\""),
    ("timing.demote_grace", "\"100ms\""),
];

/// The defaults, a `status` every 10 s among them, and a service that runs in a process.
const PROCESS: &str = "defaults, a process";

/// The defaults, and two groups that are promoted on the same node: both must be elsewhere.
const GROUPS: &str = "defaults, two groups";

/// What happens to the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Killed,
    Stopped,
    StatusFails,
    ProcessKilled,
    SwitchedOver,
    CutOff,
    Lost,
    Hangs,
}

/// From when on time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Fault,
    /// The end of the old master's last demote hook.
    Demote,
}

/// A line of the table.
struct Row {
    fault: Fault,
    /// The leader is on the master's node.
    leads: bool,
    /// What is to be reached, in seconds, if something is promised.
    claim: Option<(Since, f64)>,
}

/// The lines: for koi's defaults, for [`FAST`], for [`PROCESS`] and for [`GROUPS`].
fn tables() -> [(&'static str, Vec<Row>); 4] {
    use Fault::{CutOff, Hangs, Killed, Lost, ProcessKilled, StatusFails, Stopped, SwitchedOver};
    let row = |fault, leads, claim| Row { fault, leads, claim };
    let (fault, demote) = (|s: f64| Some((Since::Fault, s)), |s: f64| Some((Since::Demote, s)));
    let both = |kind, claim| [row(kind, false, claim), row(kind, true, claim)];
    let defaults = [
        both(Killed, fault(0.15)),
        both(Stopped, demote(0.1)),
        both(StatusFails, None),
        both(CutOff, fault(2.2)),
        both(Lost, fault(2.2)),
        both(Hangs, None),
    ];
    let mut defaults: Vec<Row> = defaults.into_iter().flatten().collect();
    defaults.insert(6, row(SwitchedOver, false, None));
    let fast = [both(Killed, None), both(CutOff, fault(0.4)), both(Lost, fault(0.4))];
    let process = both(ProcessKilled, fault(0.1)).into_iter().collect();
    let groups = [both(Killed, fault(0.15)), both(Lost, fault(2.2))].into_iter().flatten().collect();
    let fast = fast.into_iter().flatten().collect();
    [("defaults", defaults), ("20 ms", fast), (PROCESS, process), (GROUPS, groups)]
}

impl Row {
    fn name(&self) -> String {
        let what = match self.fault {
            Fault::Killed => "kill -9 of koid",
            Fault::Stopped => "clean stop",
            Fault::StatusFails => "status fails",
            Fault::ProcessKilled => "process killed",
            Fault::SwitchedOver => "switch-over by hand",
            Fault::CutOff => "machine cut off",
            Fault::Lost => "machine lost",
            Fault::Hangs => "koid hangs (SIGSTOP)",
        };
        format!("{what}{}", if self.leads { ", leader too" } else { "" })
    }
}

/// One try.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    after_fault: Option<f64>,
    after_demote: Option<f64>,
    duals: usize,
}

fn main() -> ExitCode {
    let Asked { word, runs, against } = match asked(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(message) => {
            eprintln!("koi-failover: {message}");
            return ExitCode::FAILURE;
        }
    };
    println!(
        "three nodes, {runs} runs each: seconds from the fault, and from the end of the last demote hook,"
    );
    println!("to the beginning of the promote hook elsewhere; median, and from the shortest to the longest");
    if let Some(folder) = &against {
        println!(
            "by turns with the programs in {}: their time from the fault, and how many times that ours is",
            folder.display()
        );
    }
    println!();
    if !is_known(&word) {
        eprintln!("koi-failover: no line has {word:?} in its name, and `loss` is the name of the last table");
        return ExitCode::FAILURE;
    }
    let mut missed = 0;
    for (settings, rows) in tables() {
        let rows: Vec<Row> = rows.into_iter().filter(|row| row.name().contains(&word)).collect();
        if rows.is_empty() {
            continue;
        }
        let Some(world) = start(World::builder(3), settings) else { return ExitCode::FAILURE };
        let other = against.clone().map(|folder| World::builder(3).programs(folder).beside(&world));
        let other = other.and_then(|builder| start(builder, settings));
        print_head(settings, other.is_some());
        for row in rows {
            let (mut tries, mut theirs) = (Vec::new(), Vec::new());
            for done in 0..runs {
                progress(&row, done, runs);
                tries.push(measure(&world, settings, &row));
                theirs.extend(other.as_ref().map(|other| measure(other, settings, &row)));
            }
            progress(&row, runs, runs);
            missed += usize::from(!print(&row, &tries, &theirs));
        }
        println!();
    }
    if "loss".contains(&word) {
        let Some(world) = start(World::builder(3), "defaults") else { return ExitCode::FAILURE };
        LOSSES.iter().for_each(|percent| lose(&world, *percent, runs));
        println!();
    }
    match missed {
        0 => ExitCode::SUCCESS,
        _ => {
            println!("{missed} of these lines are not as promised");
            ExitCode::FAILURE
        }
    }
}

/// Whether anything is measured for this word.
fn is_known(word: &str) -> bool {
    let lines = tables().into_iter().flat_map(|(_, rows)| rows);
    "loss".contains(word) || lines.into_iter().any(|row| row.name().contains(word))
}

/// What the command line asks for.
#[derive(Debug)]
struct Asked {
    /// Lines with this word in their names are measured.
    word: String,
    runs: usize,
    /// The folder of other programs.
    against: Option<PathBuf>,
}

fn asked(args: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked { word: String::new(), runs: RUNS, against: None };
    let mut args = args.filter(|arg| arg != "--");
    while let Some(arg) = args.next() {
        if arg == "--against" {
            asked.against = Some(programs(args.next().ok_or("--against names a folder with koid and koi")?)?);
        } else if arg.starts_with('-') {
            return Err(format!("{arg} is no option: koi-failover [WORD] [RUNS] [--against FOLDER]"));
        } else if let Ok(runs) = arg.parse() {
            asked.runs = runs;
        } else {
            asked.word = arg;
        }
    }
    Ok(asked)
}

/// The folder as it is called from anywhere: daemons run elsewhere.
fn programs(folder: String) -> Result<PathBuf, String> {
    let there = std::fs::canonicalize(&folder).map_err(|error| format!("--against {folder}: {error}"))?;
    match ["koid", "koi"].into_iter().find(|program| !there.join(program).is_file()) {
        Some(program) => Err(format!("--against {folder}: there is no {program} in it")),
        None => Ok(there),
    }
}

/// Says on a terminal how far it is: a line of the table takes a minute or more.
fn progress(row: &Row, done: usize, runs: usize) {
    let mut screen = std::io::stderr();
    if !screen.is_terminal() {
        return;
    }
    let _ = match done == runs {
        true => write!(screen, "\r\x1b[K"),
        false => write!(screen, "\r\x1b[K{}: {} of {runs}", row.name(), done + 1),
    };
}

fn start(builder: Builder, settings: &str) -> Option<World> {
    let interval = if settings == PROCESS { "\"10s\"" } else { "\"200ms\"" };
    let always = [("services.auto_recover_time", "\"1s\""), ("timing.status_interval", interval)];
    let fast: &[_] = if settings == "20 ms" { &FAST } else { &[] };
    let builder = match settings {
        PROCESS => builder.with_server(),
        GROUPS => builder.with_web(),
        _ => builder,
    };
    let set = |builder: Builder, (key, value): &(&str, &str)| builder.set(key, value);
    let world = always.iter().chain(fast).fold(builder, set).start()?;
    world.settle();
    Some(world)
}

/// Brings the fault about, waits for the promotion elsewhere, and mends everything.
fn measure(world: &World, settings: &str, row: &Row) -> Measured {
    let master = if row.leads { world.unite() } else { world.part().1 };
    let groups: &[&str] = if settings == GROUPS { &[MAIN, WEB] } else { &[MAIN] };
    if groups.contains(&WEB) {
        world.unite_groups(&master);
    }
    std::thread::sleep(CALM);
    let duals =
        || groups.iter().map(|group| checker::duals(&world.masterships_of(group)).len()).sum::<usize>();
    let before = duals();
    world.allow_two(); // counted, and shown
    let fault = bring_about(world, row.fault, &master);
    let mut failover = None;
    met_within(LIMIT, || {
        let of_group = |group| checker::failover(&world.masterships_of(group), &master, fault?);
        let all: Option<Vec<_>> = groups.iter().map(|group| of_group(group)).collect();
        // The last of them counts.
        failover = all.and_then(|all| all.into_iter().max_by(|a, b| a.after_fault.total_cmp(&b.after_fault)));
        failover.is_some()
    });
    mend(world, row.fault, &master);
    Measured {
        after_fault: failover.as_ref().map(|f| f.after_fault),
        // What is lost with its machine does not demote.
        after_demote: failover.filter(|_| row.fault != Fault::Lost).and_then(|f| f.after_demote),
        duals: duals() - before,
    }
}

/// Returns when it was.
fn bring_about(world: &World, fault: Fault, master: &str) -> Option<f64> {
    let node = world.cluster.node(master);
    let at = now();
    match fault {
        Fault::Killed => node.signal(Signal::SIGKILL),
        Fault::Stopped => node.signal(Signal::SIGTERM),
        Fault::Hangs => node.signal(Signal::SIGSTOP),
        Fault::ProcessKilled => {
            let server = world.server(master)?;
            let at = now();
            nix::sys::signal::kill(server, Signal::SIGKILL).ok()?;
            return Some(at);
        }
        Fault::CutOff => return Some(world.cut_off(&[master])),
        Fault::Lost => return Some(world.lose(master)),
        Fault::SwitchedOver => {
            let leader = world.cluster.leader()?;
            let other = world.cluster.others(master).find(|n| n.name != leader)?;
            let at = now();
            node.koi(&["promote", &other.name]);
            return Some(at);
        }
        Fault::StatusFails => {
            let seen = world.cluster.hooks().count();
            node.set_status("10-address", 1, "a fault");
            // When it is noticed depends on the interval; time is counted from the hook's end.
            let mut failed = None;
            met_within(LIMIT, || {
                let since = world.cluster.hooks().since(seen);
                failed = since.0.iter().find(|e| e.node == master && e.hook == "status").map(|e| e.at);
                failed.is_some()
            });
            return failed;
        }
    }
    Some(at)
}

fn mend(world: &World, fault: Fault, master: &str) {
    let node = world.cluster.node(master);
    match fault {
        Fault::Killed | Fault::Stopped => drop(node.wait_end()),
        // Its guardian ends it.
        Fault::Hangs => drop(node.wait_end()),
        Fault::StatusFails => {
            node.set_status("10-address", 0, "");
            node.koi(&["recover", master]);
        }
        Fault::ProcessKilled => drop(node.koi(&["recover", master])),
        Fault::SwitchedOver | Fault::CutOff | Fault::Lost => {}
    }
    world.heal();
    world.start_all();
    world.settle();
}

/// Loses packets, and prints how many failovers that brought about although nothing else was wrong.
fn lose(world: &World, percent: u8, runs: usize) {
    let mut promotions = Vec::new();
    let duals = checker::duals(&world.masterships()).len();
    world.allow_two();
    for _ in 0..runs {
        world.part();
        let before = world.promotions();
        world.network(&Faults::default().lose_percent(percent));
        world.pass(LOSSY);
        promotions.push(world.promotions() - before);
        world.heal();
        world.settle();
    }
    let duals = checker::duals(&world.masterships()).len() - duals;
    let (lossy, two) = (LOSSY.as_secs(), if duals == 0 { "never".into() } else { format!("{duals} TIMES") });
    println!("{percent:2} % loss for {lossy} s, false failovers: {promotions:?}; two promoted: {two}");
}

fn print_head(settings: &str, compares: bool) {
    let (more, line) = match compares {
        true => (" theirs                 | ratio |", format!("{:-<24}|{:-<7}|", "", "")),
        false => ("", String::new()),
    };
    println!(
        "| {settings:<32} | from fault             | from demote            | promised       | two promoted |{more}"
    );
    println!("|{:-<34}|{:-<24}|{:-<24}|{:-<16}|{:-<14}|{line}", "", "", "", "", "");
}

/// The columns of the other programs: their times, and how many times as long ours are; nothing without other programs.
fn compared(ours: &[Option<f64>], theirs: &[Measured]) -> String {
    if theirs.is_empty() {
        return String::new();
    }
    let theirs: Vec<Option<f64>> = theirs.iter().map(|m| m.after_fault).collect();
    let ratio = median(ours).zip(median(&theirs)).map(|(ours, theirs)| format!("{:.2}", ours / theirs));
    format!(" {:<22} | {:<5} |", spread(&theirs), ratio.unwrap_or_else(|| "–".to_owned()))
}

/// Prints a line; whether it is as promised.
fn print(row: &Row, tries: &[Measured], theirs: &[Measured]) -> bool {
    let from_fault: Vec<Option<f64>> = tries.iter().map(|m| m.after_fault).collect();
    let from_demote: Vec<Option<f64>> = tries.iter().map(|m| m.after_demote).collect();
    let duals: usize = tries.iter().map(|m| m.duals).sum();
    let kept = row.claim.is_none_or(|(since, limit)| {
        let times = if since == Since::Fault { &from_fault } else { &from_demote };
        median(times).is_some_and(|median| median <= limit)
    });
    let promised = match row.claim {
        None => "–".to_owned(),
        Some((Since::Fault, limit)) => format!("≤ {limit:.2}"),
        Some((Since::Demote, limit)) => format!("≤ {limit:.2} (demote)"),
    };
    let missed = if kept { "" } else { "  <- missed" };
    let duals_text = if duals == 0 { "never".to_owned() } else { format!("{duals} TIMES") };
    println!(
        "| {:<32} | {:<22} | {:<22} | {promised:<14} | {duals_text:<12} |{}{missed}",
        row.name(),
        spread(&from_fault),
        spread(&from_demote),
        compared(&from_fault, theirs)
    );
    kept && duals == 0
}

/// A try without a failover counts as the longest of all.
fn median(times: &[Option<f64>]) -> Option<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_by(|a, b| a.unwrap_or(f64::INFINITY).total_cmp(&b.unwrap_or(f64::INFINITY)));
    sorted.get(sorted.len() / 2).copied().flatten()
}

fn spread(times: &[Option<f64>]) -> String {
    let known: Vec<f64> = times.iter().copied().flatten().collect();
    let Some(median) = median(times) else { return "–".to_owned() };
    let (low, high) = known.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), t| (l.min(*t), h.max(*t)));
    let none = times.len() - known.len();
    let never = if none > 0 { format!(", {none} none") } else { String::new() };
    format!("{median:.3} ({low:.3}–{high:.3}{never})")
}
