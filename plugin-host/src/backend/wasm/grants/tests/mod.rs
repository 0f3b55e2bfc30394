//! `[grants]` as people write them, right and wrong.

mod addresses;
mod directories;
mod programs;
mod wanted;

use std::path::Path;

use super::section::KEYS;
use super::*;
use crate::plugin::Opening;

fn grants_of(text: &str, host: &Host, resolved: Option<&Resolved>) -> Result<Grants, GrantError> {
    let table: toml::Table = text.parse().unwrap();
    let setup = Setup {
        service: "svc",
        home: Path::new("/nowhere"),
        config: &[],
        secrets: &[],
        grants: &table,
        limits: &toml::Table::new(),
        opening: resolved.map_or(Opening::First, Opening::Resumed),
    };
    Grants::read(&setup, host)
}

fn host() -> Host {
    Host {
        program: "/proc/self/exe".into(),
        dir: "/nowhere/koi/plugins".into(),
        protected: Vec::new(),
        resolver: Default::default(),
        stand_in: None,
    }
}

/// What a service is granted again, which was opened before.
fn again(text: &str, resolved: &Resolved) -> Grants {
    grants_of(text, &host(), Some(resolved)).unwrap()
}

fn grants(text: &str) -> Result<Grants, GrantError> {
    grants_of(text, &host(), None)
}

fn good(text: &str) -> Grants {
    grants(text).unwrap()
}

fn error(text: &str) -> String {
    grants(text).unwrap_err().to_string()
}

fn allows(grants: &Grants, address: &str) -> bool {
    grants.allows_tcp(address.parse().unwrap())
}

fn allows_http(grants: &Grants, host: &str, port: u16) -> bool {
    HttpHost::parse(host).is_some_and(|host| grants.allows_http(&host, port))
}

fn lines(grants: &Grants) -> Vec<String> {
    grants.granted().into_iter().map(|granted| granted.line).collect()
}

#[test]
fn what_is_not_there_is_not_granted() {
    let none = good("");
    assert!(none.granted().is_empty());
    assert!(!allows(&none, "127.0.0.1:80") && !none.allows_udp("127.0.0.1:80".parse().unwrap()));
    assert!(!allows_http(&none, "localhost", 80) && !none.allows_look_up("localhost"));
    assert!(none.program("/bin/sh", &[]).is_none());
    for key in KEYS {
        assert!(!none.has(key), "{key}");
    }
}

#[test]
fn an_unknown_key_or_a_wrong_kind_is_an_error_that_says_what_to_write() {
    assert_eq!(error("reed = []"), "`reed` is not a key of [grants]; the nearest is `read`");
    assert_eq!(error("exec_env = []"), "`exec_env` is not a key of [grants]; the nearest is `exec-env`");
    assert_eq!(
        error("tcp = \"10.0.0.5:80\""),
        "`tcp` under [grants] must be a list; write tcp = [\"10.0.0.5:80\"]"
    );
    assert_eq!(
        error("tcp = [80]"),
        "`tcp` under [grants] has an integer in it; write a list of texts, like tcp = [\"10.0.0.5:6379\"]"
    );
    assert_eq!(error("lookup = \"yes\""), "`lookup` under [grants] must be true or false, without quotes");
    assert!(error("exec = [[1]]").contains("`exec` under [grants]"));
    assert!(error("exec-env = [\"LANG\"]").contains("without `exec`"));
    assert!(error(&format!("env = [{}]", "\"A\",".repeat(300))).contains("more than 256"));
}

#[test]
fn an_import_without_a_grant_is_answered_with_the_line_to_write() {
    let none = good("");
    let line = |interface: &str| none.check_import(interface).unwrap_err().to_string();
    assert_eq!(
        line("wasi:sockets/tcp@0.2.3"),
        "the component imports `wasi:sockets/tcp@0.2.3`, and nothing of it is granted; write under [grants] of \
         service.toml: tcp = [\"HOST:PORT\"]"
    );
    assert!(line("wasi:sockets/udp@0.2.0").ends_with("udp = [\"HOST:PORT\"]"));
    assert!(line("wasi:sockets/ip-name-lookup@0.2.0").ends_with("lookup = true"));
    assert!(line("wasi:http/outgoing-handler@0.2.4").ends_with("http = [\"HOST:PORT\"]"));
    assert!(line("koi:service/exec@0.1.0").ends_with("exec = [\"/PATH/TO/PROGRAM ARGUMENTS\"]"));
    assert!(line("wasi:keyvalue/store@0.2.0-draft").contains("which koid does not offer"));
    assert!(line("acme:things/thing").contains("which koid does not offer"));
    assert!(line("wasi:cli/environment@0.3.0").contains("WASI 0.2 only"));
    for free in [
        "wasi:io/poll@0.2.9",
        "wasi:filesystem/preopens@0.2.0",
        "koi:service/state@0.1.3",
        "wasi:random/random@0.2.6",
    ] {
        assert!(none.check_import(free).is_ok(), "{free}");
    }
    let all = good("tcp = [\"127.0.0.1:1\"]\nlookup = true\nexec = [\"/bin/ls\"]");
    assert!(all.check_import("wasi:sockets/tcp-create-socket@0.2.3").is_ok());
    assert!(all.check_import("koi:service/exec@0.1.0").is_ok());
    assert!(all.check_import("wasi:sockets/udp@0.2.3").is_err());
}
