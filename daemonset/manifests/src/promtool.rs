//! Alert rules, tried by Prometheus' own `promtool test rules`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::{ManifestError, directory, find, render, repository};

/// Prometheus' own program, as `hack/setup` brings it.
#[derive(Debug, Clone)]
pub struct Promtool(PathBuf);

impl Promtool {
    /// `None` where `hack/setup` has not brought it.
    pub fn find() -> Option<Self> {
        let found = Command::new(repository().join("hack/setup")).arg("--print-promtool").output().ok()?;
        let path = String::from_utf8(found.stdout).ok()?;
        found.status.success().then(|| Self(path.trim_end().into()))
    }

    /// Runs `tests`, a test file of promtool's without its `rule_files`, on `rules`, a file of rules. `Some`: what promtool says of those that fail.
    pub fn test(&self, rules: &Value, tests: &Value) -> Result<Option<String>, ManifestError> {
        let dir = tempfile::tempdir().map_err(ManifestError::read("a temporary directory"))?;
        let mut tests = tests.clone();
        tests["rule_files"] = json!(["rules.yaml"]);
        // JSON is YAML.
        for (name, content) in [("rules.yaml", rules), ("test.yaml", &tests)] {
            let path = dir.path().join(name);
            fs::write(&path, content.to_string()).map_err(ManifestError::read(&path))?;
        }
        let run = Command::new(&self.0).args(["test", "rules"]).arg(dir.path().join("test.yaml")).output();
        let run = run.map_err(ManifestError::read(&self.0))?;
        let said =
            || format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        Ok((!run.status.success()).then(said))
    }
}

/// The committed alert rules, as a file of rules for Prometheus.
pub fn alert_rules() -> Result<Value, ManifestError> {
    let documents = render(&directory().join("monitoring"))?;
    let rules: Value = find(&documents, "PrometheusRule", "kube-smc")?;
    Ok(rules["spec"].clone())
}
