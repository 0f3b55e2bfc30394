//! Addresses, names and servers.

use super::{again, allows, allows_http, error, good, grants, lines};
use crate::plugin::Resolved;

#[test]
fn a_name_that_was_resolved_before_is_not_looked_up_again() {
    let text = "tcp = [\"localhost:5432\"]";
    let resolved = good(text).resolved();
    assert!(resolved.addresses["localhost"].iter().all(|ip| ip.is_loopback()), "{resolved:?}");

    // The name server is out of reach, as for a guardian on a machine that is cut off.
    let unknown = "tcp = [\"db.invalid:5432\"]";
    assert!(grants(unknown).is_err());
    let addresses = [("db.invalid".to_owned(), vec!["10.0.0.7".parse().unwrap()])].into();
    let known = Resolved { addresses, ..Resolved::default() };
    let again = again(unknown, &known);
    assert!(again.allows_tcp("10.0.0.7:5432".parse().unwrap()));
    assert!(!again.allows_tcp("10.0.0.8:5432".parse().unwrap()));
}

#[test]
fn an_address_is_granted_with_its_port_and_no_other() {
    let one = good("tcp = [\"10.0.0.5:6379\", \"[fd00::1]:80\", \"10.1.0.0/16:443\", \"10.9.9.9:*\"]");
    for yes in
        ["10.0.0.5:6379", "[fd00::1]:80", "10.1.0.0:443", "10.1.255.255:443", "10.9.9.9:1", "10.9.9.9:65535"]
    {
        assert!(allows(&one, yes), "{yes}");
    }
    for no in [
        "10.0.0.5:6380",
        "10.0.0.6:6379",
        "[fd00::1]:81",
        "[fd00::2]:80",
        "10.2.0.0:443",
        "10.1.0.0:444",
        "0.0.0.0:6379",
        "127.0.0.1:6379",
        "[::]:80",
        "[::1]:80",
    ] {
        assert!(!allows(&one, no), "{no}");
    }
    assert!(!one.allows_udp("10.0.0.5:6379".parse().unwrap()), "TCP is not UDP");
}

#[test]
fn ipv4_in_the_clothes_of_ipv6_is_ipv4() {
    let v4 = good("tcp = [\"10.0.0.5:80\"]");
    assert!(allows(&v4, "[::ffff:10.0.0.5]:80"), "the same host");
    assert!(!allows(&v4, "[::ffff:10.0.0.6]:80"));
    let v6 = good("tcp = [\"[::]/0:80\", \"[::ffff:10.0.0.7]:81\"]");
    assert!(allows(&v6, "[fd00::1]:80"));
    assert!(!allows(&v6, "[::ffff:10.0.0.6]:80"), "all of IPv6 is nothing of IPv4");
    assert!(!allows(&v6, "10.0.0.6:80"));
    assert!(allows(&v6, "10.0.0.7:81"));
    assert!(error("tcp = [\"[::ffff:10.0.0.0]/104:80\"]").contains("as one of IPv4"));
    let all = good("tcp = [\"0.0.0.0/0:*\"]");
    assert!(allows(&all, "192.0.2.1:1") && !allows(&all, "[fd00::1]:1"));
    assert!(!allows(&all, "0.0.0.0:1"), "that is this machine");
}

#[test]
fn a_name_is_resolved_when_it_is_read_and_its_addresses_are_shown() {
    let named = good("tcp = [\"localhost:80\"]");
    assert!(allows(&named, "127.0.0.1:80") || allows(&named, "[::1]:80"));
    assert!(!allows(&named, "127.0.0.2:80"));
    let line = &named.granted()[0].line;
    assert!(line.starts_with("tcp localhost:80 (") && line.contains('1'), "{line}");
    let unknown = error("tcp = [\"no-such-host.invalid:80\"]");
    assert!(
        unknown.starts_with("`tcp` under [grants]: \"no-such-host.invalid:80\": the name cannot be resolved")
    );
    assert!(unknown.contains("write an IP address"), "{unknown}");
}

