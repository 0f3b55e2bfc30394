//! Brings an artifact to a registry.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use koi_artifact::{
    Artifact, CONFIG_MEDIA_TYPE, Digest, LAYER_MEDIA_TYPE, MANIFEST_MEDIA_TYPE, Manifest, Reference,
    SIGNATURE_ANNOTATION, TITLE_ANNOTATION, VERSION_ANNOTATION,
};

use crate::client::{Call, Progress, RegistryClient, SMALL_BYTES, Scope};
use crate::error::RegistryError;
use crate::wasm_config::wasm_config;

/// What is to be published.
#[derive(Clone, Debug, Default)]
pub struct Publication {
    /// The component's file.
    pub component: Vec<u8>,
    /// What the plugin calls itself.
    pub name: String,
    /// Which version it is.
    pub version: String,
    /// The text of its signature's file.
    pub signature: Option<String>,
}

impl Publication {
    /// The artifact: the same one for the same file and signature.
    ///
    /// # Errors
    /// The file is no component.
    pub fn artifact(self) -> Result<Artifact, RegistryError> {
        let config = wasm_config(&self.component)?;
        let annotations = [
            (TITLE_ANNOTATION, Some(self.name)),
            (VERSION_ANNOTATION, Some(self.version)),
            (SIGNATURE_ANNOTATION, self.signature),
        ];
        let annotations: BTreeMap<String, String> =
            annotations.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        let manifest = Manifest::new(&config, &self.component, annotations);
        let manifest_bytes = manifest.bytes()?;
        let digest = Digest::from_bytes(&manifest_bytes);
        Ok(Artifact { digest, manifest, manifest_bytes, config, component: self.component })
    }
}

/// What is there already, and is not this artifact.
fn taken(reference: &Reference, there: &[u8], artifact: &Artifact) -> RegistryError {
    let manifest = Manifest::read(there);
    match manifest.is_ok_and(|there| there.component() == artifact.manifest.component()) {
        true => RegistryError::OtherSignature(reference.to_string()),
        false => RegistryError::Taken(reference.to_string()),
    }
}

impl RegistryClient {
    /// Brings an artifact to the version that `reference` names. `replace`: also when another artifact has this version.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn push(
        &self,
        reference: &Reference,
        artifact: &Artifact,
        replace: bool,
        progress: &Progress,
    ) -> Result<(), RegistryError> {
        let scope = Scope { repository: reference.name.clone(), writes: true };
        match self.manifest(reference, &scope).await {
            Ok((there, _)) if there == artifact.digest => return Ok(()),
            Ok((_, there)) if !replace => return Err(taken(reference, &there, artifact)),
            // Something that is no component may be there too: it is replaced when that is said.
            Ok(_) | Err(RegistryError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        self.blob_there(reference, CONFIG_MEDIA_TYPE, &artifact.config, &scope, progress).await?;
        self.blob_there(reference, LAYER_MEDIA_TYPE, &artifact.component, &scope, progress).await?;
        let path = format!("/v2/{}/manifests/{}", reference.name, reference.wanted());
        let body = Bytes::copy_from_slice(&artifact.manifest_bytes);
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(MANIFEST_MEDIA_TYPE))];
        let call = self.change(Method::PUT, self.url(&path)?, headers, body, &scope);
        let answer = self.call(call).await?;
        match answer.status {
            StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED => Ok(()),
            _ => Err(self.refused(&answer, "to take the manifest")),
        }
    }

    fn change<'c>(
        &self,
        method: Method,
        url: url::Url,
        headers: Vec<(http::HeaderName, HeaderValue)>,
        body: Bytes,
        scope: &'c Scope,
    ) -> Call<'c> {
        Call { method, url, headers, body, scope, most_bytes: SMALL_BYTES, progress: &|_| {} }
    }

    /// Sees to it that the registry has these bytes.
    async fn blob_there(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: &[u8],
        scope: &Scope,
        progress: &Progress,
    ) -> Result<(), RegistryError> {
        let digest = Digest::from_bytes(bytes);
        let there = self.url(&format!("/v2/{}/blobs/{digest}", reference.name))?;
        let answer = self.call(self.change(Method::HEAD, there, Vec::new(), Bytes::new(), scope)).await?;
        if answer.status == StatusCode::OK {
            return Ok(());
        }
        let begin = self.url(&format!("/v2/{}/blobs/uploads/", reference.name))?;
        let answer =
            self.call(self.change(Method::POST, begin.clone(), Vec::new(), Bytes::new(), scope)).await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(self.refused(&answer, "to take a file"));
        }
        let location = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
        let location = location.unwrap_or_default();
        let redirect = |why| RegistryError::Redirect {
            registry: self.host().to_owned(),
            location: location.chars().take(200).collect(),
            why,
        };
        let mut url = begin.join(location).map_err(|_| redirect("it is no address"))?;
        // Whoever takes the file is shown who sends it.
        if !self.is_own(&url) {
            return Err(redirect("files are sent to the registry itself, and to no other server"));
        }
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let (name, size) =
            (if media_type == LAYER_MEDIA_TYPE { "component" } else { "configuration" }, bytes.len() as u64);
        let show = |now: u64| progress(name, now, size);
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))];
        let call = self.change(Method::PUT, url, headers, Bytes::copy_from_slice(bytes), scope);
        let answer = self.call(Call { progress: &show, ..call }).await?;
        match answer.status {
            StatusCode::CREATED | StatusCode::OK => Ok(()),
            _ => Err(self.refused(&answer, "to take a file")),
        }
    }
}
