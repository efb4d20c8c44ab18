//! DEL: status 0 and nothing on standard output, whatever the state of node, pod and files. A runtime keeps a pod
//! whose DEL failed for ever, and the plugins before this one in the chain never get theirs.

#[cfg(test)]
mod support;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;

use serde_json::json;
use support::{Lab, PREV_RESULT, VERSIONS, ends_in_time};
use test_support::TestNetns;

/// A lab in which this pod was added, and refused.
fn added(netns: &TestNetns) -> Lab {
    let lab = Lab::new();
    lab.add(&lab.conf("0.4.0").annotated("true"), netns).run().succeeded_with(PREV_RESULT);
    lab
}

#[test]
fn the_del_of_a_plain_pod_makes_no_directories() {
    let lab = Lab::new();
    for version in VERSIONS {
        for conf in [lab.conf(version), lab.conf(version).annotated("true"), lab.conf(version).required()] {
            lab.call("DEL", &conf).run().succeeded_with("");
            lab.call("DEL", &conf.without("prevResult").without("runtimeConfig")).run().succeeded_with("");
        }
    }
    lab.is_untouched();
}

#[test]
fn del_leaves_a_tombstone_once() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = added(&netns);
    let before = lab.record();
    let del = lab.call("DEL", &lab.conf("0.4.0").annotated("true")).env("CNI_NETNS", netns.path());
    del.run().succeeded_with("");
    let mut expected = before.clone();
    expected["phase"] = json!("tombstone");
    let phases: Vec<_> =
        lab.record()["timings"].as_array().unwrap().iter().map(|t| t["phase"].clone()).collect();
    assert_eq!(phases, ["lock", "release"], "of the DEL, not of the ADD");
    expected["timings"] = lab.record()["timings"].clone();
    assert_eq!(lab.record(), expected);
    let (tombstone, files) = (lab.record_bytes(), lab.files());
    let lines = lab.log_lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!((&lines[1]["command"], &lines[1]["id"]), (&json!("DEL"), &before["id"]));
    assert_eq!((&lines[1]["message"], &lines[1]["pod"]), (&json!("released"), &json!("web-0")));

    // containerd's second one: no namespace, no previous result.
    let conf = lab.conf("0.4.0").without("prevResult").without("runtimeConfig");
    for call in [del, lab.call("DEL", &conf).env("CNI_NETNS", "")] {
        call.run().succeeded_with("");
        assert_eq!((lab.record_bytes(), lab.files()), (tombstone.clone(), files.clone()));
        assert_eq!(lab.log_lines().len(), 2);
    }
}

#[test]
fn del_needs_no_namespace() {
    for netns_of_del in [None, Some(""), Some("/run/netns/smctest-that-is-gone"), Some("/proc/self/ns/net")] {
        let Some(netns) = TestNetns::new() else { return };
        let lab = added(&netns);
        drop(netns);
        let call = lab.call("DEL", &lab.conf("0.4.0")).unset("CNI_NETNS");
        let call = netns_of_del.iter().fold(call, |call, path| call.env("CNI_NETNS", path));
        call.run().succeeded_with("");
        assert_eq!(lab.record()["phase"], "tombstone", "{netns_of_del:?}");
    }
}

#[test]
fn del_of_one_attachment_leaves_the_others() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = added(&netns);
    let before = lab.record_bytes();
    let call = lab.call("DEL", &lab.conf("0.4.0"));
    call.clone().env("CNI_IFNAME", "eth1").run().succeeded_with("");
    call.clone().env("CNI_CONTAINERID", format!("{}x", lab.container)).run().succeeded_with("");
    assert_eq!(lab.record_bytes(), before);
}

#[test]
fn an_attachment_may_come_back_after_its_del() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = added(&netns);
    let first = lab.record();
    lab.call("DEL", &lab.conf("0.4.0")).run().succeeded_with("");
    lab.add(&lab.conf("0.4.0").annotated("true"), &netns).run().succeeded_with(PREV_RESULT);
    let second = lab.record();
    assert_eq!(second["phase"], "settled");
    assert_ne!(first["id"], second["id"]);
}

