//! What a published plugin is.
//!
//! A component is published as an OCI artifact, as the WebAssembly working group lays it down: a manifest, a configuration, and one layer,
//! the component. [`Reference`] is its name in a registry. A [`Manifest`] is known by its [`Digest`], and names its parts by theirs.
//! [`Store`] is the folder in which pulled artifacts lie: `koi` writes it, and koid reads it. A [`Signature`](signature::Signature) says
//! who vouches for a plugin's file, of whatever kind it is and however it came.
//!
//! Nothing in here speaks to a registry.

#![forbid(unsafe_code)]

mod digest;
mod manifest;
mod reference;
pub mod signature;
mod store;

pub use digest::{Digest, DigestError};
pub use manifest::{
    ARTIFACT_MEDIA_TYPE, CONFIG_BYTES, CONFIG_MEDIA_TYPE, Descriptor, LAYER_BYTES, LAYER_MEDIA_TYPE,
    MANIFEST_BYTES, MANIFEST_MEDIA_TYPE, Manifest, ManifestError, SIGNATURE_ANNOTATION, TITLE_ANNOTATION,
    VERSION_ANNOTATION,
};
pub use reference::{Reference, ReferenceError, SCHEME};
pub use store::{Artifact, Part, Store, StoreError};
