//! Plugins that come, change and go, with code that is a few words of text.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use koi_artifact::signature::{SignatureError, SignedAs, TrustedKeys};
use koi_artifact::{Artifact, Digest, Manifest, SIGNATURE_ANNOTATION, Store};
use koi_plugin_api::{Called, ConfigKey, Handler, Hook, Metadata};
use tempfile::TempDir;

use super::*;
use crate::backend::LoadError;
use crate::backend::PluginFile;
use crate::backend::code::HandlerError;
use crate::backend::code::{Code, Opened};
use crate::backend::wasm::load::compile::CompileError;
use crate::backend::wasm::load::machine_code::MachineCodeError;
use crate::granted::Granted;
use crate::plugin::Setup;
use crate::service::discover::discover;

/// A file says the plugin's name, then the keys of `[config]` that it requires; `broken` cannot be loaded, and a service with
/// `refuse` under `[config]` is refused.
struct Fake(Facts);

struct Idle(Metadata);

impl Handler for Idle {
    fn metadata(&self) -> Metadata {
        self.0.clone()
    }

    fn call(&self, _: koi_plugin_api::Call) -> Called {
        Box::pin(std::future::pending())
    }
}

impl Code for Fake {
    fn facts(&self) -> &Facts {
        &self.0
    }

    fn open(&self, setup: &Setup<'_>) -> Result<Opened, HandlerError> {
        if setup.config.iter().any(|(key, _)| key == "refuse") {
            return Err(HandlerError::NoSandbox { section: "grants", plugin: "fake".into() });
        }
        let handler = Arc::new(Idle(self.0.metadata.clone()));
        Ok(Opened {
            handler,
            granted: vec![Granted::entry("all", "", format_args!("of {}", setup.home.display()))],
            limits: Vec::new(),
            resolved: Default::default(),
        })
    }
}

fn broken(source: &PluginFile<'_>) -> LoadError {
    let error = MachineCodeError::Compile(CompileError::Said("it is broken".into()));
    LoadError::Component { path: source.path.to_owned(), source: error.into() }
}

struct World {
    folder: TempDir,
    loads: Arc<AtomicUsize>,
}

