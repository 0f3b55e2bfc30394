//! Prints the story of one seed: `cargo run -p koi-sim --example story -- SEED`.

fn main() {
    let seed = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let report = koi_sim::nemesis::run(seed);
    for line in &report.story {
        println!("{line}");
    }
    println!("seed {seed}, {:?}: {:#?}", report.shape, report.violations);
}
