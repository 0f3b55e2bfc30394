//! `include/koi_plugin.h` and `native::abi` say the same: a C program prints what the header makes of every table and constant,
//! and Rust compares.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use koi_plugin_api::Hook;
use koi_plugin_api::native::abi;

/// A name as C has it, and what Rust makes of it.
type Fact = (String, i128);

/// The size of a table and the offset of each field; `field => c_name` where C has another name.
macro_rules! table {
    ($facts:ident, $rust:ident, $c:literal, [$($field:ident $(=> $c_field:literal)?),+ $(,)?]) => {
        $facts.push((concat!("sizeof(", $c, ")").to_owned(), size_of::<abi::$rust>() as i128));
        $(
            let c_field = stringify!($field);
            $(let c_field = { let _ = c_field; $c_field };)?
            $facts.push((format!("offsetof({}, {c_field})", $c), std::mem::offset_of!(abi::$rust, $field) as i128));
        )+
    };
}

/// The value of constants; `KOI_` stands before the name in C.
macro_rules! constants {
    ($facts:ident, [$($name:ident),+ $(,)?]) => {
        $($facts.push((concat!("KOI_", stringify!($name)).to_owned(), abi::$name as i128));)+
    };
}

fn facts() -> Vec<Fact> {
    let mut facts = Vec::new();
    table!(facts, Text, "koi_text", [data, len]);
    table!(facts, Pair, "koi_pair", [key, value]);
    table!(facts, RawConfigKey, "koi_config_key", [name, description, default_value, required, reserved]);
    table!(facts, RawHost, "koi_host", [size, reserved, self_ => "self", put, log, remaining_ms, epoch_current, attributes, set_attribute]);
    table!(facts, RawSetup, "koi_setup", [size, reserved, service, home, config, config_count]);
    table!(facts, RawFailure, "koi_failure", [size, hook, timed_out, reserved, message]);
    table!(
        facts,
        RawContext,
        "koi_context",
        [
            size,
            attempt,
            call_id,
            epoch,
            timeout_ms,
            role,
            reserved,
            service,
            node,
            node_id,
            cluster,
            node_state,
            master_name,
            master_address,
            home,
            workdir,
            config,
            config_count,
            failure,
            deadline_ms,
            promoted_epoch,
            previous_epoch,
            previous_master,
            reason,
            group,
            peers,
            peers_count,
            peer_size,
            reserved_peers,
        ]
    );
    table!(facts, RawPeer, "koi_peer", [name, state, address, score, scored, promotable]);
    table!(
        facts,
        Plugin,
        "koi_plugin",
        [
            magic,
            abi_major,
            abi_minor,
            size,
            hooks,
            name,
            version,
            description,
            config,
            config_count,
            config_key_size,
            reserved,
            create,
            destroy,
            call,
        ]
    );
    constants!(
        facts,
        [
            MAGIC,
            ABI_MAJOR,
            ABI_MINOR,
            HOOK_START,
            HOOK_STOP,
            HOOK_PROMOTE,
            HOOK_DEMOTE,
            HOOK_STATUS,
            HOOK_FAILED,
            HOOK_CHANGED,
            HOOKS_ALL,
            DONE,
            RETRY,
            FATAL,
            MISCONFIGURED,
            UNSUPPORTED,
            BROKEN,
            STATE_OK,
            STATE_PROMOTED,
            STATE_STANDBY,
            STATE_LIVE,
            STATE_STOPPED,
            STATE_FAILED,
            ROLE_NONE,
            ROLE_STANDBY,
            ROLE_PROMOTED,
            PUT_MESSAGE,
            PUT_SCORE,
            PUT_DETAIL,
            PUT_PROCESS,
            ATTRIBUTES_NOT_MASTER,
            ATTRIBUTES_INVALID,
            ATTRIBUTES_UNAVAILABLE,
            ATTRIBUTES_UNKNOWN,
            ATTRIBUTE_KEY_BYTES,
            ATTRIBUTE_VALUE_BYTES,
            LOG_TRACE,
            LOG_DEBUG,
            LOG_INFO,
            LOG_WARN,
            LOG_ERROR,
        ]
    );
    facts
}

fn header() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include/koi_plugin.h")
}