impl World {
    fn new() -> World {
        let world = World { folder: TempDir::new().unwrap(), loads: Arc::default() };
        for folder in ["first", "second", "services"] {
            fs::create_dir(world.path(folder)).unwrap();
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file there, as a package manager does: written beside and renamed.
    fn put(&self, name: &str, text: &str) -> &World {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let beside = path.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(&beside, &path).unwrap();
        self
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    fn registry(&self) -> Registry {
        let (loads, host) = (
            self.loads.clone(),
            Host {
                program: "/bin/false".into(),
                dir: self.path("state"),
                protected: Vec::new(),
                resolver: Default::default(),
                stand_in: None,
            },
        );
        let loader: Loader = Arc::new(move |source: &PluginFile<'_>| {
            loads.fetch_add(1, Ordering::SeqCst);
            let text = String::from_utf8_lossy(source.bytes).into_owned();
            let mut words = text.split_whitespace().map(str::to_owned);
            let name = words.next().unwrap_or_default();
            assert_ne!(name, "panics", "as a test wants it");
            if name == "broken" {
                return Err(broken(source));
            }
            let key = |name| ConfigKey { name, required: true, ..ConfigKey::default() };
            let metadata = Metadata {
                name,
                version: "1".into(),
                hooks: [Hook::Stop].into_iter().collect(),
                config: words.map(key).collect(),
                ..Metadata::default()
            };
            Ok(Arc::new(Fake(Facts { metadata, api: "fake".into(), ..Facts::default() })))
        });
        self.again(&Registry::new(host, self.path("services")).with_loader(loader))
    }

    fn sources(&self) -> Sources {
        Sources {
            pulled: Store::in_state(&self.path("state")),
            ..Sources::from_dirs(vec![self.path("first"), self.path("second")])
        }
    }

    fn again(&self, registry: &Registry) -> Registry {
        registry.load(self.sources(), self.path("services"))
    }

    /// Looks, and opens every service: the number of each one's handler, or why it has none.
    fn look(&self, registry: &Registry) -> Vec<(String, Result<u64, String>)> {
        let found = discover(&self.path("services"), registry).unwrap();
        let open = |found: &Found| registry.open(found).map(|ready| ready.number).map_err(|e| e.to_string());
        found.services.iter().map(|found| (found.name.clone(), open(found))).collect()
    }

    fn number(&self, registry: &Registry) -> u64 {
        self.look(registry)[0].1.clone().unwrap()
    }

    fn problem(&self, registry: &Registry) -> String {
        self.look(registry)[0].1.clone().unwrap_err()
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }
}

fn names(registry: &Registry) -> Vec<(String, bool)> {
    registry.plugins().into_iter().map(|plugin| (plugin.name, plugin.ready)).collect()
}

fn pair(name: &str, ready: bool) -> (String, bool) {
    (name.to_owned(), ready)
}

#[test]
fn a_plugin_is_known_by_the_name_that_it_gives_itself() {
    let world = World::new();
    world.put("first/x.wasm", "redis").put("second/vip.so", "vip").put("first/notes.txt", "none");
    world.put("services/10-db/service.toml", "handler = \"redis\"\n");
    let registry = world.registry();
    assert_eq!(names(&registry), [pair("shell", true), pair("redis", true), pair("vip", true)]);
    let number = world.number(&registry);
    let redis = registry.plugin("redis").unwrap();
    assert_eq!((redis.kind, redis.path, redis.size_bytes), (Kind::Wasm, Some(world.path("first/x.wasm")), 5));
    let granted = vec![format!("all of {}", world.path("services/10-db").display())];
    let used = &redis.used_by[..];
    let lines: Vec<String> = used[0].granted.iter().map(|granted| granted.line.clone()).collect();
    assert!(used.len() == 1 && used[0].service == "db" && used[0].problem.is_none());
    assert_eq!((&lines, used[0].limits.len()), (&granted, 0));
    assert!(registry.plugin("shell").unwrap().used_by.is_empty());
    assert_eq!(world.number(&registry), number, "the same handler at every look");
}

#[test]
fn of_two_plugins_of_one_name_the_first_stays_and_nobody_is_called_shell() {
    let world = World::new();
    world.put("first/a.wasm", "redis").put("second/a.so", "redis").put("second/b.so", "shell");
    world.put("services/db/service.toml", "handler = \"redis\"\n");
    let registry = world.registry();
    let expected = [pair("shell", true), pair("redis", true), pair("redis", false), pair("shell", false)];
    assert_eq!(names(&registry), expected);
    world.number(&registry);
    assert_eq!(registry.plugin("redis").unwrap().path, Some(world.path("first/a.wasm")));
    let other = registry.plugin(world.path("second/a.so").to_str().unwrap()).unwrap();
    assert!(other.error.unwrap().to_string().contains("first/a.wasm is called `redis` too and comes first"));
    assert!(other.used_by.is_empty());
    let said: Vec<_> = registry.warnings().iter().map(ToString::to_string).collect();
    assert!(said.len() == 2 && said[1].contains("it calls itself `shell`"), "{said:?}");
}

#[test]
fn a_plugin_that_cannot_be_loaded_makes_only_its_services_fail() {
    let world = World::new();
    world.put("first/bad.wasm", "broken").put("first/worse.so", "panics").put("first/good.so", "good");
    world.put("services/1-a/service.toml", "handler = \"bad\"\n");
    world.put("services/2-b/service.toml", "handler = \"good\"\n");
    world.put("services/3-c/service.toml", "handler = \"worse\"\n");
    world.put("services/4-d/service.toml", "handler = \"nobody\"\n");
    let registry = world.registry();
    let seen = world.look(&registry);
    let why = seen[0].1.clone().unwrap_err();
    assert!(why.starts_with("the handler bad cannot be used: ") && why.ends_with("it is broken"), "{why}");
    assert!(seen[1].1.is_ok());
    assert!(seen[2].1.clone().unwrap_err().contains("a fault of koid"), "{seen:?}");
    assert!(seen[3].1.clone().unwrap_err().contains("this koid has `shell`, `good`; "), "{seen:?}");
    let said: Vec<_> = registry.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(said[0], format!("{}: it is broken", world.path("first/bad.wasm").display()));
    assert_eq!(registry.plugin("bad").unwrap().used_by[0].service, "a", "and says whom it leaves alone");
}

#[test]
fn a_file_that_is_replaced_changes_nothing_until_the_next_load() {
    let world = World::new();
    world.put("first/redis.wasm", "redis").put("first/other.wasm", "other");
    world.put("services/db/service.toml", "handler = \"redis\"\n");
    let first = world.registry();
    let number = world.number(&first);
    let redis = |registry: &Registry| registry.plugin("redis").unwrap();
    assert_eq!(first.on_disk(&redis(&first)), Some(OnDisk::Same));
    assert_eq!(first.on_disk(&first.plugin("shell").unwrap()), None);

    world.put("first/redis.wasm", "redis ");
    assert_eq!((world.number(&first), world.loads()), (number, 2));
    assert_eq!(first.on_disk(&redis(&first)), Some(OnDisk::Changed));
    world.put("first/redis.wasm", "redis");
    assert_eq!(first.on_disk(&redis(&first)), Some(OnDisk::Same), "touched, and the same again");

    world.put("first/redis.wasm", "redis ");
    let second = world.again(&first);
    assert_eq!(world.loads(), 3, "what has not changed is not loaded again");
    assert_ne!(redis(&second).hash, redis(&first).hash);
    assert_eq!(redis(&second).used_by.len(), 1, "it is known at once who uses it");
    assert!(world.number(&second) > number, "another handler");
    let third = world.again(&second);
    assert_eq!((world.number(&third), world.loads()), (world.number(&second), 3));
}

#[test]
fn a_plugin_that_comes_with_its_service_is_taken_at_once_and_replaced_only_at_a_load() {
    let world = World::new();
    let registry = world.registry();
    world.put("services/10-db/service.toml", "handler = \"db\"\n");
    let problem = world.problem(&registry);
    assert!(problem.contains("`db` is not known") && problem.contains("`shell`"), "{problem}");
    assert!(problem.contains(&format!("put the plugin into {}", world.path("first").display())), "{problem}");

    world.put("second/database.wasm", "db");
    let number = world.number(&registry);
    world.put("second/database.wasm", "db\n");
    assert_eq!((world.number(&registry), world.loads()), (number, 1), "what is in force stays");

    let registry = world.again(&registry);
    assert_ne!(world.number(&registry), number, "an operator said so");
    assert_eq!(names(&registry), [pair("shell", true), pair("db", true)], "it is there once");
}

#[test]
fn what_cannot_be_loaded_any_more_stays_as_it_was() {
    let world = World::new();
    world.put("first/redis.wasm", "redis").put("first/idle.so", "idle");
    world.put("services/db/service.toml", "handler = \"redis\"\n");
    let first = world.registry();
    let number = world.number(&first);
    let hash = first.plugin("redis").unwrap().hash.unwrap().to_string();

    world.put("first/redis.wasm", "broken");
    let second = world.again(&first);
    let redis = second.plugin("redis").unwrap();
    let said = redis.error.clone().unwrap().to_string();
    assert!(
        said.starts_with("the file there now cannot be used: ") && said.contains("it is broken"),
        "{said}"
    );
    assert!(said.ends_with(&format!("; the one of SHA-256 {}… stays", &hash[..8])), "{said}");
    assert!(redis.ready && redis.hash.unwrap().to_string() == hash);
    assert_eq!(second.on_disk(&redis), Some(OnDisk::Refused));
    assert_eq!(world.number(&second), number, "the service takes no notice");

    world.remove("first/redis.wasm");
    world.remove("first/idle.so");
    let third = world.again(&second);
    let redis = third.plugin("redis").unwrap();
    assert!(redis.error.clone().unwrap().to_string().starts_with("its file is gone; "), "{redis:?}");
    assert_eq!((third.on_disk(&redis), world.number(&third)), (Some(OnDisk::Gone), number));
    assert!(third.plugin("idle").is_none(), "nobody misses it");

    world.put("first/redis.wasm", "redis");
    let fourth = world.again(&third);
    assert!(fourth.plugin("redis").unwrap().error.is_none());
    assert_eq!(world.number(&fourth), number);
}

#[test]
fn a_handler_in_a_services_folder_is_taken_when_it_is_first_seen() {
    let world = World::new();
    world.put("services/db/handler.wasm", "broken").put("services/db/start", "");
    let registry = world.registry();
    let why = world.problem(&registry);
    assert!(why.contains("it is broken"), "{why}");
    world.look(&registry);
    assert_eq!(world.loads(), 1, "and not tried again at every look");

    world.put("services/db/handler.wasm", "mine");
    let number = world.number(&registry);
    world.put("services/db/handler.wasm", "mine address");
    assert_eq!((world.number(&registry), world.loads()), (number, 2), "what is in force is pinned");
    let found = discover(&world.path("services"), &registry).unwrap().services.remove(0);
    assert_eq!((registry.name_of(&found), found.hooks), ("mine".into(), [Hook::Stop].into_iter().collect()));

    let registry = world.again(&registry);
    let why = world.problem(&registry);
    assert!(why.contains("`address` is missing"), "{why}");
    let problem = registry.plugin("mine").unwrap().used_by[0].problem.clone();
    assert_eq!(problem.unwrap().to_string(), why);
    fs::remove_dir_all(world.path("services/db")).unwrap();
    registry.keep_only(&BTreeSet::new());
    assert_eq!(names(&world.again(&registry)), [pair("shell", true)]);
}

#[test]
fn a_path_in_service_toml_is_relative_to_the_services_folder() {
    let world = World::new();
    world.put("services/db/code.so", "mine").put("services/db/service.toml", "handler = \"code.so\"\n");
    let registry = world.registry();
    let number = world.number(&registry);
    world.put("services/db/service.toml", "handler = \"code.so\"\n[timeouts]\nstop = \"1s\"\n");
    assert_eq!(world.number(&registry), number, "time-outs are not the handler's");
    world.put("services/db/service.toml", "handler = \"code.so\"\n[config]\na = 1\n");
    assert_ne!(world.number(&registry), number);
    world.put("services/db/service.toml", "handler = \"./gone.so\"\n");
    assert!(world.problem(&registry).contains("there is no "), "{}", world.problem(&registry));
    world.put("services/db/service.toml", "handler = \"./start\"\n");
    assert!(world.problem(&registry).contains("neither a .so nor a .wasm"), "{}", world.problem(&registry));
}

#[test]
fn a_handler_that_cannot_be_opened_is_tried_again_when_the_service_is_mended() {
    let world = World::new();
    world.put("first/redis.wasm", "redis refuse");
    world.put("services/db/service.toml", "handler = \"redis\"\n[config]\nrefuse = true\n");
    let registry = world.registry();
    assert!(world.problem(&registry).starts_with("[grants] means nothing to `fake`"));
    world.put("first/redis.wasm", "redis");
    world.put("services/db/service.toml", "handler = \"redis\"\n");
    assert!(world.problem(&registry).contains("`refuse` is missing"), "the plugin is still the old one");
    world.number(&world.again(&registry));
}

#[test]
fn what_a_service_is_granted_is_seen_though_it_cannot_be_opened() {
    let world = World::new();
    world.put("first/redis.wasm", "redis");
    let grants = "tcp = [\"10.0.0.5:6379\"]\nexec = [[\"/bin/echo\", \"a b\"]]\nlookup = true\n";
    world.put(
        "services/db/service.toml",
        &format!("handler = \"redis\"\n[config]\nrefuse = true\n[grants]\n{grants}"),
    );
    let registry = world.registry();
    world.problem(&registry);
    let used = registry.plugin("redis").unwrap().used_by;
    let granted: Vec<_> =
        used[0].granted.iter().map(|g| (g.key.as_str(), g.value.as_str(), g.line.as_str())).collect();
    assert_eq!(
        granted,
        [
            ("exec", "/bin/echo", "exec /bin/echo a b"),
            ("lookup", "", "lookup = true"),
            ("tcp", "10.0.0.5:6379", "tcp 10.0.0.5:6379"),
        ]
    );
}

#[test]
fn a_file_that_is_being_loaded_is_seen_in_the_registry_that_is_in_force() {
    let world = World::new();
    let before = Arc::new(world.registry());
    let (seen, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::downgrade(&before));
    let loader: Loader = {
        let (seen, path) = (seen.clone(), world.path("first/slow.wasm"));
        Arc::new(move |source| {
            assert_eq!(source.path, path);
            let slow = asked.upgrade().and_then(|registry| registry.plugin("slow"));
            seen.lock()
                .unwrap()
                .extend(slow.map(|slow| (slow.ready, slow.error.is_none(), slow.loading.is_some())));
            Err(broken(source))
        })
    };
    world.put("first/slow.wasm", "slow");
    let watched = Registry {
        loader,
        in_progress: before.in_progress.clone(),
        ..Registry::new(before.host.clone(), world.path("services"))
    };
    let after = world.again(&watched);
    assert_eq!(*seen.lock().unwrap(), [(false, true, true)]);
    assert!(before.plugin("slow").is_none(), "it is over");
    assert_eq!(after.plugin("slow").unwrap().loading, None);
}

#[test]
fn a_file_that_is_gone_yields_to_one_with_its_name() {
    let world = World::new();
    world.put("first/redis-1.wasm", "redis");
    world.put("services/db/service.toml", "handler = \"redis\"\n");
    let first = world.registry();
    let number = world.number(&first);
    world.remove("first/redis-1.wasm");
    let second = world.again(&first);
    assert_eq!(world.number(&second), number, "nothing takes its place yet");

    world.put("first/redis-2.wasm", "redis\n");
    let third = world.again(&second);
    assert_eq!(names(&third), [pair("shell", true), pair("redis", true)]);
    let redis = third.plugin("redis").unwrap();
    assert!(redis.error.is_none());
    assert_eq!(redis.path, Some(world.path("first/redis-2.wasm")));
    assert_ne!(world.number(&third), number);
}

/// Keys of an author, and a node that has them as `of` says.
struct Signing {
    pair: minisign::KeyPair,
    world: World,
}

impl Signing {
    fn new() -> Signing {
        Signing { pair: minisign::KeyPair::generate_unencrypted_keypair().unwrap(), world: World::new() }
    }

    /// Signs what lies there as this plugin.
    fn sign(&self, name: &str, signed: &str) -> &Signing {
        let bytes = fs::read(self.world.path(name)).unwrap();
        self.world.put(&format!("{name}.minisig"), &self.signature(&bytes, signed));
        self
    }

    fn signature(&self, bytes: &[u8], signed: &str) -> String {
        let (name, version) = signed.split_once(' ').unwrap();
        let signed = SignedAs { name: name.into(), version: version.into() };
        let comment = signed.comment().unwrap();
        let text = minisign::sign(None, &self.pair.sk, std::io::Cursor::new(bytes), Some(&comment), None);
        text.unwrap().into_string()
    }

    /// Sources that trust the author.
    fn sources(&self, require_signature: bool) -> Sources {
        let trusted_keys = TrustedKeys::new(vec![self.pair.pk.to_base64().parse().unwrap()]);
        Sources { trusted_keys, require_signature, ..self.world.sources() }
    }

    fn load(&self, before: &Registry, require_signature: bool) -> Registry {
        before.load(self.sources(require_signature), self.world.path("services"))
    }
}

#[test]
fn a_signature_is_shown_where_none_is_required() {
    let signing = Signing::new();
    for name in ["signed", "old", "changed", "plain"] {
        signing.world.put(&format!("first/{name}.wasm"), name);
    }
    signing
        .sign("first/signed.wasm", "signed 1")
        .sign("first/old.wasm", "old 0")
        .sign("first/changed.wasm", "changed 1");
    signing.world.put("first/changed.wasm", "changed more");
    let registry = signing.load(&signing.world.registry(), false);
    let of = |name: &str| registry.plugin(name).unwrap().signature.unwrap();
    assert!(matches!(of("signed"), Signature::Good { .. }), "{:?}", of("signed"));
    assert!(matches!(of("old"), Signature::Wrong(SignatureError::OtherPlugin { .. })), "{:?}", of("old"));
    assert!(matches!(of("changed"), Signature::Wrong(SignatureError::Mismatch(_))), "{:?}", of("changed"));
    assert_eq!(of("plain"), Signature::None);
    let warned: Vec<String> = registry.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warned.len(), 2, "{warned:?}");
    assert!(warned.iter().all(|warning| warning.contains("its signature is wrong: ")), "{warned:?}");
    assert!(registry.plugins().iter().all(|plugin| plugin.ready && plugin.error.is_none()));
}

#[test]
fn nothing_of_an_unsigned_file_runs_where_a_signature_is_required() {
    let signing = Signing::new();
    signing.world.put("first/plain.so", "plain").put("first/old.so", "old").put("first/good.so", "good");
    signing.sign("first/old.so", "old 0").sign("first/good.so", "good 1");
    let empty = Registry::new(signing.world.registry().host.clone(), signing.world.path("services"));
    let loads = Arc::new(AtomicUsize::new(0));
    let loader = signing.world.registry().loader.clone();
    let counted = loads.clone();
    let counting: Loader = Arc::new(move |file: &PluginFile<'_>| {
        counted.fetch_add(1, Ordering::SeqCst);
        loader(file)
    });
    let registry = signing.load(&empty.with_loader(counting), true);
    let error = |name: &str| registry.plugin(name).unwrap().error.map(|error| error.to_string());
    assert!(error("plain").unwrap().contains("it is not signed"), "{:?}", error("plain"));
    assert!(
        error("old").unwrap().contains("it was signed as old 0, and calls itself old 1"),
        "{:?}",
        error("old")
    );
    assert_eq!(error("good"), None);
    assert_eq!(
        loads.load(Ordering::SeqCst),
        2,
        "the one without a signature was not even asked for its name"
    );
}

