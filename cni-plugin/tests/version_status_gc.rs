//! VERSION, STATUS, CHECK and GC.

#[cfg(test)]
mod support;

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Conf, Lab, PREV_RESULT, VERSIONS, node_facts, part_with, quoted};
use test_support::TestNetns;

#[test]
fn version_is_answered_whatever_is_asked() {
    let lab = Lab::new();
    for (stdin, version) in [
        (r#"{"cniVersion":"0.4.0"}"#, "0.4.0"),
        (r#"{"cniVersion":"1.1.0","name":"x","plugins":[]}"#, "1.1.0"),
        (r#"{"cniVersion":"9.9.9"}"#, "9.9.9"),
        (r#"{"cniVersion":"0.1.0"}"#, "0.1.0"),
        (r#"{"cniVersion":"a\"b"}"#, "a\"b"),
        ("{}", "1.1.0"),
        ("", "1.1.0"),
        ("{\"cniVersion\":", "1.1.0"),
        ("[]", "1.1.0"),
        (r#"{"cniVersion":4}"#, "1.1.0"),
    ] {
        // Only the command is required; what else is there does not matter.
        for call in [
            lab.call("VERSION", &lab.conf("0.4.0")).env("CNI_IFNAME", "../x"),
            ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"]
                .iter()
                .fold(lab.call("VERSION", &lab.conf("0.4.0")), |call, name| call.unset(name)),
        ] {
            let outcome = call.stdin(stdin).run();
            assert_eq!((outcome.status, &*outcome.stderr), (Some(0), ""), "{stdin}");
            let answer: Value = serde_json::from_slice(&outcome.stdout).unwrap();
            assert_eq!(answer, json!({ "cniVersion": version, "supportedVersions": VERSIONS }), "{stdin}");
        }
    }
    lab.is_untouched();
}

#[test]
fn status_says_that_plain_pods_can_be_served_whatever_keeps_annotated_ones_from_smc() {
    let lab = Lab::new();
    for conf in [
        lab.conf("1.1.0"),
        lab.conf("1.1.0").required(),
        lab.conf("1.1.0").required().set("stateDir", quoted("x")),
        lab.conf("1.1.0").set("logMaxBytes", quoted("4M")),
    ] {
        let call = lab.call("STATUS", &conf);
        call.run().succeeded_with("");
        ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"]
            .iter()
            .fold(call, |call, name| call.unset(name))
            .run()
            .succeeded_with("");
    }
    lab.is_untouched();

    let mut facts = node_facts();
    part_with(&mut facts, "ports")["ports"] = json!([]);
    for facts in ["{".to_owned(), facts.to_string()] {
        lab.publish(facts);
        lab.call("STATUS", &lab.conf("1.1.0").required()).run().succeeded_with("");
    }
}

#[test]
fn check_costs_no_pod_that_may_run_on_tcp() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    for version in ["0.4.0", "1.0.0", "1.1.0"] {
        for conf in [lab.conf(version), lab.conf(version).required(), lab.conf(version).annotated("true")] {
            lab.call("CHECK", &conf).env("CNI_NETNS", netns.path()).run().succeeded_with("");
            lab.call("CHECK", &conf.without("prevResult")).run().succeeded_with("");
        }
    }
    lab.is_untouched();
}

#[test]
fn check_under_required_tells_why_the_pod_is_not_accelerated() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let required = lab.conf("1.0.0").annotated("true").required();
    let text = lab.call("CHECK", &required).run().failed_with(100, "1.0.0");
    assert!(text.contains("never set up"), "{text}");
    lab.is_untouched();

    lab.add(&lab.conf("1.0.0").annotated("true"), &netns).run().succeeded_with(PREV_RESULT);
    let record = lab.record_bytes();
    let text = lab.call("CHECK", &required).run().failed_with(100, "1.0.0");
    assert!(text.contains("AgentNotReady"), "{text}");
    assert_eq!(lab.record_bytes(), record);

    lab.corrupt_record(b"{");
    lab.call("CHECK", &required).run().failed_with(5, "1.0.0");
    assert_eq!(lab.record_bytes(), b"{");
}

/// A lab with settled records of containers `a` and `b` of this network and `c` of another.
fn three_pods() -> Option<(Lab, TestNetns)> {
    let netns = TestNetns::new()?;
    let lab = Lab::new();
    for (container, network) in [("a", "terway-chainer"), ("b", "terway-chainer"), ("c", "other")] {
        let conf = lab.conf("1.1.0").annotated("true").set("name", quoted(network));
        lab.add(&conf, &netns).env("CNI_CONTAINERID", container).run().succeeded_with(PREV_RESULT);
    }
    Some((lab, netns))
}

/// As [`three_pods`], an hour after the pods were made and their namespace went, without a DEL.
fn three_orphans() -> Option<Lab> {
    let (lab, netns) = three_pods()?;
    made_an_hour_ago(&lab);
    drop(netns);
    Some(lab)
}

fn made_an_hour_ago(lab: &Lab) {
    for container in ["a", "b", "c"] {
        let mut record = lab.record_of(container);
        let began = record["started_ms"].as_u64().unwrap_or_else(|| panic!("{record}"));
        part_with(&mut record, "started_ms")["started_ms"] = json!(began - 3_600_000);
        let written = fs::write(lab.record_path(container), record.to_string());
        written.unwrap_or_else(|error| panic!("{error}"));
    }
}

fn phases(lab: &Lab) -> [Value; 3] {
    ["a", "b", "c"].map(|container| lab.record_of(container)["phase"].clone())
}

fn gc(lab: &Lab, conf: &Conf) {
    let call = lab.call("GC", conf);
    ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"]
        .iter()
        .fold(call, |call, name| call.unset(name))
        .run()
        .succeeded_with("");
}

#[test]
fn gc_releases_what_is_not_listed_in_this_network_only() {
    for key in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
        let Some(lab) = three_orphans() else { return };
        let other = fs::read(lab.record_path("c")).unwrap();
        let logged = lab.log_lines().len();
        let list = json!([
            { "containerID": "a", "ifname": "eth0" },
            { "containerID": "b", "ifname": "eth1" },
            { "containerID": "x", "ifname": "eth0" },
        ]);
        let conf =
            lab.conf("1.1.0").without("prevResult").without("runtimeConfig").set(key, list.to_string());
        gc(&lab, &conf);
        assert_eq!(phases(&lab), ["settled", "tombstone", "settled"], "{key}");
        assert_eq!(fs::read(lab.record_path("c")).unwrap(), other);
        let lines = lab.log_lines().split_off(logged);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!((&lines[0]["command"], &lines[0]["container"]), (&json!("GC"), &json!("b")));

        // Again: nothing is left to release.
        let before = fs::read(lab.record_path("b")).unwrap();
        gc(&lab, &conf);
        assert_eq!(fs::read(lab.record_path("b")).unwrap(), before);
        assert_eq!(lab.log_lines().len(), logged + 1);
    }
}

/// A second runtime on the node, with a network of the same name, or a sandbox that is slow to be listed.
#[test]
fn gc_spares_pods_that_the_runtime_does_not_know_while_they_live() {
    let Some((lab, netns)) = three_pods() else { return };
    let conf = lab.conf("1.1.0").set("cni.dev/valid-attachments", "[]");
    gc(&lab, &conf);
    assert_eq!(phases(&lab), ["settled", "settled", "settled"]);
    made_an_hour_ago(&lab);
    let name = netns.path().file_name().unwrap();
    let mut inside = Command::new("ip")
        .args(["netns", "exec"])
        .arg(name)
        .args(["cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It is in there once it answers.
    let (mut to, mut from) = (inside.stdin.take().unwrap(), inside.stdout.take().unwrap());
    to.write_all(b"x").unwrap();
    from.read_exact(&mut [0]).unwrap();
    gc(&lab, &conf);
    let spared = phases(&lab);
    drop(to);
    inside.wait().unwrap();
    assert_eq!(spared, ["settled", "settled", "settled"]);
    // Whether it is empty cannot be told where some processes are hidden; whether it is gone can.
    drop(netns);
    gc(&lab, &conf);
    assert_eq!(phases(&lab), ["tombstone", "tombstone", "settled"], "there is none any more");
}

#[test]
fn gc_keeps_what_either_spelling_lists() {
    let Some((lab, _netns)) = three_pods() else { return };
    let list = |container: &str| json!([{ "containerID": container, "ifname": "eth0" }]).to_string();
    let conf =
        lab.conf("1.1.0").set("cni.dev/valid-attachments", list("a")).set("cni.dev/attachments", list("b"));
    gc(&lab, &conf);
    assert_eq!(phases(&lab), ["settled", "settled", "settled"]);
}

#[test]
fn gc_with_an_empty_or_null_list_releases_all_of_this_network() {
    for (key, list) in [
        ("cni.dev/valid-attachments", "null"),
        ("cni.dev/valid-attachments", "[]"),
        ("cni.dev/attachments", "null"),
    ] {
        let Some(lab) = three_orphans() else { return };
        gc(&lab, &lab.conf("1.1.0").set(key, list));
        assert_eq!(phases(&lab), ["tombstone", "tombstone", "settled"], "{key}: {list}");
    }
}

#[test]
fn gc_without_a_list_does_nothing() {
    let Some((lab, _netns)) = three_pods() else { return };
    let (files, logged) = (lab.files(), lab.log_lines().len());
    gc(&lab, &lab.conf("1.1.0"));
    assert_eq!(phases(&lab), ["settled", "settled", "settled"]);
    assert_eq!((lab.files(), lab.log_lines().len()), (files, logged));
}

#[test]
fn gc_with_a_list_that_cannot_be_read_releases_nothing() {
    let Some((lab, _netns)) = three_pods() else { return };
    for list in ["{}", "[{}]", "[null]", r#"[{"containerID":5,"ifname":"eth0"}]"#, "\"a\"", "false"] {
        let conf = lab.conf("1.1.0").set("cni.dev/valid-attachments", list);
        lab.call("GC", &conf).run().failed_with(6, "1.1.0");
    }
    assert_eq!(phases(&lab), ["settled", "settled", "settled"]);
}

#[test]
fn gc_on_a_node_without_records_makes_no_directories() {
    let lab = Lab::new();
    gc(&lab, &lab.conf("1.1.0").set("cni.dev/valid-attachments", "[]"));
    lab.is_untouched();
}

#[test]
fn gc_steps_over_a_record_that_cannot_be_read() {
    let Some(lab) = three_orphans() else { return };
    lab.corrupt_record(b"not a record");
    gc(&lab, &lab.conf("1.1.0").set("cni.dev/valid-attachments", "[]"));
    assert_eq!(phases(&lab), ["tombstone", "tombstone", "settled"]);
    assert_eq!(lab.record_bytes(), b"not a record");
}