/// Compiles `source` with `compiler` and the further `flags`, and returns the file that it made; none: the compiler is missing.
fn compile(compiler: &str, flags: &[&str], source: &Path) -> Option<PathBuf> {
    let made = source.with_extension(format!("{compiler}.out"));
    let include = format!("-I{}", header().parent().unwrap().display());
    let mut run = Command::new(compiler);
    run.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", &include]).args(flags);
    let Ok(output) = run.arg("-o").arg(&made).arg(source).output() else {
        koi_testkit::skip(&format!("there is no {compiler} here (apt-get install gcc g++ libc6-dev)"));
        return None;
    };
    assert!(output.status.success(), "{compiler}: {}", String::from_utf8_lossy(&output.stderr));
    Some(made)
}

#[test]
fn the_header_and_rust_agree_on_every_size_offset_and_value() {
    let facts = facts();
    let mut source = String::from("#include \"koi_plugin.h\"\n#include <stdio.h>\nint main(void) {\n");
    for (name, _) in &facts {
        writeln!(source, "printf(\"%s %lld\\n\", \"{name}\", (long long)({name}));").unwrap();
    }
    source += "return 0; }\n";
    let dir = own_dir("facts");
    let file = dir.join("facts.c");
    fs::write(&file, source).unwrap();
    let Some(program) = compile("cc", &["-std=c99"], &file) else { return };

    let output = Command::new(program).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let ours: Vec<_> = facts.iter().map(|(name, value)| format!("{name} {value}")).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), ours);
}

#[test]
fn every_constant_of_the_header_is_compared() {
    let text = fs::read_to_string(header()).unwrap();
    let known = facts();
    // No numbers: for the compiler, or with arguments.
    let others = ["KOI_PLUGIN_H", "KOI_EXPORT"];
    for name in text.lines().filter_map(|line| line.strip_prefix("#define ")?.split_whitespace().next()) {
        let compared = known.iter().any(|(fact, _)| fact == name);
        assert!(
            compared || name.contains('(') || others.contains(&name),
            "{name} of koi_plugin.h is not in native::abi"
        );
    }
}

#[test]
fn hooks_have_the_numbers_of_the_rust_type() {
    let numbers = [
        abi::HOOK_START,
        abi::HOOK_STOP,
        abi::HOOK_PROMOTE,
        abi::HOOK_DEMOTE,
        abi::HOOK_STATUS,
        abi::HOOK_FAILED,
        abi::HOOK_CHANGED,
    ];
    assert_eq!(Hook::ALL.map(|hook| hook as u32), numbers);
}

#[test]
fn the_plugin_in_the_headers_comment_compiles_as_it_stands() {
    let text = fs::read_to_string(header()).unwrap();
    let plugin: String = text
        .lines()
        .skip_while(|line| *line != " *     #include \"koi_plugin.h\"")
        .take_while(|line| !line.contains("cc -shared"))
        .map(|line| format!("{}\n", line.trim_start_matches(" *")))
        .collect();
    assert!(plugin.contains("koi_plugin_v1"), "the comment has a plugin");
    let file = own_dir("comment").join("well.c");
    fs::write(&file, plugin).unwrap();
    compile("cc", &["-std=c99", "-shared", "-fPIC"], &file);
}

#[test]
fn the_header_is_good_for_cpp() {
    let source = r#"
        #include "koi_plugin.h"
        static int32_t create(const koi_host *, const koi_setup *, void **) { return KOI_DONE; }
        static int32_t call(void *, const koi_host *host, uint32_t, const koi_context *context)
        {
            koi_detail(host, "a", koi_config(context->config, context->config_count, "b"));
            koi_score(host, 1);
            char value[KOI_ATTRIBUTE_VALUE_BYTES + 1];
            int found;
            if (koi_attribute(host, 0, "primary", value, sizeof(value), &found) == KOI_DONE && !found)
                return koi_set_attribute(host, "primary", nullptr, value, sizeof(value));
            koi_log(host, KOI_LOG_INFO, "text");
            return koi_remaining_ms(host) > 0 && koi_epoch_current(host) ? KOI_DONE : KOI_RETRY;
        }
        KOI_EXPORT const koi_plugin koi_plugin_v1 = {
            KOI_MAGIC, KOI_ABI_MAJOR, KOI_ABI_MINOR, sizeof(koi_plugin), KOI_HOOKS_ALL, KOI_TEXT("a"), KOI_TEXT("1"),
            KOI_TEXT("-"), nullptr, 0, sizeof(koi_config_key), 0, create, nullptr, call,
        };
    "#;
    let file = own_dir("cpp").join("plugin.cpp");
    fs::write(&file, source).unwrap();
    compile("c++", &["-std=c++11", "-shared", "-fPIC"], &file);
}

/// A folder of this test's own.
fn own_dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&dir).unwrap();
    dir
}
