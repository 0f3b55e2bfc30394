//! Manifests: the list of an artifact's parts (the image specification of the Open Container Initiative, and the WebAssembly working
//! group's artifact layout).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// What a manifest is, for registries.
pub const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// What an artifact with a component is.
pub const ARTIFACT_MEDIA_TYPE: &str = CONFIG_MEDIA_TYPE;
/// What its configuration is.
pub const CONFIG_MEDIA_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// What its only layer is.
pub const LAYER_MEDIA_TYPE: &str = "application/wasm";

/// The annotation that holds the text of a minisign file for the layer. Sigstore's bundles would be artifacts of their own, which name this
/// one as their `subject`.
pub const SIGNATURE_ANNOTATION: &str = "io.koi.plugin.signature.minisign";
/// The annotation with the name that people read.
pub const TITLE_ANNOTATION: &str = "org.opencontainers.image.title";
/// The annotation with the version that people read.
pub const VERSION_ANNOTATION: &str = "org.opencontainers.image.version";

/// Bytes of a manifest.
pub const MANIFEST_BYTES: usize = 1 << 20;
/// Bytes of a configuration.
pub const CONFIG_BYTES: usize = 1 << 20;
/// Bytes of a component: as many as a plugin's file may have.
pub const LAYER_BYTES: usize = 256 << 20;

/// A manifest, as far as koi reads and writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// In an artifact with a component: that one.
    layers: Vec<Descriptor>,
    /// Words about the artifact.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A part of an artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Of its bytes.
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
    /// Words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A manifest is not that of a component.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is no manifest.
    #[error("its manifest cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// It is longer than manifests may be.
    #[error("its manifest is longer than {} KiB", MANIFEST_BYTES >> 10)]
    TooLong,
    /// It is an index, or of another generation.
    #[error("its manifest is {0}, and not that of one component")]
    OtherKind(String),
    /// A container image, or something else that registries hold.
    #[error("it holds {0}, and not a WebAssembly component ({LAYER_MEDIA_TYPE})")]
    NoComponent(String),
    /// A component comes in one layer.
    #[error("it has {0} layers, and a component has exactly one")]
    Layers(usize),
    /// A part is larger than koi takes.
    #[error("its {part} has {size} bytes, and koi takes at most {most}")]
    TooLarge {
        /// `component` or `configuration`.
        part: &'static str,
        /// What the manifest says.
        size: u64,
        /// The limit.
        most: usize,
    },
}

impl Descriptor {
    /// Of these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest: Digest::from_bytes(bytes),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        }
    }
}

impl Manifest {
    /// Of an artifact with this configuration and this component.
    pub fn new(config: &[u8], component: &[u8], annotations: BTreeMap<String, String>) -> Manifest {
        Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST_MEDIA_TYPE.to_owned()),
            artifact_type: Some(ARTIFACT_MEDIA_TYPE.to_owned()),
            config: Descriptor::of(CONFIG_MEDIA_TYPE, config),
            layers: vec![Descriptor::of(LAYER_MEDIA_TYPE, component)],
            annotations,
        }
    }

    /// Reads the manifest of a component.
    ///
    /// # Errors
    /// It is something else, or larger than koi takes.
    pub fn read(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        if bytes.len() > MANIFEST_BYTES {
            return Err(ManifestError::TooLong);
        }
        let kind: Kind = serde_json::from_slice(bytes)?;
        if let Some(other) = kind.media_type.filter(|kind| kind != MANIFEST_MEDIA_TYPE) {
            return Err(ManifestError::OtherKind(other));
        }
        let manifest: Manifest = serde_json::from_slice(bytes)?;
        if manifest.schema_version != 2 {
            return Err(ManifestError::OtherKind(format!("of version {}", manifest.schema_version)));
        }
        let [layer] = &manifest.layers[..] else { return Err(ManifestError::Layers(manifest.layers.len())) };
        if manifest.config.media_type != CONFIG_MEDIA_TYPE || layer.media_type != LAYER_MEDIA_TYPE {
            return Err(ManifestError::NoComponent(layer.media_type.clone()));
        }
        for (part, size, most) in
            [("component", layer.size, LAYER_BYTES), ("configuration", manifest.config.size, CONFIG_BYTES)]
        {
            if size > most as u64 {
                return Err(ManifestError::TooLarge { part, size, most });
            }
        }
        Ok(manifest)
    }

    /// Its bytes, the same for the same manifest.
    ///
    /// # Errors
    /// Never: there is nothing in it that JSON does not have.
    pub fn bytes(&self) -> Result<Vec<u8>, ManifestError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// The component.
    pub fn component(&self) -> &Descriptor {
        // Both ways to make a manifest see to it that there is one.
        &self.layers[0]
    }

    /// The text of the minisign file that goes with the component.
    pub fn signature(&self) -> Option<&str> {
        self.annotations.get(SIGNATURE_ANNOTATION).map(String::as_str)
    }
}

/// What every manifest says of itself, of whatever kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    media_type: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_is_written() {
        let annotations = BTreeMap::from([(SIGNATURE_ANNOTATION.to_owned(), "text".to_owned())]);
        let manifest = Manifest::new(b"{}", b"component", annotations);
        let bytes = manifest.bytes().unwrap();
        let read = Manifest::read(&bytes).unwrap();
        assert_eq!((&read, read.signature()), (&manifest, Some("text")));
        assert_eq!(read.component().digest, Digest::from_bytes(b"component"));
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.contains("\"schemaVersion\":2")
                && text.contains("\"artifactType\":\"application/vnd.wasm.config.v0+json\""),
            "{text}"
        );
    }

    #[test]
    fn what_is_no_component_is_named() {
        let good = serde_json::to_value(Manifest::new(b"{}", b"component", BTreeMap::new())).unwrap();
        let wrong = |pointer: &str, value: serde_json::Value| {
            let mut manifest = good.clone();
            *manifest.pointer_mut(pointer).unwrap() = value;
            Manifest::read(&serde_json::to_vec(&manifest).unwrap()).unwrap_err().to_string()
        };
        let index = "application/vnd.oci.image.index.v1+json";
        assert!(wrong("/mediaType", index.into()).contains(index));
        assert!(wrong("/schemaVersion", 1.into()).contains("version 1"));
        assert!(wrong("/layers", serde_json::json!([])).contains("0 layers"));
        let image = "application/vnd.oci.image.layer.v1.tar+gzip";
        assert!(wrong("/layers/0/mediaType", image.into()).contains(image));
        assert!(wrong("/layers/0/digest", "md5:1".into()).contains("is not a digest"));
        assert!(wrong("/layers/0/size", (1_u64 << 40).into()).contains("koi takes at most"));
        assert!(Manifest::read(b"<html>").unwrap_err().to_string().contains("cannot be read"));
        assert!(
            Manifest::read(&vec![b' '; MANIFEST_BYTES + 1]).unwrap_err().to_string().contains("longer than")
        );
    }
}
