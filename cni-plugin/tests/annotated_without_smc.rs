//! An annotated pod on a node that cannot accelerate it: it starts on plain TCP and the reason is recorded, or it
//! does not start where acceleration is required.

#[cfg(test)]
mod support;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::{Lab, PREV_RESULT, VERSIONS, node_facts, part_with};
use test_support::TestNetns;

/// The refusal's name in the record, after what every settled refusal has was checked: what was seen and what to do
/// for people, the pod's names, and one log line with the same id.
#[track_caller]
fn refusal(lab: &Lab) -> Value {
    let record = lab.record();
    assert_eq!(
        (&record["phase"], &record["verdict"]["is"]),
        (&json!("settled"), &json!("refused")),
        "{record}"
    );
    for key in ["id", "seen", "remedy"] {
        assert!(record[key].as_str().is_some_and(|text| !text.is_empty()), "{key} in {record}");
    }
    assert_eq!(record["network"], "terway-chainer");
    assert_eq!(record["pod"], json!({ "namespace": "shop", "name": "web-0", "uid": "7f00" }));
    assert_eq!(record["attachment"], json!({ "container": lab.container, "ifname": "eth0" }));
    assert_eq!(record["plan"]["steps"], json!([]), "{record}");

    let lines = lab.log_lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!((&line["id"], &line["message"]), (&record["id"], &record["seen"]));
    assert_eq!((&line["remedy"], &line["verdict"]), (&record["remedy"], &record["verdict"]));
    assert_eq!((&line["level"], &line["command"]), (&json!("warn"), &json!("ADD")));
    assert_eq!((&line["namespace"], &line["pod"]), (&json!("shop"), &json!("web-0")));
    assert_eq!((&line["container"], &line["ifname"]), (&json!(lab.container), &json!("eth0")));
    record["verdict"]["reason"]["reason"].clone()
}

#[test]
fn without_an_agent_the_pod_starts_on_tcp_and_the_reason_is_recorded() {
    let Some(netns) = TestNetns::new() else { return };
    for version in VERSIONS {
        let lab = Lab::new();
        let conf = lab.conf(version).annotated("true");
        lab.add(&conf, &netns).run().succeeded_with(PREV_RESULT);
        assert_eq!(refusal(&lab), "AgentNotReady");
        let record = lab.record();
        assert!(record["seen"].as_str().unwrap().contains("node.json is not there"), "{record}");
        assert!(record["remedy"].as_str().unwrap().contains("smc-agent"), "{record}");
        assert_eq!(record["netns"], netns.path().to_str().unwrap());
    }
}

#[test]
fn a_pod_whose_annotation_is_misspelt_starts_on_tcp_also_where_smc_is_required_and_is_told_so() {
    let Some(netns) = TestNetns::new() else { return };
    for key in ["smc.asm.alibabacloud.com/enable", "smc.asm.alibabacloud.com/Enabled"] {
        let lab = Lab::new();
        for conf in [lab.conf("1.0.0"), lab.conf("1.0.0").required()] {
            let conf = conf.annotated_under(key, "true");
            lab.add(&conf, &netns).run().succeeded_with(PREV_RESULT);
            assert_eq!(lab.record()["verdict"]["reason"]["reason"], "AnnotationMisspelt");
            assert!(lab.record()["seen"].as_str().unwrap().contains(key), "{}", lab.record());
        }
    }
}

#[test]
fn only_the_record_its_lock_and_the_log_are_made() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    lab.add(&lab.conf("0.4.0").annotated("true"), &netns).run().succeeded_with(PREV_RESULT);
    let container = &lab.container;
    let expected = [
        "log".to_owned(),
        "log/kube-smc".to_owned(),
        "log/kube-smc/cni.log".to_owned(),
        "run".to_owned(),
        "run/kube-smc".to_owned(),
        "run/kube-smc/locks".to_owned(),
        format!("run/kube-smc/locks/{container}-eth0"),
        "run/kube-smc/pods".to_owned(),
        format!("run/kube-smc/pods/{container}-eth0.json"),
    ];
    assert_eq!(lab.files(), expected);
    // Records and log lines name pods and their addresses.
    for dir in ["", "locks", "pods"] {
        assert_eq!(Lab::mode(&lab.state().join(dir)) & 0o077, 0, "{dir}");
    }
    assert_eq!(Lab::mode(&lab.logs().join("cni.log")) & 0o027, 0);
}

#[test]
fn the_same_add_twice_changes_nothing() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let call = lab.add(&lab.conf("0.4.0").annotated("true"), &netns);
    call.run().succeeded_with(PREV_RESULT);
    let (record, files) = (lab.record_bytes(), lab.files());
    call.run().succeeded_with(PREV_RESULT);
    assert_eq!(lab.record_bytes(), record);
    assert_eq!(lab.files(), files);
    let lines = lab.log_lines();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["id"], &lines[0]["id"]), (&lab.record()["id"], &lines[1]["id"]));
}

