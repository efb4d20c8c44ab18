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
mod tests {
    use serde_json::json;

    use super::*;

    fn cni(configuration: &Value) -> Result<MeshSwitch, Malformed> {
        judge(&json!({"spec": {"cniConfiguration": configuration, "unknown": [1]}}))
    }

    #[test]
    fn only_smc_enabled_true_is_on() {
        let on = MeshSwitch { on: true, repair: true, why: Why::SmcEnabled };
        assert_eq!(cni(&json!({"smcEnabled": true})), Ok(on));
        assert_eq!(cni(&json!({"enabled": true, "smcEnabled": true, "other": {"a": 1}})), Ok(on));
        for off in
            [json!({}), json!({"enabled": true}), json!({"smcEnabled": false}), json!({"smcEnabled": null})]
        {
            assert_eq!(
                cni(&off),
                Ok(MeshSwitch { on: false, repair: true, why: Why::SmcNotEnabled }),
                "{off}"
            );
        }
        for object in [
            json!({}),
            json!({"spec": {}}),
            json!({"spec": null}),
            json!({"spec": {"cniConfiguration": null}}),
        ] {
            assert_eq!(judge(&object).unwrap().why, Why::SmcNotEnabled, "{object}");
        }
    }

    #[test]
    fn a_disabled_cni_is_off_whatever_smc_enabled_says() {
        let off = MeshSwitch { on: false, repair: true, why: Why::CniDisabled };
        assert_eq!(cni(&json!({"enabled": false, "smcEnabled": true})), Ok(off));
        assert_eq!(cni(&json!({"enabled": false})), Ok(off));
    }

    #[test]
    fn repair_is_on_unless_it_is_switched_off() {
        for (repair, expected) in [
            (json!(true), true),
            (json!(false), false),
            (json!({}), true),
            (json!({"enabled": false, "deletePods": true}), false),
            (json!({"enabled": true}), true),
            (Value::Null, true),
        ] {
            let switch = cni(&json!({"smcEnabled": true, "repair": repair})).unwrap();
            assert_eq!((switch.on, switch.repair), (true, expected), "{repair}");
        }
    }

    #[test]
    fn a_field_of_another_type_is_named_and_never_guessed() {
        for (object, message) in [
            (json!({"spec": []}), "spec is a list, not an object"),
            (json!({"spec": {"cniConfiguration": "on"}}), "spec.cniConfiguration is a string, not an object"),
            (
                json!({"spec": {"cniConfiguration": {"smcEnabled": "true"}}}),
                "spec.cniConfiguration.smcEnabled is a string, not true or false",
            ),
            (
                json!({"spec": {"cniConfiguration": {"enabled": 0, "smcEnabled": true}}}),
                "spec.cniConfiguration.enabled is a number, not true or false",
            ),
            (
                json!({"spec": {"cniConfiguration": {"repair": "yes"}}}),
                "spec.cniConfiguration.repair is a string, not an object or true or false",
            ),
        ] {
            assert_eq!(judge(&object).unwrap_err().to_string(), message);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_object_whatever_makes_it_panic_and_on_needs_the_field(
            enabled in values(), smc in values(), repair in values()
        ) {
            let object = json!({"spec": {"cniConfiguration": {"enabled": enabled, "smcEnabled": smc, "repair": repair}}});
            if let Ok(switch) = judge(&object) {
                assert_eq!(switch.on, smc == json!(true) && enabled != json!(false), "{object}");
            }
        }
    }

    fn values() -> impl proptest::strategy::Strategy<Value = Value> {
        proptest::sample::select(vec![
            Value::Null,
            json!(true),
            json!(false),
            json!("true"),
            json!(1),
            json!([]),
            json!({"enabled": false}),
            json!({"enabled": "no"}),
        ])
    }
}