#[test]
fn what_is_not_an_address_is_said_with_the_forms_there_are() {
    for (text, why) in [
        ("10.0.0.5", "no port"),
        ("10.0.0.5:0", "`0` is not a port"),
        ("10.0.0.5:70000", "`70000` is not a port"),
        ("::1:80", "in brackets"),
        ("[::1:80", "`]` is missing"),
        ("[db]:80", "`db` is not an IPv6 address"),
        ("10.0.0.5/24:80", "10.0.0.0 is"),
        ("10.0.0.0/33:80", "0 to 32 bits"),
        ("db/8:80", "`db` is not an IP address"),
        ("0.0.0.0:80", "nobody's address"),
        ("10.1:80", "`10.1` is not an IP address"),
        ("a b:80", "neither an IP address nor a host name"),
        (":80", "neither an IP address nor a host name"),
    ] {
        let said = error(&format!("udp = [\"{text}\"]"));
        assert!(said.starts_with("`udp` under [grants]: "), "{said}");
        assert!(said.contains(why), "{text}: {said}");
        assert!(said.contains("write it like"), "{said}");
    }
}

#[test]
fn a_server_is_a_host_in_any_case_and_a_port() {
    let grants =
        good("http = [\"API.example:443\", \"10.0.0.1:8080\", \"[::1]:80\", \"10.1.0.0/16:443\", \"db:*\"]");
    let allows = |host, port| allows_http(&grants, host, port);
    assert!(allows("api.EXAMPLE", 443) && allows("10.0.0.1", 8080) && allows("[::ffff:10.0.0.1]", 8080));
    assert!(allows("[::1]", 80) && allows("[0:0::1]", 80));
    assert!(allows("10.1.2.3", 443) && allows("db", 1) && allows("db", 65535));
    assert!(!allows("api.example", 80) && !allows("example", 443));
    assert!(!allows("x.api.example", 443) && !allows("::1", 80) && !allows("[10.0.0.1]", 8080));
    assert!(!allows("10.2.0.0", 443) && !allows("10.1.2.3", 80) && !allows("0.0.0.0", 8080));
    assert!(error("http = [\"https://api.example\"]").contains("it is no URL"));
    assert!(error("http = [\"api.example\"]").contains("it has no port"));
    assert!(error("http = [\"api.example:http\"]").contains("`http` is not a port"));
    assert!(error("http = [\"0.0.0.0:80\"]").contains("nobody's address"));
    assert_eq!(lines(&grants)[0], "http api.example:443");
}

#[test]
fn a_name_stands_for_public_addresses_and_for_others_that_are_granted_beside_it() {
    let grants = good(
        "http = [\"api.example:443\", \"localhost:8080\", \"10.1.0.0/16:443\", \"[fd00::5]:443\", \"127.0.0.9:80\"]",
    );
    let may = |name, address: &str| grants.allows_http_at(name, address.parse().unwrap());
    for yes in
        ["1.1.1.1:443", "[2606:4700::1111]:443", "10.1.2.3:443", "[::ffff:10.1.2.3]:443", "[fd00::5]:443"]
    {
        assert!(may("api.example", yes), "{yes}");
    }
    for no in [
        "127.0.0.1:443",
        "[::1]:443",
        "[::ffff:127.0.0.1]:443",
        "169.254.169.254:443",
        "10.2.0.1:443",
        // What is granted at another port.
        "10.1.2.3:80",
        "127.0.0.9:443",
        // Not the granted one, but the way to it through a translator.
        "[64:ff9b::10.1.2.3]:443",
    ] {
        assert!(!may("api.example", no), "{no}");
    }
    assert!(may("localhost", "127.0.0.1:8080") && may("localhost", "[::1]:8080"));
    assert!(!may("localhost", "10.2.0.1:8080") && !may("localhost", "0.0.0.0:8080"));
}

#[test]
fn only_names_that_are_granted_are_looked_up() {
    let http = good("http = [\"api.example:443\", \"10.0.0.1:80\"]");
    assert!(http.allows_look_up("api.example"));
    for no in ["example", "x.api.example", "10.0.0.1", "localhost"] {
        assert!(!http.allows_look_up(no), "{no}");
    }
    assert!(good("lookup = true").allows_look_up("any.example"));
    assert!(!good("tcp = [\"localhost:80\"]").allows_look_up("localhost"), "its addresses are known already");
}
