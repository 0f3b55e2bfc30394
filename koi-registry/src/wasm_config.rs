//! The configuration of an artifact with a component (`application/vnd.wasm.config.v0+json`): what other tools show of it.

use koi_artifact::Digest;
use serde::Serialize;
use wasmparser::{ComponentExternalKind, Parser, Payload};

/// The same file makes the same artifact, whenever it is pushed: so the time in it is always this one.
const CREATED: &str = "1970-01-01T00:00:00Z";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WasmConfig {
    created: &'static str,
    architecture: &'static str,
    os: &'static str,
    layer_digests: Vec<Digest>,
    component: Interfaces,
}

/// The interfaces at the outside of a component.
#[derive(Default, Serialize)]
struct Interfaces {
    exports: Vec<String>,
    imports: Vec<String>,
}

/// A file is no component.
#[derive(Debug, thiserror::Error)]
pub enum WasmConfigError {
    /// It is not WebAssembly.
    #[error("it is not a WebAssembly component: {0}")]
    NotWasm(#[from] wasmparser::BinaryReaderError),
    /// It is a core module.
    #[error("it is not a component but a core module: the last step of the build is missing")]
    CoreModule,
    /// It cannot be written down.
    #[error("its configuration cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// The configuration that goes with a component.
pub(crate) fn wasm_config(component: &[u8]) -> Result<Vec<u8>, WasmConfigError> {
    let config = WasmConfig {
        created: CREATED,
        architecture: "wasm",
        os: "wasip2",
        layer_digests: vec![Digest::from_bytes(component)],
        component: interfaces(component)?,
    };
    Ok(serde_json::to_vec(&config)?)
}

fn interfaces(component: &[u8]) -> Result<Interfaces, WasmConfigError> {
    let mut found = Interfaces::default();
    // What lies within components and modules in it is their own.
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::Version { encoding: wasmparser::Encoding::Module, .. } if depth == 0 => {
                return Err(WasmConfigError::CoreModule);
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    found.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Instance {
                        found.exports.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_refused() {
        assert!(matches!(wasm_config(b"\0asm\x01\0\0\0"), Err(WasmConfigError::CoreModule)));
        assert!(matches!(wasm_config(b"#!/bin/sh"), Err(WasmConfigError::NotWasm(_))));
    }

    #[test]
    fn the_same_component_has_the_same_configuration_with_its_digest() {
        let component = b"\0asm\x0d\0\x01\0";
        let text = String::from_utf8(wasm_config(component).unwrap()).unwrap();
        let digest = Digest::from_bytes(component);
        let expected = format!(
            "{{\"created\":\"1970-01-01T00:00:00Z\",\"architecture\":\"wasm\",\"os\":\"wasip2\",\"layerDigests\":[\"{digest}\"],\
             \"component\":{{\"exports\":[],\"imports\":[]}}}}"
        );
        assert_eq!(text, expected);
    }
}
