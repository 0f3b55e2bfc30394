//! No message repeats the password, whatever is wrong with the file and wherever.

use std::path::Path;

use koi_config::{ConfigError, Loaded, parse_classic, parse_toml, show};

/// No four letters of it stand anywhere else.
const PASSWORD: &str = "qxzvqxzvqxzv";

const TOML: &str = r#"# the cluster of the shop
[node]
name = "a"
port = 42012
[cluster]
electors = ["a", "b", "c"]
password = "qxzvqxzvqxzv"  # the same everywhere
transport = ["10.0.0.1", "10.0.0.2"]
[timing]
heartbeat = "100ms"
"#;

const CLASSIC: &str = r#"; the cluster of the shop
node {
    name a
    port 42012
}
cluster {
    quorum 2
    password qxzvqxzvqxzv ; the same everywhere
    transport "10.0.0.1, 10.0.0.2"
}
time {
    status_interval 10s
}
"#;

/// What slips into a file, or is left of what was deleted.
const SLIPS: [&str; 16] =
    ["", "\"", "'", "\"\"\"", "'''", "[", "]", "{", "}", "=", " ", "\n", "\\", "#", ";", ",\"x\" = 7"];

/// All that is said of a text.
fn said(read: Result<Loaded, ConfigError>) -> String {
    match read {
        Ok(loaded) => {
            let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
            format!("{loaded:?}\n{}\n{}", show(&loaded.config), warnings.join("\n"))
        }
        Err(error) => {
            let lines = error.warnings.iter().map(|warning| warning.in_one_line()).collect::<String>();
            format!("{error}\n{error:?}\n{lines}")
        }
    }
}

fn assert_kept_secret(text: &str, said: &str) {
    let windows = (0..PASSWORD.len() - 3).map(|at| &PASSWORD[at..at + 4]);
    for piece in windows {
        assert!(!said.contains(piece), "{piece} stands in what is said of\n{text}\n--- said:\n{said}");
    }
}

fn toml(text: &str) -> String {
    said(parse_toml(text, Path::new("/etc/koi/koi.toml")))
}

fn classic(text: &str) -> String {
    said(parse_classic(text, Path::new("/etc/koi/koi.conf")))
}

#[test]
fn one_slip_anywhere_repeats_no_piece_of_the_password() {
    for (text, read) in [(TOML, toml as fn(&str) -> String), (CLASSIC, classic)] {
        for at in 0..text.len() {
            for slip in SLIPS {
                // In place of the character, and before it.
                for rest in [&text[at + 1..], &text[at..]] {
                    let broken = format!("{}{slip}{rest}", &text[..at]);
                    assert_kept_secret(&broken, &read(&broken));
                }
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 3000,
        // The same ones each time.
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        failure_persistence: None,
        ..proptest::test_runner::Config::default()
    })]

    #[test]
    fn some_slips_at_once_repeat_nothing(
        slips in proptest::collection::vec((0usize..400, 0usize..SLIPS.len(), 0usize..3), 1..5)
    ) {
        for (text, read) in [(TOML, toml as fn(&str) -> String), (CLASSIC, classic)] {
            let mut broken = text.to_owned();
            for (at, slip, deleted) in &slips {
                let at = at % broken.len();
                let end = (at + deleted).min(broken.len());
                broken.replace_range(at..end, SLIPS[*slip]);
            }
            assert_kept_secret(&broken, &read(&broken));
        }
    }
}

#[test]
fn two_slips_that_make_one_long_text_of_many_lines_repeat_nothing() {
    let lines: Vec<&str> = TOML.lines().collect();
    for (first, line) in lines.iter().enumerate() {
        for (last, _) in lines.iter().enumerate().skip(first) {
            let Some((key, _)) = line.split_once('=') else { continue };
            for quotes in ["\"\"\"", "'''"] {
                let mut broken = lines.clone();
                let (opened, closed) = (format!("{key} = {quotes}x"), format!("{} {quotes}", lines[last]));
                broken[last] = &closed;
                broken[first] = &opened;
                let broken = broken.join("\n");
                assert_kept_secret(&broken, &toml(&broken));
            }
        }
    }
}

#[test]
fn a_password_that_is_not_where_it_belongs_is_not_repeated() {
    for line in [
        format!("password = {PASSWORD}"),
        format!("password: {PASSWORD}"),
        format!("password{PASSWORD}"),
        format!("password half {PASSWORD}"),
        format!("password \"half\" {PASSWORD}"),
        format!("pasword {PASSWORD}"),
        format!("Password={PASSWORD}"),
        format!("secret {PASSWORD} {PASSWORD}"),
        format!("password\n    {PASSWORD}"),
        format!("password \"half\" \\\n \"{PASSWORD}"),
        format!("transport password {PASSWORD}"),
        format!("name \"a\" \\\n \"password {PASSWORD}\""),
        format!("cluster.password = \"{PASSWORD}\""),
        format!("[cluster] password = [{PASSWORD}]"),
        format!("cluster = {{ password = \"{PASSWORD}\", electors = \"{PASSWORD}\" }}"),
    ] {
        for broken in [
            CLASSIC.replace("password qxzvqxzvqxzv", &line),
            TOML.replace("password = \"qxzvqxzvqxzv\"", &line),
            format!("{line}\n{CLASSIC}"),
            format!("{line}\n{TOML}"),
        ] {
            assert_kept_secret(&broken, &toml(&broken));
            assert_kept_secret(&broken, &classic(&broken));
        }
    }
}

#[test]
fn what_is_said_still_leads_to_the_mistake() {
    let said = toml(&TOML.replace("port = 42012", "port = \"\"\"42012"));
    assert!(said.contains("/etc/koi/koi.toml:4: "), "{said}");
    let said = classic(&CLASSIC.replace("password ", "password"));
    assert!(said.contains("koi.conf:8: ") && said.contains("may hold the password"), "{said}");
    let said = toml(&TOML.replace("password = ", "pasword = "));
    assert!(said.contains("unknown key cluster.pasword; did you mean cluster.password?"), "{said}");
}

#[test]
fn the_key_itself_in_the_place_of_a_file_is_not_repeated() {
    let key = "0123456789abcdef".repeat(4);
    let text = TOML.replace("password = \"qxzvqxzvqxzv\"", &format!("key_file = \"{key}\""));
    let said = toml(&text);
    assert!(!said.contains(&key) && said.contains("looks like a key itself"), "{said}");
    // A key file taken for a configuration.
    for read in [toml, classic] {
        assert!(!read(&format!("{key}\n")).contains(&key), "{}", read(&key));
    }
}
