//! What an `ASMMeshConfig` says.

use serde_json::Value;
use thiserror::Error;

use super::{MeshSwitch, Why};

/// A field that is there and is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field} is {found}, not {expected}")]
pub struct Malformed {
    field: &'static str,
    found: &'static str,
    expected: &'static str,
}

/// Reads the switch from an object, without its metadata. Fields that nobody here knows are left alone.
///
/// # Errors
/// When a field that decides is of another type: it must not be guessed what was meant.
pub fn judge(object: &Value) -> Result<MeshSwitch, Malformed> {
    let spec = section(object, "spec", "spec")?;
    let cni = section(spec, "cniConfiguration", "spec.cniConfiguration")?;
    let enabled = flag(cni, "enabled", "spec.cniConfiguration.enabled")?.unwrap_or(true);
    let smc_enabled = flag(cni, "smcEnabled", "spec.cniConfiguration.smcEnabled")?.unwrap_or(false);
    let repair = repair(cni)?;
    let why = match (enabled, smc_enabled) {
        (false, _) => Why::CniDisabled,
        (true, false) => Why::SmcNotEnabled,
        (true, true) => Why::SmcEnabled,
    };
    Ok(MeshSwitch { on: why == Why::SmcEnabled, repair, why })
}

/// ASM documents `repair` as an object and not its fields; Istio's has `enabled`. Ours never deletes a pod, so it is on
/// unless it is switched off.
fn repair(cni: &Value) -> Result<bool, Malformed> {
    const FIELD: &str = "spec.cniConfiguration.repair";
    match cni.get("repair") {
        None | Some(Value::Null) => Ok(true),
        Some(Value::Bool(repair)) => Ok(*repair),
        Some(repair @ Value::Object(_)) => {
            Ok(flag(repair, "enabled", "spec.cniConfiguration.repair.enabled")?.unwrap_or(true))
        }
        Some(other) => {
            Err(Malformed { field: FIELD, found: kind(other), expected: "an object or true or false" })
        }
    }
}

fn section<'a>(parent: &'a Value, key: &str, field: &'static str) -> Result<&'a Value, Malformed> {
    match parent.get(key) {
        None | Some(Value::Null) => Ok(&Value::Null),
        Some(section @ Value::Object(_)) => Ok(section),
        Some(other) => Err(Malformed { field, found: kind(other), expected: "an object" }),
    }
}

fn flag(parent: &Value, key: &str, field: &'static str) -> Result<Option<bool>, Malformed> {
    match parent.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => Err(Malformed { field, found: kind(other), expected: "true or false" }),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
