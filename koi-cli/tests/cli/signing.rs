//! `koi plugins keygen`, `sign`, `verify` and `push` with the wrong key, or a signature of something else.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::machine::koi_beside_koid;
use crate::run::Ran;

/// An author with a pair of keys and a component, of which a koid of the author's own says what it is.
struct Author {
    folder: TempDir,
}

impl Author {
    fn new() -> Author {
        let author = Author { folder: tempfile::tempdir().unwrap() };
        author.build("0.4.0", "first");
        author.koi(&["plugins", "keygen", "author.key", "--no-password"]).exits(0);
        author
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The component in this version.
    fn build(&self, version: &str, bytes: &str) {
        fs::write(self.path("version"), version).unwrap();
        // An empty component with a section of its own.
        let section = [&[0, bytes.len() as u8 + 2, 1, b'k'], bytes.as_bytes()].concat();
        fs::write(self.path("handler.wasm"), [b"\0asm\x0d\0\x01\0", &section[..]].concat()).unwrap();
    }

    fn koi(&self, args: &[&str]) -> Ran {
        let script = r#"printf '{"name": "lamp", "version": "%s", "state": "ready"}' "$(cat version)""#;
        let at: &Path = self.folder.path();
        koi_beside_koid(at, script).current_dir(at).args(args).output().unwrap().into()
    }

    fn sign(&self, key: &str) -> Ran {
        self.koi(&["plugins", "sign", "handler.wasm", "--key", key, "--no-password"])
    }

    /// To a registry that nobody reaches.
    fn push(&self, more: &[&str]) -> Ran {
        let reference = fs::read_to_string(self.path("version")).unwrap();
        let reference = format!("oci://127.0.0.1:1/lamp:{reference}");
        self.koi(&[&["plugins", "push", "handler.wasm", &reference], more].concat())
    }
}

impl Ran {
    fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    fn says(self, words: &[&str]) -> Ran {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not said: {}", self.stderr);
        }
        self
    }
}

#[test]
fn a_signature_of_another_version_or_of_an_earlier_build_is_not_pushed() {
    let author = Author::new();
    author.sign("author.key").exits(0);
    author.build("0.5.0", "first");
    let again = "sign it again: koi plugins sign handler.wasm --key KEYFILE; nothing has been pushed";
    let said = "handler.wasm.minisig is of lamp 0.4.0, and handler.wasm is lamp 0.5.0";
    author.push(&[]).exits(1).says(&[said, again]);
    author.build("0.4.0", "second");
    let said = "handler.wasm.minisig is of another file that calls itself lamp 0.4.0 too";
    author.push(&[]).exits(1).says(&[said, again]);
    fs::write(author.path("handler.wasm.minisig"), "no signature").unwrap();
    author.push(&[]).exits(1).says(&["handler.wasm.minisig is no signature of it", again]);
}

#[test]
fn what_has_the_wrong_key_says_which_one_is_meant() {
    let author = Author::new();
    let said = author.sign("author.key.pub").exits(1);
    said.says(&["author.key.pub is a public key, and signing takes the secret one", "--key author.key"]);
    author.sign("author.key").exits(0);
    let verify = |key: &str| author.koi(&["plugins", "verify", "handler.wasm", "--key", key]);
    let said = verify("author.key").exits(2);
    said.says(&["author.key is a secret key, and verifying takes the public one", "--key author.key.pub"]);
    let secret = fs::read_to_string(author.path("author.key")).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    let said = verify(secret).exits(2);
    assert!(!said.stderr.contains(secret), "{said:?}");
    said.says(&["but a secret one"]);
}

#[test]
fn a_file_of_registries_that_is_named_must_be_there() {
    let author = Author::new();
    let missing = "--registries registries.toml: there is no such file";
    author.push(&["--registries", "registries.toml"]).exits(1).says(&[missing]);
    fs::write(author.path("registries.toml"), "").unwrap();
    author.push(&["--registries", "registries.toml"]).exits(1).says(&["127.0.0.1:1 cannot be reached"]);
}
