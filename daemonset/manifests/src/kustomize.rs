//! The small part of kustomize that this repository uses, so that the rig needs no kubectl. Anything else in a
//! kustomization is an error. The tests compare the result with `kubectl kustomize` where that is installed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use json_patch::Patch;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{ManifestError, parse};

const FILE: &str = "kustomization.yaml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Kustomization {
    api_version: String,
    kind: String,
    #[serde(default)]
    resources: Vec<PathBuf>,
    #[serde(default)]
    components: Vec<PathBuf>,
    #[serde(default)]
    config_map_generator: Vec<ConfigMapGenerator>,
    #[serde(default)]
    patches: Vec<PatchReference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigMapGenerator {
    name: String,
    namespace: String,
    #[serde(default)]
    behavior: Behavior,
    literals: Vec<String>,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Behavior {
    #[default]
    Create,
    Merge,
}

/// A file of JSON patch operations (RFC 6902), and what they are for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatchReference {
    target: Target,
    path: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    kind: String,
    name: String,
}

/// Objects on their way through the layers.
#[derive(Default)]
struct Layers {
    documents: Vec<Value>,
    /// Names of generated `ConfigMap`s, still without their hash.
    generated: Vec<String>,
}

/// Renders the kustomization in `directory` with all that it builds on.
pub fn render(directory: &Path) -> Result<Vec<Value>, ManifestError> {
    let mut layers = Layers::default();
    layers.add(directory, OVERLAY)?;
    for name in std::mem::take(&mut layers.generated) {
        layers.add_hash(&name);
    }
    Ok(layers.documents)
}

/// apiVersion and kind of what stands for itself, and of what is added to others.
const OVERLAY: (&str, &str) = ("kustomize.config.k8s.io/v1beta1", "Kustomization");
const COMPONENT: (&str, &str) = ("kustomize.config.k8s.io/v1alpha1", "Component");

impl Layers {
    /// Adds what a directory's kustomization says. A component finds what is there already, an overlay does not.
    fn add(&mut self, directory: &Path, kind: (&str, &str)) -> Result<(), ManifestError> {
        let path = directory.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(ManifestError::read(&path))?;
        let kustomization: Kustomization =
            serde_saphyr::from_str(&text).map_err(ManifestError::yaml(&path))?;
        let wrong = |what: String| ManifestError::Kustomization { path: path.clone(), what };
        if (kustomization.api_version.as_str(), kustomization.kind.as_str()) != kind {
            return Err(wrong(format!("not a {} of {}", kind.1, kind.0)));
        }
        for resource in &kustomization.resources {
            let resource = directory.join(resource);
            if resource.is_dir() {
                let mut below = Self::default();
                below.add(&resource, OVERLAY)?;
                self.documents.extend(below.documents);
                self.generated.extend(below.generated);
            } else {
                self.documents.extend(parse(&resource)?);
            }
        }
        for component in &kustomization.components {
            self.add(&directory.join(component), COMPONENT)?;
        }
        for generator in &kustomization.config_map_generator {
            self.generate(generator).map_err(wrong)?;
        }
        for PatchReference { target, path: operations_path } in &kustomization.patches {
            let operations_path = directory.join(operations_path);
            let text = std::fs::read_to_string(&operations_path);
            let text = text.map_err(ManifestError::read(&operations_path))?;
            let operations: Patch =
                serde_saphyr::from_str(&text).map_err(ManifestError::yaml(&operations_path))?;
            let document = self.document(&target.kind, &target.name);
            let document =
                document.ok_or_else(|| wrong(format!("no {} {:?} to patch", target.kind, target.name)))?;
            json_patch::patch(document, &operations)
                .map_err(|source| ManifestError::Patch { path: operations_path, source })?;
        }
        Ok(())
    }

    fn document(&mut self, kind: &str, name: &str) -> Option<&mut Value> {
        self.documents
            .iter_mut()
            .find(|document| document["kind"] == kind && document["metadata"]["name"] == name)
    }

    fn generate(&mut self, generator: &ConfigMapGenerator) -> Result<(), String> {
        let name = &generator.name;
        let literals = generator.literals.iter().map(|literal| {
            let (key, value) = literal.split_once('=').ok_or(format!("{literal:?} is not KEY=VALUE"))?;
            Ok((key.to_owned(), Value::from(value)))
        });
        let literals: Vec<(String, Value)> = literals.collect::<Result<_, String>>()?;
        match (self.document("ConfigMap", name), &generator.behavior) {
            (None, Behavior::Create) => {
                self.documents.push(json!({
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": { "name": name, "namespace": generator.namespace },
                    "data": literals.into_iter().collect::<serde_json::Map<_, _>>(),
                }));
                self.generated.push(name.clone());
                Ok(())
            }
            (Some(present), Behavior::Merge) => {
                for (key, value) in literals {
                    present["data"][key] = value;
                }
                Ok(())
            }
            (Some(_), Behavior::Create) => Err(format!("there is a ConfigMap {name:?} already")),
            (None, Behavior::Merge) => Err(format!("there is no ConfigMap {name:?} to merge with")),
        }
    }

    /// Gives a generated `ConfigMap` its final name, also where it is referred to.
    fn add_hash(&mut self, name: &str) {
        let Some(config_map) = self.document("ConfigMap", name) else { return };
        let hashed = format!("{name}-{}", hash(&config_map["data"]));
        config_map["metadata"]["name"] = hashed.clone().into();
        for document in &mut self.documents {
            rename_references(document, name, &hashed);
        }
    }
}

/// kustomize's own hash of a `ConfigMap` (`api/hasher/hasher.go`): of its JSON with sorted keys and no name, spelled without
/// what could make words.
fn hash(data: &Value) -> String {
    let sorted: BTreeMap<&String, &Value> = data.as_object().into_iter().flatten().collect();
    let encoded = format!(r#"{{"data":{},"kind":"ConfigMap","name":""}}"#, json!(sorted));
    // Go's encoder does so.
    let encoded = encoded.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let hex = format!("{:x}", Sha256::digest(encoded.as_bytes()));
    let letter = |digit: char| match digit {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    };
    hex.chars().take(10).map(letter).collect()
}

fn rename_references(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                if ["configMapRef", "configMapKeyRef", "configMap"].contains(&key.as_str())
                    && field["name"] == from
                {
                    field["name"] = to.into();
                }
                rename_references(field, from, to);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename_references(value, from, to)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
