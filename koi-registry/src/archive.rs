//! An artifact in one file, for where no registry can be reached: an OCI image layout in a tar archive, which other tools read too.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

use koi_artifact::{
    Artifact, CONFIG_BYTES, Descriptor, Digest, LAYER_BYTES, MANIFEST_BYTES, MANIFEST_MEDIA_TYPE, Manifest,
    ManifestError, Part, Reference, SCHEME, StoreError,
};
use serde::{Deserialize, Serialize};

const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// The annotation with the name of what lies in an archive.
const NAME_ANNOTATION: &str = "org.opencontainers.image.ref.name";
/// Bytes of all that is read of an archive.
const ALL_BYTES: usize = LAYER_BYTES + CONFIG_BYTES + 2 * MANIFEST_BYTES;
/// Entries of an archive that are read.
const ENTRIES: usize = 64;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    manifests: Vec<Descriptor>,
}

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no image layout.
    #[error(
        "it is not an archive that `koi plugins save` or another tool for OCI artifacts has made: it has no {0}"
    )]
    NoLayout(&'static str),
    /// Its list cannot be read.
    #[error("its index.json cannot be read: {0}")]
    Index(#[from] serde_json::Error),
    /// It holds nothing, or too much.
    #[error("it holds {0} artifacts, and must hold one")]
    Several(usize),
    /// There is more in it than an artifact has.
    #[error("there is more in it than a component: koi reads {} MiB and {ENTRIES} files of it", ALL_BYTES >> 20)]
    TooMuch,
    /// A part is missing.
    #[error("its {0} is not in it")]
    Part(Part),
    /// A part is another one than it should be.
    #[error(transparent)]
    Other(#[from] StoreError),
    /// It is no component.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Writes an archive with an artifact that is called so.
///
/// # Errors
/// It cannot be written.
pub fn save(artifact: &Artifact, reference: &Reference, to: impl Write) -> Result<(), ArchiveError> {
    let name = reference.pinned(artifact.digest).to_string();
    let mut descriptor = Descriptor::of(MANIFEST_MEDIA_TYPE, &artifact.manifest_bytes);
    descriptor.annotations.insert(NAME_ANNOTATION.to_owned(), name.trim_start_matches(SCHEME).to_owned());
    let index =
        Index { schema_version: 2, media_type: INDEX_MEDIA_TYPE.to_owned(), manifests: vec![descriptor] };
    let mut archive = tar::Builder::new(to);
    append(&mut archive, "oci-layout", LAYOUT.as_bytes())?;
    append(&mut archive, "index.json", &serde_json::to_vec(&index)?)?;
    for bytes in [&artifact.manifest_bytes, &artifact.config, &artifact.component] {
        append(&mut archive, &format!("blobs/sha256/{}", Digest::from_bytes(bytes).digits()), bytes)?;
    }
    archive.into_inner()?.flush()?;
    Ok(())
}

fn append(archive: &mut tar::Builder<impl Write>, path: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, path, bytes)
}

/// Reads an archive: its artifact, whole and compared with its digests, and what it is called, if that is said.
///
/// # Errors
/// It is no archive of one component, or a part is not what its digest says.
pub fn load(from: impl Read) -> Result<(Artifact, Option<Reference>), ArchiveError> {
    let files = files(from)?;
    let file = |path: &'static str| files.get(path).ok_or(ArchiveError::NoLayout(path));
    file("oci-layout")?;
    let index: Index = serde_json::from_slice(file("index.json")?)?;
    let [descriptor] = &index.manifests[..] else {
        return Err(ArchiveError::Several(index.manifests.len()));
    };
    let part = |part: Part, digest: Digest| {
        files.get(&format!("blobs/sha256/{}", digest.digits())).cloned().ok_or(ArchiveError::Part(part))
    };
    let manifest_bytes = part(Part::Manifest, descriptor.digest)?;
    let manifest = Manifest::read(&manifest_bytes)?;
    let config = part(Part::Config, manifest.config.digest)?;
    let component = part(Part::Component, manifest.component().digest)?;
    let artifact = Artifact::new(descriptor.digest, manifest_bytes, config, component)?;
    let name = descriptor.annotations.get(NAME_ANNOTATION);
    let name = name.and_then(|name| format!("{SCHEME}{name}").parse::<Reference>().ok());
    Ok((artifact, name))
}

/// The regular files of an archive, by their paths. Nothing is unpacked.
fn files(from: impl Read) -> Result<BTreeMap<String, Vec<u8>>, ArchiveError> {
    let mut files = BTreeMap::new();
    let mut room = ALL_BYTES;
    let mut archive = tar::Archive::new(from);
    for (number, entry) in archive.entries()?.enumerate() {
        let mut entry = entry?;
        if number == ENTRIES || entry.size() > room as u64 {
            return Err(ArchiveError::TooMuch);
        }
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry
            .path()?
            .strip_prefix(".")
            .map_or_else(|_| entry.path().map(|path| path.into_owned()), |path| Ok(path.to_owned()))?;
        let mut bytes = Vec::new();
        (&mut entry).take(room as u64).read_to_end(&mut bytes)?;
        room -= bytes.len();
        files.insert(text(&path), bytes);
    }
    Ok(files)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::Publication;

    fn artifact() -> Artifact {
        let publication = Publication {
            component: b"\0asm\x0d\0\x01\0".to_vec(),
            name: "redis".into(),
            version: "0.2.0".into(),
            signature: Some("untrusted comment: …".into()),
        };
        publication.artifact().unwrap()
    }

    fn saved() -> Vec<u8> {
        let mut archive = Vec::new();
        save(&artifact(), &"oci://registry.example:5000/redis:0.2.0".parse().unwrap(), &mut archive).unwrap();
        archive
    }

    #[test]
    fn what_was_saved_is_loaded_as_it_was_and_under_its_name() {
        let (loaded, name) = load(&saved()[..]).unwrap();
        assert_eq!(loaded, artifact());
        let expected = format!("oci://registry.example:5000/redis@{}", artifact().digest);
        assert_eq!(name.unwrap().to_string(), expected);
    }

    #[test]
    fn what_was_changed_cut_off_or_is_something_else_is_not_loaded() {
        let why = |bytes: &[u8]| load(bytes).unwrap_err().to_string();
        let good = saved();
        let at = good.windows(4).rposition(|four| four == b"\0asm").unwrap();
        let mut changed = good.clone();
        changed[at + 6] = 7;
        assert!(why(&changed).contains("its component is not the one that is meant"), "{}", why(&changed));
        assert!(!why(&good[..at]).is_empty());
        assert!(why(b"").contains("oci-layout"), "{}", why(b""));
        assert!(!why(&[7; 2048]).is_empty());
        let mut empty = tar::Builder::new(Vec::new());
        append(&mut empty, "oci-layout", LAYOUT.as_bytes()).unwrap();
        append(&mut empty, "index.json", b"{\"schemaVersion\":2,\"manifests\":[]}").unwrap();
        assert!(why(&empty.into_inner().unwrap()).contains("it holds 0 artifacts"));
    }
}
