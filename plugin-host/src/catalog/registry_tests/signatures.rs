//! Who has signed what, and what becomes of a file that nobody has.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use koi_artifact::signature::{Signature, SignatureError, SignedAs, TrustedKeys};

use super::world::World;
use crate::backend::{Loader, PluginFile};
use crate::catalog::loading::loaded_plugin::OnDisk;
use crate::catalog::registry::Registry;
use crate::catalog::storage::sources::Sources;

/// Keys of an author, and a node that has them as `of` says.
pub(super) struct Signing {
    pair: minisign::KeyPair,
    pub(super) world: World,
}

impl Signing {
    pub(super) fn new() -> Signing {
        Signing { pair: minisign::KeyPair::generate_unencrypted_keypair().unwrap(), world: World::new() }
    }

    /// Signs what lies there as this plugin.
    fn sign(&self, name: &str, signed: &str) -> &Signing {
        let bytes = fs::read(self.world.path(name)).unwrap();
        self.world.put(&format!("{name}.minisig"), &self.signature(&bytes, signed));
        self
    }

    pub(super) fn signature(&self, bytes: &[u8], signed: &str) -> String {
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

    pub(super) fn load(&self, before: &Registry, require_signature: bool) -> Registry {
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