#[test]
fn what_runs_goes_on_when_its_file_is_replaced_by_one_that_is_not_signed() {
    let signing = Signing::new();
    signing.world.put("first/db.wasm", "db").put("services/db/service.toml", "handler = \"db\"\n");
    signing.sign("first/db.wasm", "db 1");
    let first = signing.load(&signing.world.registry(), true);
    let number = signing.world.number(&first);
    signing.world.put("first/db.wasm", "db key");
    let second = signing.load(&first, true);
    assert_eq!(signing.world.number(&second), number);
    let kept = second.plugin("db").unwrap();
    assert!(kept.ready && matches!(kept.signature, Some(Signature::Good { .. })), "{:?}", kept.signature);
    let why = kept.error.as_ref().unwrap().to_string();
    assert!(why.contains("cannot be used: ") && why.contains("db.wasm: its signature is wrong: "), "{why}");
    assert_eq!(second.on_disk(&kept), Some(OnDisk::Refused));
    signing.sign("first/db.wasm", "db 1");
    assert_eq!(second.on_disk(&kept), Some(OnDisk::Changed), "a signature that comes later is worth a look");
    let third = signing.load(&second, true);
    assert_eq!(third.plugin("db").unwrap().error.map(|error| error.to_string()), None);
}

/// An artifact with a file of this text, in the store of the node; the line of `service.toml` that names it.
fn pulled(world: &World, text: &str, signature: Option<String>) -> String {
    let annotations = signature.map(|text| (SIGNATURE_ANNOTATION.to_owned(), text)).into_iter().collect();
    let manifest = Manifest::new(b"{}", text.as_bytes(), annotations);
    let bytes = manifest.bytes().unwrap();
    let digest = Digest::from_bytes(&bytes);
    let artifact = Artifact::new(digest, bytes, b"{}".to_vec(), text.into()).unwrap();
    world.sources().pulled.keep(&artifact).unwrap();
    format!("handler = \"oci://registry.example/db@{digest}\"\n")
}

