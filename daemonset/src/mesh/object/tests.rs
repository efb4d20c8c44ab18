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
        assert_eq!(cni(&off), Ok(MeshSwitch { on: false, repair: true, why: Why::SmcNotEnabled }), "{off}");
    }
    for object in
        [json!({}), json!({"spec": {}}), json!({"spec": null}), json!({"spec": {"cniConfiguration": null}})]
    {
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