#[test]
fn a_reason_that_changed_is_recorded_anew() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let call = lab.add(&lab.conf("0.4.0").annotated("true"), &netns);
    call.run().succeeded_with(PREV_RESULT);
    let first = lab.record();
    lab.publish("{");
    call.run().succeeded_with(PREV_RESULT);
    let second = lab.record();
    assert_eq!(second["verdict"]["reason"]["reason"], "NodeFileUnusable");
    assert_ne!(first["id"], second["id"]);
    assert_eq!(lab.log_lines()[1]["id"], second["id"]);
}

#[test]
fn a_node_file_that_cannot_be_trusted_is_told() {
    let Some(netns) = TestNetns::new() else { return };
    let with = |key: &str, value: Value| {
        let mut facts = node_facts();
        part_with(&mut facts, key)[key] = value;
        facts.to_string()
    };
    let text = node_facts().to_string();
    let without = |key: &str| {
        let mut facts = node_facts();
        part_with(&mut facts, key).as_object_mut().unwrap().remove(key);
        facts.to_string()
    };
    for (content, words) in [
        (String::new(), "node.json"),
        ("{".to_owned(), "node.json"),
        ("[]".to_owned(), "node.json"),
        ("null".to_owned(), "node.json"),
        (text[..text.len() / 2].to_owned(), "node.json"),
        (with("boot_id", json!("00000000-0000-0000-0000-000000000000")), "before the last reboot"),
        (with("version", json!(2)), "format version 2"),
        (with("version", json!("1")), "node.json"),
        (with("conversion", json!("magic")), "magic"),
        (with("ueids", json!(["not a ueid, by far too long to be one"])), "not a ueid"),
        (without("boot_id"), "boot_id"),
        (without("ports"), "ports"),
    ] {
        let lab = Lab::new();
        lab.publish(&content);
        lab.add(&lab.conf("0.4.0").annotated("true"), &netns).run().succeeded_with(PREV_RESULT);
        assert_eq!(refusal(&lab), "NodeFileUnusable", "{content}");
        let record = lab.record();
        assert!(record["seen"].as_str().unwrap().contains(words), "{record}");
        assert_eq!(fs::read_to_string(lab.state().join("node.json")).unwrap(), content);
    }
}

#[test]
fn a_node_file_that_is_no_file_is_told() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    fs::create_dir_all(lab.state().join("node.json")).unwrap();
    lab.add(&lab.conf("0.4.0").annotated("true"), &netns).run().succeeded_with(PREV_RESULT);
    assert_eq!(refusal(&lab), "NodeFileUnusable");
}

#[test]
fn unknown_fields_of_a_newer_agent_are_tolerated() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let mut facts = node_facts();
    facts["x-new"] = json!({ "deep": [1, null] });
    facts["facts"]["kernel"]["x-new"] = json!(true);
    facts["facts"]["ports"][0]["x-new"] = json!("text");
    facts["facts"]["ports"][0]["netdev"]["x-new"] = json!([]);
    lab.publish(facts.to_string());
    lab.add(&lab.conf("0.4.0").annotated("true"), &netns).run().succeeded_with(PREV_RESULT);
    let reason = refusal(&lab);
    if Path::new("/sys/module/smc").exists() {
        // How far such a node gets is another test's matter.
        assert!(reason != "AgentNotReady" && reason != "NodeFileUnusable", "{reason}");
    } else {
        assert_eq!(reason, "SmcNotAvailable");
        assert!(lab.record()["seen"].as_str().unwrap().contains("6.12.0-test"));
    }
}

#[test]
fn an_annotation_that_is_neither_true_nor_false_is_told_and_never_guessed() {
    let Some(netns) = TestNetns::new() else { return };
    for value in ["yes", "True", "", "TRUE", "1", "true ", "\u{1f600}\n\"", "truefalse"] {
        let lab = Lab::new();
        // Not even on a node where nothing is in the way.
        lab.publish(node_facts().to_string());
        lab.add(&lab.conf("0.4.0").annotated(value), &netns).run().succeeded_with(PREV_RESULT);
        assert_eq!(refusal(&lab), "AnnotationInvalid", "{value:?}");
        assert_eq!(lab.record()["verdict"]["reason"]["value"], value);

        let lab = Lab::new();
        let conf = lab.conf("0.4.0").annotated(value).required();
        let text = lab.add(&conf, &netns).run().failed_with(100, "0.4.0");
        assert!(text.contains("AnnotationInvalid") && text.contains(&format!("{value:?}")), "{text}");
    }
}

#[test]
fn where_acceleration_is_required_the_pod_does_not_start() {
    let Some(netns) = TestNetns::new() else { return };
    for version in VERSIONS {
        let lab = Lab::new();
        let conf = lab.conf(version).annotated("true").required();
        let text = lab.add(&conf, &netns).run().failed_with(100, version);
        assert!(text.contains("AgentNotReady") && text.contains("node.json is not there"), "{text}");
        assert_eq!(refusal(&lab), "AgentNotReady");
        assert!(text.contains(lab.record()["remedy"].as_str().unwrap()), "{text}");
        // The kubelet tries again, with the same answer.
        let again = lab.add(&conf, &netns).run().failed_with(100, version);
        assert_eq!(text, again);
    }
}