#[test]
fn a_service_names_what_was_pulled_by_its_digest_and_a_later_version_waits_for_the_next_load() {
    let world = World::new();
    let (old, new) = (pulled(&world, "db", None), pulled(&world, "db key", None));
    world.put("services/db/service.toml", &old);
    let first = world.registry();
    let number = world.number(&first);
    let reference = first.plugin("db").unwrap().path.unwrap().display().to_string();
    assert!(old.contains(&reference) && reference.starts_with("oci://"), "{reference}");

    world.put("services/db/service.toml", &format!("{new}[config]\nkey = \"x\"\n"));
    let found = discover(&world.path("services"), &first).unwrap();
    assert!(old.contains(&found.services[0].handler), "{}", found.services[0].handler);
    assert!(
        found.warnings.iter().any(|warning| warning.message.contains("`koi reconfigure` takes it")),
        "{:?}",
        found.warnings
    );
    let second = world.again(&first);
    let ready = world.number(&second);
    assert_ne!(ready, number);
    let used = second
        .plugins()
        .into_iter()
        .find(|plugin| !plugin.used_by.is_empty() && plugin.name == "db")
        .unwrap();
    assert!(new.contains(&used.path.unwrap().display().to_string()));
}

#[test]
fn what_a_service_names_or_runs_with_is_never_removed() {
    let world = World::new();
    let month = Duration::from_secs(40 * 24 * 3600);
    let (old, new) = (pulled(&world, "db", None), pulled(&world, "db key", None));
    world.put("services/db/service.toml", &old);
    let first = world.registry();
    let number = world.number(&first);
    // The service goes on with the old one until the next load.
    world.put("services/db/service.toml", &format!("{new}[config]\nkey = \"x\"\n"));
    discover(&world.path("services"), &first).unwrap();
    for _ in 0..3 {
        assert!(first.tidy_pulled(month).is_empty());
    }

    let second = world.again(&first);
    assert_ne!(world.number(&second), number);
    let told = second.tidy_pulled(month);
    assert!(told.len() == 1 && told[0].contains("is kept for 30 days"), "{told:?}");
    let told = second.tidy_pulled(month);
    assert!(told.len() == 1 && told[0].contains("is removed"), "{told:?}");
    let left = world.sources().pulled.artifacts().unwrap();
    assert!(left.len() == 1 && left.keys().all(|digest| new.contains(&digest.to_string())), "{left:?}");
}

