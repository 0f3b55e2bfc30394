//! Test files as authors write them, with their mistakes.

use super::*;
use crate::config::setting::SettingValue;

fn error(text: &str) -> String {
    let SpannedEntryError { at, what } = parse(text).unwrap_err();
    format!("{}: {what}", line_of(text, at))
}

const GOOD: &str = r#"
[given]
config = { address = "10.0.0.5:6379", tries = 3 }
grants = { tcp = ["10.0.0.5:6379"], exec = ["/bin/ip addr *"] }
names = { "api.example" = "93.184.215.14" }

[[test]]
name = "one"
given.store.role = "standby"
given.config.tries = 4
given.clock = 2026-01-01T00:00:00Z

[[test.tcp]]
at = "10.0.0.5:6379"
talk = [
    { expect = "PING\r\n" },
    { say = { hex = "2b 0d0a" } },
    "close",
]

[[test.http]]
request = "GET https://api.example/v1?a=b"
headers = { accept = "text/plain" }
answer = { status = 404, body = "no" }
times = "any"

[[test.exec]]
run = "/bin/ip addr show"
stdout = "lo"

[[test.call]]
hook = "promote"
epoch = 7
newest_epoch = 8
outcome = "failed"
message = { contains = "epoch" }
store = { role = "standby", epoch = false }

[[test]]
name = "two"
[[test.call]]
hook = "status"
"#;

#[test]
fn a_test_has_what_its_file_gives_and_what_it_says_itself() {
    let (handler, tests) = parse(GOOD).unwrap();
    assert_eq!((handler, tests.len()), (None, 2));
    let [one, two] = &tests[..] else { panic!("not two") };
    let one_value = |text: &str| SettingValue::One(text.into());
    assert_eq!((&one.given.config["tries"], &two.given.config["tries"]), (&one_value("4"), &one_value("3")));
    assert_eq!(one.given.config["address"], one_value("10.0.0.5:6379"));
    assert_eq!((one.given.store.len(), two.given.store.len()), (1, 0));
    assert_eq!(two.given.grants["tcp"][0].as_str(), Some("10.0.0.5:6379"));
    assert_eq!(one.tcp[0].talk[1].does, world::PeerAct::Say(b"+\r\n".to_vec()));
    assert_eq!(one.http[0].at.to_string(), "93.184.215.14:443");
    assert_eq!((one.http[0].path.as_str(), one.programs[0].words.len()), ("/v1?a=b", 3));
    assert_eq!((one.line, one.tcp[0].line, one.calls[0].line, two.line), (7, 13, 31, 39));
}

#[test]
fn a_slip_is_an_error_with_its_line_and_the_nearest_word() {
    for (change, to, said) in [
        ("[given]", "[givn]", "2: `givn` is not a key of a test file; the nearest is `given`"),
        ("config =", "confg =", "3: `confg` is not a key of given; the nearest is `config`"),
        ("name = \"one\"", "nam = \"one\"", "8: `nam` is not a key of [[test]]; the nearest is `name`"),
        ("{ expect", "{ expects", "16: `expects` is not a key of a step of talk; the nearest is `expect`"),
        ("\"close\"", "\"closes\"", "18: `closes` is not what a peer does; the nearest is `close`"),
        ("hook = \"promote\"", "hook = \"promot\"", "32: `promot` is not a hook; the nearest is `promote`"),
        ("\"failed\"", "\"fail\"", "35: `fail` is not an outcome; the nearest is `failed`"),
        (
            "at = \"10.0.0.5:6379\"",
            "at = \"10.0.0.5\"",
            "14: `at`: \"10.0.0.5\" is not an IP address with a port",
        ),
        ("at = \"10.0.0.5:6379\"", "at = \"0.0.0.0:80\"", "14: `at`: \"0.0.0.0:80\" is not an IP address"),
        (
            "at = \"10.0.0.5:6379\"",
            "at = \"[ff02::1]:80\"",
            "14: `at`: \"[ff02::1]:80\" is not an IP address",
        ),
        ("at = \"10.0.0.5:6379\"", "at = \"10.0.0.5:0\"", "14: `at`: \"10.0.0.5:0\" is not an IP address"),
        ("at = \"10.0.0.5:6379\"", "", "13: [[test.tcp]] has no `at`; write at = \"10.0.0.5:6379\""),
        ("2b 0d0a", "2b 0d0", "17: `say`: \"2b 0d0\" is not hexadecimal"),
        ("api.example/", "other.example/", "22: nobody says what address other.example has"),
        ("GET https://", "GET ", "22: `request`: \"GET api.example/v1?a=b\" is not like"),
        ("times = \"any\"", "times = 0", "25: `times` must be a number from 1 on, or \"any\""),
        ("run = \"/bin/ip", "run = \"ip", "28: `run` must be a program by its absolute path"),
        ("2026-01-01T00:00:00Z", "2026-01-01", "11: `given.clock`"),
        ("\"two\"", "\"one\"", "39: another test of this file is called \"one\""),
        ("epoch = 7", "epoch = -7", "33: `epoch` must be a whole number, from 0 on"),
        ("[[test.call]]\nhook = \"status\"", "", "39: the test calls no hook"),
        (
            "name = \"two\"",
            "name = \"two\"\nrefused = \"tries\"",
            "39: where what is given is `refused` nothing runs",
        ),
        ("name = \"two\"", "name = \"two\"\nrefused = true", "41: `refused` must be a text"),
    ] {
        let changed = GOOD.replacen(change, to, 1);
        assert_ne!(changed, GOOD, "{change}");
        let error = error(&changed);
        assert!(
            error.starts_with(said.replace("given.clock", "clock").as_str()),
            "{error}\n    and not {said}"
        );
    }
    assert!(error("[given]\n").contains("has no test"));
    assert!(error("[[test]\n").starts_with("1: "));
}

#[test]
fn attributes_that_no_group_can_have_are_slips_with_their_line() {
    let given =
        |what: &str| format!("[given]\n{what}\n[[test]]\nname = \"one\"\n[[test.call]]\nhook = \"status\"\n");
    let (_, tests) =
        parse(&given("attributes = { primary = \"a\" }\nattribute_writes = \"unknown\"")).unwrap();
    assert_eq!(tests[0].given.attributes["primary"], "a");
    let nine: Vec<String> = (0..9).map(|n| format!("k{n} = \"\"")).collect();
    for (what, said) in [
        (
            format!("attributes.k = \"{}\"", "v".repeat(257)),
            "2: the value of the attribute k has 257 bytes: 256 are allowed",
        ),
        (format!("attributes.{} = \"\"", "k".repeat(65)), "is no key of an attribute: 1 to 64 letters"),
        ("attributes.\"a b\" = \"\"".to_owned(), "2: \"a b\" is no key of an attribute"),
        (format!("attributes = {{ {} }}", nine.join(", ")), "2: a group has 8 attributes at most"),
        ("attributes.k = 1".to_owned(), "2: `k` must be a text in double quotes"),
        (
            "attribute_writes = \"refuse\"".to_owned(),
            "2: `refuse` is not how writes of attributes go wrong; the nearest is `refused`",
        ),
        ("atributes = {}".to_owned(), "2: `atributes` is not a key of given; the nearest is `attributes`"),
    ] {
        let error = error(&given(&what));
        assert!(error.contains(said), "{error}\n    and not {said}");
    }
    let call = format!("{}attributes = {{ k = true }}\n", given(""));
    assert!(error(&call).starts_with("7: `k` must be a text in double quotes, or false"), "{}", error(&call));
}