#[test]
fn a_state_directory_that_cannot_be_written_is_no_concern_of_a_preferred_pod() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let file = lab.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    for dir in [file.join("state"), file.clone(), "/proc/kube-smc".into(), "/sys/kube-smc/x".into()] {
        let conf = lab.conf("0.4.0").annotated("true").set("stateDir", json!(dir).to_string());
        let logged = lab.log_lines().len();
        lab.add(&conf, &netns).run().succeeded_with(PREV_RESULT);
        let text = lab.add(&conf.required(), &netns).run().failed_with(5, "0.4.0");
        assert!(text.contains(&*dir.to_string_lossy()), "{text}");
        let lines = lab.log_lines().split_off(logged);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines.iter().all(|line| line["level"] == "error"), "{lines:?}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "not a directory");
    assert!(!lab.state().exists());
}

#[test]
fn a_full_state_directory_leaves_no_half_record() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    fs::create_dir_all(lab.state()).unwrap();
    // In a mount namespace of its own, so that nothing stays mounted. One page, taken by a file.
    let script = "set -e; mount -t tmpfs -o size=4k tmpfs \"$1\"; echo x >\"$1/ballast\"; \
                  \"$2\"; status=$?; ls -A \"$1/pods\" >&2; exit $status";
    let launcher =
        ["unshare", "-m", "sh", "-c", script, "sh", lab.state().to_str().unwrap()].map(str::to_owned);
    let conf = lab.conf("0.4.0").annotated("true");
    let call = lab.add(&conf, &netns).env("PATH", std::env::var_os("PATH").unwrap()).launched_by(&launcher);
    // The listing of the record directory is on standard error: empty.
    call.run().succeeded_with(PREV_RESULT);
    let lines = lab.log_lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0]["message"].as_str().unwrap().contains("No space left"), "{lines:?}");
}

#[test]
fn a_log_that_cannot_be_written_fails_no_pod() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").annotated("true").set("logDir", "\"/proc/kube-smc\"");
    lab.add(&conf, &netns).run().succeeded_with(PREV_RESULT);
    assert_eq!(lab.record()["verdict"]["reason"]["reason"], "AgentNotReady");
    lab.call("DEL", &conf).run().succeeded_with("");
    assert_eq!(lab.record()["phase"], "tombstone");
}

#[test]
fn a_corrupt_record_is_made_anew() {
    let Some(netns) = TestNetns::new() else { return };
    for content in [&b""[..], b"{", b"[]", b"\xff\xff", b"{\"version\":1}"] {
        let lab = Lab::new();
        lab.corrupt_record(content);
        lab.add(&lab.conf("0.4.0").annotated("true"), &netns).run().succeeded_with(PREV_RESULT);
        assert_eq!(refusal(&lab), "AgentNotReady");
    }
}

#[test]
fn a_pod_whose_names_the_runtime_does_not_tell_is_served_too() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").annotated("true");
    lab.add(&conf, &netns).unset("CNI_ARGS").run().succeeded_with(PREV_RESULT);
    assert_eq!(lab.record()["pod"], json!({ "namespace": "", "name": "", "uid": "" }));
    let line = lab.log_lines().remove(0);
    assert_eq!((&line["container"], &line["pod"]), (&json!(lab.container), &Value::Null));
}

#[test]
fn on_a_node_that_booted_a_moment_ago_an_annotated_pod_waits_for_the_agent_and_others_do_not() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    // Many years: as if this machine had booted a moment ago.
    let conf = lab.conf("1.0.0").set("bootWaitSeconds", "4000000000");
    for conf in [conf.clone().annotated("true"), conf.clone().annotated("true").required()] {
        let text = lab.add(&conf, &netns).run().failed_with(11, "1.0.0");
        assert!(text.contains("smc-agent") && text.contains("node.json is not there"), "{text}");
    }
    assert!(!lab.state().exists(), "no record: it is tried again");
    for conf in [conf.clone(), conf.clone().annotated("false"), conf.clone().required()] {
        lab.add(&conf, &netns).run().succeeded_with(PREV_RESULT);
    }
    let long_ago = lab.conf("1.0.0").annotated("true").set("bootWaitSeconds", "0");
    lab.add(&long_ago, &netns).run().succeeded_with(PREV_RESULT);
    assert_eq!(lab.record()["verdict"]["reason"]["reason"], "AgentNotReady");
}

#[test]
fn a_node_that_the_agent_has_prepared_since_its_boot_lets_no_pod_wait() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let conf = lab.conf("1.0.0").annotated("true").set("bootWaitSeconds", "4000000000");
    let mut facts = node_facts();
    part_with(&mut facts, "boot_id")["boot_id"] = json!("00000000-0000-0000-0000-000000000000");
    lab.publish(facts.to_string());
    let text = lab.add(&conf, &netns).run().failed_with(11, "1.0.0");
    assert!(text.contains("last reboot"), "{text}");
    lab.publish(node_facts().to_string());
    lab.add(&conf, &netns).run().succeeded_with(PREV_RESULT);
}