#[test]
fn del_does_not_mind_its_standard_input() {
    let lab = Lab::new();
    let call = lab.call("DEL", &lab.conf("0.4.0"));
    let text = lab.conf("0.4.0").annotated("true").text();
    let text = text.trim_end().as_bytes();
    for length in 0..text.len() {
        call.clone().stdin(&text[..length]).run().succeeded_with("");
    }
    for stdin in
        [&b"[]"[..], b"null", b"\xff\xfe", b"{}", b"{\"cniVersion\":\"9.9.9\"}", b"{\"cniVersion\":5}"]
    {
        call.clone().stdin(stdin).run().succeeded_with("");
    }
    for conf in [
        lab.conf("9.9.9"),
        lab.conf("0.4.0").set("name", "5"),
        lab.conf("0.4.0").set("prevResult", "[]"),
        lab.conf("0.4.0").set("runtimeConfig", "[]"),
        lab.conf("0.4.0").set("policy", "\"strict\""),
        lab.conf("0.4.0").set("stateDir", "\"relative\""),
        lab.conf("0.4.0").without("name"),
    ] {
        lab.call("DEL", &conf).run().succeeded_with("");
    }
    call.run_with_stdin(std::process::Stdio::null()).succeeded_with("");
    call.run_with_stdin(File::open(lab.cwd()).unwrap()).succeeded_with("");
    lab.is_untouched();
}

#[test]
fn del_does_not_mind_its_environment() {
    let lab = Lab::new();
    let call = lab.call("DEL", &lab.conf("0.4.0"));
    let names = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"];
    for name in names {
        call.clone().unset(name).run().succeeded_with("");
        call.clone().env(name, "").run().succeeded_with("");
        call.clone().env(name, OsStr::from_bytes(b"\xff/")).run().succeeded_with("");
        call.clone().env(name, "../x").run().succeeded_with("");
        call.clone().env(name, "x".repeat(5000)).run().succeeded_with("");
    }
    names.iter().fold(call, |call, name| call.unset(name)).run().succeeded_with("");
    assert!(!lab.state().exists());
}

#[test]
fn del_does_not_mind_a_corrupt_record_and_tells_the_log() {
    let lab = Lab::new();
    for content in [&b""[..], b"{", b"[]", b"\0\xff", b"{\"version\":1,\"phase\":\"settled\"}"] {
        lab.corrupt_record(content);
        let logged = lab.log_lines().len();
        lab.call("DEL", &lab.conf("0.4.0")).run().succeeded_with("");
        let record = lab.record_path(&lab.container);
        assert!(!record.exists(), "it is set aside");
        assert_eq!(fs::read(record.with_extension("json.unreadable")).unwrap(), content);
        let lines = lab.log_lines().split_off(logged);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!((&lines[0]["level"], &lines[0]["command"]), (&json!("error"), &json!("DEL")));
        assert!(lines[0]["message"].as_str().unwrap().contains(&lab.container), "{lines:?}");
    }
}

#[test]
fn del_does_not_mind_what_stands_in_the_state_directory() {
    let lab = Lab::new();
    let file = lab.path().join("file");
    fs::write(&file, "").unwrap();
    for dir in [file.join("state"), file, "/proc/kube-smc".into(), "/sys/kube-smc".into(), "/dev/null".into()]
    {
        let conf = lab.conf("0.4.0").set("stateDir", json!(dir).to_string());
        lab.call("DEL", &conf).run().succeeded_with("");
        let conf = conf.set("logDir", "\"/proc/kube-smc\"");
        lab.call("DEL", &conf).run().succeeded_with("");
    }
    fs::create_dir_all(lab.record_path(&lab.container)).unwrap();
    lab.call("DEL", &lab.conf("0.4.0")).run().succeeded_with("");
}

#[test]
fn del_succeeds_when_the_tombstone_cannot_be_written() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = added(&netns);
    let before = lab.record_bytes();
    // Read-only in a mount namespace of its own, so that nothing stays mounted.
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && exec \"$2\"";
    let launcher =
        ["unshare", "-m", "sh", "-c", script, "sh", lab.state().to_str().unwrap()].map(str::to_owned);
    let call = lab.call("DEL", &lab.conf("0.4.0")).env("PATH", std::env::var_os("PATH").unwrap());
    call.launched_by(&launcher).run().succeeded_with("");
    assert_eq!(lab.record_bytes(), before);
    let lines = lab.log_lines();
    assert!(lines.last().unwrap()["message"].as_str().unwrap().contains("Read-only"), "{lines:?}");
}

#[test]
fn del_ends_in_time_when_somebody_else_holds_the_lock() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = added(&netns);
    let lock = File::open(lab.state().join(format!("locks/{}-eth0", lab.container))).unwrap();
    lock.lock().unwrap();
    ends_in_time(|| {
        let outcome = lab.call("DEL", &lab.conf("0.4.0")).run();
        outcome.succeeded_with("");
        outcome.took
    });
    assert_eq!(lab.record()["phase"], "settled");
    let lines = lab.log_lines();
    assert!(lines[1]["message"].as_str().unwrap().contains("held by another process"), "{lines:?}");
    lock.unlock().unwrap();
    lab.call("DEL", &lab.conf("0.4.0")).run().succeeded_with("");
    assert_eq!(lab.record()["phase"], "tombstone");
}
