//! `koi plugins` and `koi wit`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use koi_proto::api::{Plugin, PluginDetail};

use crate::fake::{Answer, Fake};
use crate::machine::koi_beside_koid;
use crate::run::{Ran, koi, koi_in};

const WIT: &str = include_str!("../../../wit/koi-service.wit");

fn redis() -> Plugin {
    Plugin {
        name: "redis".into(),
        kind: "wasm".into(),
        version: "0.1.0".into(),
        api: "koi:service@0.1.0".into(),
        hooks: vec!["status".into()],
        state: "ready".into(),
        ..Plugin::default()
    }
}

#[test]
fn the_list_is_what_the_daemon_said() {
    let fake = Fake::saying(&[redis()]);
    let ran = fake.koi(&["plugins", "list"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("redis") && ran.stdout.contains("ready"), "{}", ran.stdout);
    let ran = fake.koi(&["-o", "json", "plugins", "list", "db 1"]);
    for key in ["name", "kind", "version", "api", "hooks", "services", "state", "error", "path"] {
        assert!(ran.json()[0].get(key).is_some(), "{key} is missing: {}", ran.stdout);
    }
    let asked: Vec<_> = fake.asked().into_iter().map(|(path, _)| path).collect();
    assert_eq!(asked, ["GET /v1/plugins", "GET /v1/plugins?node=db%201"]);
}

#[test]
fn a_name_is_asked_of_the_daemon_and_a_file_of_a_koid_of_our_own() {
    let plugin = Plugin { on_disk: "changed".into(), ..redis() };
    let detail = PluginDetail { plugin, ..PluginDetail::default() };
    let detail = serde_json::to_string(&detail).unwrap();
    let fake = Fake::new(move |asked| match asked {
        "GET /v1/plugins?node=b" => Answer::Whole(200, "[]".into()),
        _ => Answer::Whole(200, detail.clone()),
    });
    let ran = fake.koi(&["plugins", "inspect", "redis", "--node", "b"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("`koi reconfigure` takes it"), "{}", ran.stdout);
    assert_eq!(fake.asked()[1].0, "GET /v1/plugins/redis?node=b");
    assert_eq!(fake.koi(&["plugins", "inspect", "redis", "--service", "/tmp"]).code, Some(2));

    let folder = tempfile::tempdir().unwrap();
    let script =
        r#"[ "$*" = "plugin-inspect ./h.wasm --service svc" ] && echo '{"name": "mine", "state": "ready"}'"#;
    let ran: Ran = koi_beside_koid(folder.path(), script)
        .args(["plugins", "inspect", "./h.wasm", "--service", "svc"])
        .output()
        .unwrap()
        .into();
    assert_eq!((ran.code, ran.stdout.lines().next()), (Some(0), Some("mine: ready")), "{ran:?}");
}

#[test]
fn a_version_is_looked_for_where_it_lies_and_which_there_are_is_said() {
    let version = |version: &str, services: Vec<String>| Plugin {
        version: version.into(),
        path: Some(format!("/p/{version}.wasm")),
        services,
        ..redis()
    };
    let all = [version("0.1.0", Vec::new()), version("0.2.0", vec!["20-redis".into()])];
    let fake = Fake::new(move |asked| {
        let at = |path: &str| all.iter().find(|plugin| plugin.path.as_deref() == Some(path)).unwrap();
        let detail = |path| PluginDetail { plugin: at(path).clone(), ..PluginDetail::default() };
        Answer::Whole(
            200,
            match asked {
                "GET /v1/plugins" => serde_json::to_string(&all).unwrap(),
                "GET /v1/plugins/%2Fp%2F0.1.0.wasm" => {
                    serde_json::to_string(&detail("/p/0.1.0.wasm")).unwrap()
                }
                "GET /v1/plugins/%2Fp%2F0.2.0.wasm" => {
                    serde_json::to_string(&detail("/p/0.2.0.wasm")).unwrap()
                }
                other => panic!("{other}"),
            },
        )
    });
    let ran = fake.koi(&["plugins", "inspect", "redis"]);
    assert_eq!((ran.code, ran.stdout.lines().next()), (Some(0), Some("redis 0.2.0: ready")), "{ran:?}");
    let said = "koi: this is redis 0.2.0; known are: redis 0.1.0 (not used), redis 0.2.0 (used by 20-redis)\n     \
                `koi plugins inspect redis@VERSION` shows the one that you name\n";
    assert_eq!(ran.stderr, said);
    let ran = fake.koi(&["plugins", "inspect", "redis@0.1.0"]);
    assert_eq!((ran.code, ran.stdout.lines().next()), (Some(0), Some("redis 0.1.0: ready")), "{ran:?}");
    assert_eq!(ran.stderr, "");
    let ran = fake.koi(&["-o", "json", "plugins", "inspect", "redis"]);
    assert_eq!((ran.json()["version"].as_str(), ran.stderr.as_str()), (Some("0.2.0"), ""), "{ran:?}");
    let ran = fake.koi(&["plugins", "inspect", "redis@3"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    assert!(
        ran.stderr.starts_with("koi: no redis 3 is known\n     known are: redis 0.1.0"),
        "{}",
        ran.stderr
    );
    let ran = fake.koi(&["-o", "json", "plugins", "inspect", "redis@3"]);
    assert_eq!(ran.json()["error"]["code"], "not-found");
    assert_eq!(fake.koi(&["plugins", "inspect", "redis@"]).code, Some(2));
}

#[test]
fn a_file_that_koid_cannot_make_sense_of_is_an_error_in_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let inspect = |script: &str| -> Ran {
        let inspect = ["plugins", "inspect", "./h.wasm"];
        koi_beside_koid(folder.path(), script).args(inspect).output().unwrap().into()
    };
    let ran = inspect(r#"echo '{"refused": "./h.wasm is not there"}'; echo 'koid: not so' >&2; exit 2"#);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), "koi: ./h.wasm is not there\n"));
    let ran = inspect("echo 'koid: ./h.wasm is not there' >&2; exit 2");
    let said = "koi: koid: ./h.wasm is not there\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), said), "of an older koid as it is");
}

#[test]
fn check_and_run_hand_everything_to_koid_and_its_exit_code_back() {
    let folder = tempfile::tempdir().unwrap();
    let koi = |args: &[&str]| -> Ran {
        koi_beside_koid(folder.path(), r#"echo "$*"; exit 5"#).args(args).output().unwrap().into()
    };
    let ran = koi(&["plugins", "check", "h.wasm", "--service", "svc", "--timeout", "2s", "--really"]);
    assert_eq!(ran.stdout, "plugin-check h.wasm --service svc --really --timeout-ms 2000\n");
    assert_eq!(ran.code, Some(5));
    assert_eq!(koi(&["plugins", "check", "h.wasm", "--quiet"]).stdout, "plugin-check h.wasm --quiet\n");
    let args = [
        "-o", "json", "plugins", "run", "h.wasm", "promote", "--config", "a=b", "--role", "standby",
        "--epoch", "7",
    ];
    assert_eq!(koi(&args).stdout, "plugin-run h.wasm promote --config a=b --role standby --epoch 7 --json\n");
}

#[test]
fn a_service_of_koid_is_left_alone_unless_one_insists() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir_all(at.join("services/10-vip")).unwrap();
    let config = "[node]\nname = \"a\"\n[cluster]\nelectors = 1\nkey_file = \"cluster.key\"\n[services]\nfolder = \"services\"\n";
    fs::write(at.join("koi.toml"), config).unwrap();
    let koi = |args: &[&str]| -> Ran {
        koi_beside_koid(at, r#"echo "$*""#).current_dir(at).args(args).output().unwrap().into()
    };
    let ran = koi(&["plugins", "check", "services/10-vip"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), ""), "{ran:?}");
    assert!(ran.stderr.contains("belongs to koid") && ran.stderr.contains("--really"), "{}", ran.stderr);
    assert_eq!(koi(&["plugins", "run", "services/10-vip", "start"]).code, Some(5));
    // Looking harms nobody; nor does a component without grants.
    assert_eq!(koi(&["plugins", "run", "services/10-vip", "status"]).code, Some(0));
    assert_eq!(koi(&["plugins", "check", "services/10-vip/handler.wasm"]).code, Some(0));
    let insisted = koi(&["plugins", "check", "services/10-vip", "--really"]);
    assert_eq!(insisted.code, Some(0));
    // Its handler may be named as koid would find it.
    let places = "--plugins /usr/lib/koi/plugins --plugins /etc/koi/plugins --pulled /var/lib/koi/pulled";
    assert!(insisted.stdout.contains(places), "{}", insisted.stdout);
}

#[test]
fn the_interface_is_printed_to_the_byte() {
    let ran = koi(&["wit"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), WIT));
}

#[test]
fn a_new_handler_is_a_folder_with_a_build_and_the_interface() {
    let folder = tempfile::tempdir().unwrap();
    for lang in ["rust", "c", "js", "python", "go"] {
        let name = format!("my-{lang}");
        let ran = koi_in(folder.path(), &["plugins", "new", &name, "--lang", lang]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for command in [
            format!("cd {name}"),
            "./build.sh".into(),
            "koi plugins check service".into(),
            "koi plugins test".into(),
        ] {
            assert!(ran.stdout.contains(&format!("\n  {command}\n")), "{}", ran.stdout);
        }
        let at = folder.path().join(&name);
        assert_eq!(fs::read_to_string(at.join("wit/koi-service.wit")).unwrap(), WIT);
        assert_eq!(mode(&at.join("build.sh")), 0o755);
        assert_eq!(mode(&at.join("README.md")), 0o644);
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn what_lies_in_a_folder_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("mydb")).unwrap();
    let new = || koi_in(at, &["plugins", "new", "mydb", "--lang", "c"]);
    assert_eq!(new().code, Some(0), "an empty folder will do");
    fs::write(at.join("mydb/README.md"), "mine").unwrap();
    let ran = new();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("is not empty"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(at.join("mydb/README.md")).unwrap(), "mine");
    let ran = koi_in(at, &["-o", "json", "plugins", "new", "mydb", "--lang", "c", "elsewhere"]);
    assert_eq!((ran.code, ran.json()["folder"].as_str()), (Some(0), Some("elsewhere")), "{ran:?}");
}

#[test]
fn what_there_is_to_build_is_looked_for_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let dev = |args: &[&str]| koi_in(folder.path(), &[&["plugins", "dev"], args].concat());
    let refused = |args: &[&str], words: &[&str]| {
        let ran = dev(args);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        words.iter().for_each(|words| assert!(ran.stderr.contains(words), "{words:?} in {ran:?}"));
    };
    refused(&["gone"], &["gone cannot be looked at", "koi plugins new"]);
    refused(&[], &["has no build.sh and no component", "--build"]);
    fs::write(at("build.sh"), "#!/bin/sh\n").unwrap();
    refused(&[], &["build.sh is not executable", "chmod +x"]);
    fs::set_permissions(at("build.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    refused(&["--service", "svc"], &["svc/service.toml cannot be read"]);
    fs::create_dir(at("svc")).unwrap();
    fs::write(at("svc/service.toml"), "[config\n").unwrap();
    refused(&["--service", "svc"], &["svc/service.toml: TOML parse error at line 1"]);
    refused(&["--config", "novalue"], &["KEY=VALUE"]);
    fs::rename(at("svc"), at("service")).unwrap();
    refused(&[], &["/service/service.toml: TOML parse error at line 1", "--service"]);
}