#[test]
fn what_was_not_pulled_or_is_another_plugin_is_said_at_once() {
    let world = World::new();
    let absent = format!("handler = \"oci://registry.example/db@sha256:{}\"\n", "ab".repeat(32));
    world.put("services/db/service.toml", &absent);
    let registry = world.registry();
    let why = world.problem(&registry);
    assert!(
        why.contains("it is not on this node; run `koi plugins pull oci://registry.example/db@sha256:abab"),
        "{why}"
    );
    world.put("services/db/service.toml", &pulled(&world, "db", None));
    let number = world.number(&registry);
    world.put("services/db/service.toml", &pulled(&world, "other", None));
    assert_ne!(world.number(&registry), number, "another plugin is no other version of this one");
}

#[test]
fn what_was_pulled_carries_its_signature_and_is_read_anew_with_every_byte_compared() {
    let signing = Signing::new();
    let good = pulled(&signing.world, "db", Some(signing.signature(b"db", "db 1")));
    signing.world.put("services/db/service.toml", &good);
    let registry = signing.load(&signing.world.registry(), true);
    signing.world.number(&registry);
    assert!(matches!(registry.plugin("db").unwrap().signature, Some(Signature::Good { .. })));
    let bad = pulled(&signing.world, "db key", Some(signing.signature(b"db", "db 1")));
    signing.world.put("services/db/service.toml", &bad);
    let why = signing.world.problem(&registry);
    assert!(why.contains("its signature is wrong"), "{why}");

    let component = signing.world.sources().pulled.path(Digest::from_bytes(b"db"));
    fs::write(component, "dB").unwrap();
    signing.world.put("services/db/service.toml", &good);
    let fresh = signing.load(&Registry::new(registry.host.clone(), signing.world.path("services")), false);
    let why = signing.world.problem(&fresh);
    assert!(why.contains("its component is not the one that is meant"), "{why}");
}
