//! Gets an artifact from a registry.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use koi_artifact::{
    Artifact, Descriptor, Digest, MANIFEST_BYTES, MANIFEST_MEDIA_TYPE, Manifest, Part, Reference, StoreError,
};

use crate::client::{Call, Progress, RegistryClient, Scope};
use crate::error::RegistryError;

/// The header in which a registry says which manifest it gives.
const CONTENT_DIGEST: &str = "docker-content-digest";

impl RegistryClient {
    /// The artifact that a reference names, whole and compared with its digests. What a version leads to is known by
    /// [`Artifact::digest`] then. Nothing is written.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn pull(&self, reference: &Reference, progress: &Progress) -> Result<Artifact, RegistryError> {
        let scope = Scope { repository: reference.name.clone(), writes: false };
        let (digest, manifest_bytes) = self.manifest(reference, &scope).await?;
        let manifest = Manifest::read(&manifest_bytes)
            .map_err(|source| RegistryError::NoComponent { wanted: reference.to_string(), source })?;
        let config = self.blob(reference, &manifest.config, Part::Config, &scope, progress).await?;
        let component = self.blob(reference, manifest.component(), Part::Component, &scope, progress).await?;
        Artifact::new(digest, manifest_bytes.to_vec(), config.to_vec(), component.to_vec())
            .map_err(|source| self.lie(source))
    }

    /// A manifest, and its digest.
    pub(crate) async fn manifest(
        &self,
        reference: &Reference,
        scope: &Scope,
    ) -> Result<(Digest, Bytes), RegistryError> {
        let wanted = reference.to_string();
        let call = Call {
            method: Method::GET,
            url: self.url(&format!("/v2/{}/manifests/{}", reference.name, reference.wanted()))?,
            headers: vec![(header::ACCEPT, HeaderValue::from_static(MANIFEST_MEDIA_TYPE))],
            body: Bytes::new(),
            scope,
            most_bytes: MANIFEST_BYTES as u64,
            progress: &|_| {},
        };
        let answer = self.call(call).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refused(&answer, &wanted));
        }
        let found = Digest::from_bytes(&answer.body);
        if let Some(expected) = reference.digest.filter(|expected| *expected != found) {
            return Err(self.lie(StoreError::OtherBytes { part: Part::Manifest, expected, found }));
        }
        match answer.headers.get(CONTENT_DIGEST).and_then(|value| value.to_str().ok()) {
            Some(said) if said != found.to_string() => Err(RegistryError::OtherDigest {
                registry: self.host().to_owned(),
                wanted,
                said: said.chars().take(80).collect(),
                found: found.to_string(),
            }),
            Some(_) | None => Ok((found, answer.body)),
        }
    }

    async fn blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        part: Part,
        scope: &Scope,
        progress: &Progress,
    ) -> Result<Bytes, RegistryError> {
        let (name, size) = (part.to_string(), descriptor.size);
        let call = Call {
            method: Method::GET,
            url: self.url(&format!("/v2/{}/blobs/{}", reference.name, descriptor.digest))?,
            headers: Vec::new(),
            body: Bytes::new(),
            scope,
            most_bytes: size,
            progress: &|now| progress(&name, now, size),
        };
        let answer = self.call(call).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refused(&answer, &format!("the {part} of {reference}")));
        }
        let found = answer.body.len() as u64;
        match found < size {
            true => {
                Err(RegistryError::Half { registry: self.host().to_owned(), part, expected: size, found })
            }
            false => Ok(answer.body),
        }
    }

    fn lie(&self, source: StoreError) -> RegistryError {
        RegistryError::Lie { registry: self.host().to_owned(), source }
    }
}
