//! What no runtime should send: each is one clear error, and nothing is changed.

#[cfg(test)]
mod support;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use test_support::TestNetns;

use support::{Lab, PREV_RESULT, VERSIONS, quoted};

/// What the plugin answers in when it could not read the caller's version.
const LATEST: &str = "1.1.0";

#[test]
fn standard_input_that_is_no_json_object_is_refused() {
    let lab = Lab::new();
    for (stdin, word) in [
        (&b""[..], "empty"),
        (b" \n\t", "empty"),
        (b"[]", "object"),
        (b"[\"1.0.0\",\"net\",\"smc-cni\"]", "object"),
        (b"null", "object"),
        (b"\"text\"", "object"),
        (b"cniVersion: 1.0.0", "object"),
        (b"\xff\xfe{\0}\0", "UTF-8"),
        (b"\0\0\0\0", "object"),
        (b"{\"cniVersion\":\"0.4.0\",}", "decode"),
        (b"{'cniVersion':'0.4.0'}", "decode"),
        (b"{\"cniVersion\":\"0.4.0\"}{}", "decode"),
    ] {
        for command in ["ADD", "CHECK", "STATUS", "GC"] {
            let text = lab.call(command, &lab.conf("1.1.0")).stdin(stdin).run().failed_with(6, LATEST);
            assert!(text.contains(word), "{text} for {}", String::from_utf8_lossy(stdin));
        }
    }
    lab.is_untouched();
}

#[test]
fn a_stray_byte_is_refused_where_it_stands() {
    let lab = Lab::new();
    let call = lab.call("ADD", &lab.conf("0.4.0"));
    let text = call.stdin(b"{\"cniVersion\":\"0.4.0\",\"name\":\"\xe9\"}").run().failed_with(6, "0.4.0");
    assert!(text.contains("not UTF-8 at byte 30"), "{text}");
    lab.is_untouched();
}

#[test]
fn a_configuration_cut_short_anywhere_is_refused() {
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").annotated("true");
    let text = conf.text();
    let text = text.trim_end();
    for length in 0..text.len() {
        lab.call("ADD", &conf).stdin(&text.as_bytes()[..length]).run().failed_with(6, LATEST);
    }
    lab.is_untouched();
}

/// Keys with values that cannot be used, and the code of the error where a pod is bound by them.
fn mistakes() -> Vec<(&'static str, String, u64)> {
    let decoding = [
        ("name", "5"),
        ("type", "[]"),
        ("stateDir", "{}"),
        ("logMaxBytes", "\"4Mi\""),
        ("logMaxBytes", "-1"),
        ("logMaxBytes", "1e99"),
        ("cni.dev/valid-attachments", "{}"),
    ];
    let meaning = [("name", ""), ("type", ""), ("stateDir", "run/kube-smc"), ("stateDir", "")];
    let version = ["9.9.9", "0.2.0", "0.1.0", "1.2.0", "0.4", "v1.0.0", ""];
    let decoding = decoding.map(|(key, raw)| (key, raw.to_owned(), 6));
    let meaning = meaning.map(|(key, text)| (key, quoted(text), 7));
    let version = version.map(|text| ("cniVersion", quoted(text), 1));
    decoding.into_iter().chain(meaning).chain(version).collect()
}

#[test]
fn a_mistake_in_the_entry_or_its_list_costs_no_pod_that_may_run_on_tcp() {
    let lab = Lab::new();
    let plain = lab.conf("0.4.0");
    let policy = [("policy", "true".to_owned(), 0), ("policy", quoted("Required"), 0)];
    let mut expected = 0;
    for (key, raw, _) in mistakes().into_iter().chain(policy) {
        let mut handed_through =
            vec![plain.clone(), plain.clone().annotated("true"), plain.clone().annotated("false")];
        if key != "policy" {
            handed_through.push(plain.clone().required());
        }
        for conf in handed_through {
            lab.call("ADD", &conf.set(key, &*raw)).run().succeeded_with(PREV_RESULT);
            expected += 1;
        }
    }
    let lines = lab.log_lines();
    assert_eq!(lines.len(), expected);
    let tells = |line: &serde_json::Value| {
        line["level"] == "error"
            && line["message"].as_str().is_some_and(|text| text.contains("until this is corrected"))
    };
    assert!(lines.iter().all(tells), "{lines:?}");
    assert_eq!(lab.files(), ["log", "log/kube-smc", "log/kube-smc/cni.log"]);
}

#[test]
fn a_mistake_costs_a_pod_that_must_be_accelerated_and_is_named() {
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").annotated("true").required();
    for (key, raw, code) in mistakes() {
        let version = if key == "cniVersion" { LATEST } else { "0.4.0" };
        for command in ["ADD", "CHECK"] {
            let text = lab.call(command, &conf.clone().set(key, &*raw)).run().failed_with(code, version);
            if key == "cniVersion" {
                assert!(VERSIONS.iter().all(|supported| text.contains(supported)), "{text}");
            } else {
                assert!(text.contains(key), "{text} should name {key}");
            }
        }
    }
    for key in ["name", "type"] {
        let text = lab.call("ADD", &conf.clone().without(key)).run().failed_with(7, "0.4.0");
        assert!(text.contains(key), "{text} should name {key}");
    }
    lab.call("ADD", &conf.clone().without("cniVersion")).run().failed_with(1, LATEST);
    lab.is_untouched();
}

#[test]
fn what_the_runtime_passes_in_another_shape_is_told_and_costs_no_pod() {
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").required();
    let annotations = |value: &str| format!("{{\"io.kubernetes.cri.pod-annotations\":{value}}}");
    let shapes = [
        "\"\"".to_owned(),
        "[]".to_owned(),
        annotations("[]"),
        annotations("\"true\""),
        annotations(r#"{"smc.asm.alibabacloud.com/enabled":true}"#),
    ];
    for (index, value) in shapes.iter().enumerate() {
        lab.call("ADD", &conf.clone().set("runtimeConfig", value)).run().succeeded_with(PREV_RESULT);
        let lines = lab.log_lines();
        assert_eq!(lines.len(), index + 1, "{value}");
        assert!(lines[index]["message"].as_str().unwrap().contains("runtimeConfig"), "{lines:?}");
    }
    // Nobody can tell whether this is a pod's network at all.
    for value in ["[]", "\"{}\"", "false"] {
        let text = lab.call("ADD", &conf.clone().set("prevResult", value)).run().failed_with(6, "0.4.0");
        assert!(text.contains("prevResult"), "{text}");
    }
}

#[test]
fn where_the_runtime_passes_no_annotations_a_policy_that_cannot_hold_is_told() {
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").required();
    let others = r#"{"portMappings":[],"bandwidth":null}"#;
    for conf in [conf.clone().without("runtimeConfig"), conf.clone().set("runtimeConfig", others)] {
        lab.call("ADD", &conf).run().succeeded_with(PREV_RESULT);
    }
    let lines = lab.log_lines();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        let text = line["message"].as_str().unwrap();
        assert!(text.contains("passes no annotations") && text.contains("policy required"), "{text}");
    }
    // No annotations are something else than none passed, and only the policy makes a difference of it.
    lab.call("ADD", &conf).run().succeeded_with(PREV_RESULT);
    lab.call("ADD", &lab.conf("0.4.0").without("runtimeConfig")).run().succeeded_with(PREV_RESULT);
    assert_eq!(lab.log_lines().len(), 2);
}

#[test]
fn standing_first_in_its_list_the_plugin_leaves_pods_to_those_that_follow() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let mut expected = 0;
    for version in VERSIONS {
        for conf in [lab.conf(version).annotated("true"), lab.conf(version), lab.conf(version).required()] {
            for conf in [conf.clone().without("prevResult"), conf.set("prevResult", "null")] {
                let empty = format!(r#"{{"cniVersion":"{version}"}}"#);
                lab.add(&conf, &netns).run().succeeded_with(&empty);
                expected += 1;
            }
        }
        // This one may not start without acceleration.
        let bound = lab.conf(version).annotated("true").required().without("prevResult");
        let text = lab.add(&bound, &netns).run().failed_with(7, version);
        assert!(text.contains("prevResult"), "{text}");
    }
    let lines = lab.log_lines();
    assert_eq!(lines.len(), expected);
    assert!(lines.iter().all(|line| line["message"].as_str().unwrap().contains("prevResult")), "{lines:?}");
    assert!(!lab.state().exists(), "{:?}", lab.files());
}

#[test]
fn an_unknown_command_is_refused() {
    let lab = Lab::new();
    for command in ["UPDATE", "add", "ADD ", "DELETE", "version"] {
        let text = lab.call(command, &lab.conf("0.4.0")).run().failed_with(4, "0.4.0");
        assert!(text.contains(command), "{text}");
    }
    lab.is_untouched();
}

#[test]
fn all_missing_variables_are_named_at_once() {
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").annotated("true");
    let all = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"];
    for command in ["ADD", "CHECK"] {
        let call = lab.call(command, &conf);
        let unset = all.iter().fold(call.clone(), |call, name| call.unset(name));
        let empty = all.iter().fold(call.clone(), |call, name| call.env(name, ""));
        for call in [unset, empty] {
            let text = call.run().failed_with(4, "0.4.0");
            assert!(all.iter().all(|name| text.contains(name)), "{text}");
        }
        for name in all {
            let text = call.clone().unset(name).run().failed_with(4, "0.4.0");
            let named: Vec<_> = all.into_iter().filter(|name| text.contains(name)).collect();
            assert_eq!(named, [name]);
        }
    }
    let text = lab.call("ADD", &conf).unset("CNI_COMMAND").run().failed_with(4, "0.4.0");
    assert!(text.contains("CNI_COMMAND"), "{text}");
    lab.is_untouched();
}

#[test]
fn an_unsupported_version_is_refused_where_nothing_is_to_be_handed_through() {
    let lab = Lab::new();
    for version in ["9.9.9", "0.2.0", ""] {
        let text = lab.call("GC", &lab.conf(version)).run().failed_with(1, LATEST);
        assert!(VERSIONS.iter().all(|supported| text.contains(supported)), "{text}");
    }
    let unread = lab.conf("0.4.0").set("cniVersion", "0.4").annotated("true").required();
    lab.call("ADD", &unread).run().failed_with(6, LATEST);
    lab.is_untouched();
}

#[test]
fn names_that_could_leave_the_state_directory_are_refused() {
    let lab = Lab::new();
    for conf in [lab.conf("0.4.0"), lab.conf("0.4.0").annotated("true")] {
        for ifname in ["../x", "..", ".", "a/b", "eth 0", "eth0\n", "a:1", "sixteen-bytes-xx"] {
            let text = lab.call("ADD", &conf).env("CNI_IFNAME", ifname).run().failed_with(4, "0.4.0");
            assert!(text.contains("CNI_IFNAME"), "{text}");
        }
        for container in ["a/b", "../x", "..", "/etc", "-a", ".hidden", "a b", "a\nb", "é"] {
            let text = lab.call("ADD", &conf).env("CNI_CONTAINERID", container).run().failed_with(4, "0.4.0");
            assert!(text.contains("CNI_CONTAINERID"), "{text}");
        }
        for name in ["CNI_CONTAINERID", "CNI_IFNAME"] {
            let call = lab.call("ADD", &conf).env(name, OsStr::from_bytes(b"a\xff"));
            assert!(call.run().failed_with(4, "0.4.0").contains(name));
        }
    }
    lab.is_untouched();
}

#[test]
fn names_too_long_for_a_record_are_refused_only_when_one_is_needed() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    for (name, value) in [("CNI_CONTAINERID", "a".repeat(250)), ("CNI_IFNAME", "éth0".to_owned())] {
        lab.add(&lab.conf("0.4.0"), &netns).env(name, &value).run().succeeded_with(PREV_RESULT);
        lab.is_untouched();
        let conf = lab.conf("0.4.0").annotated("true");
        let text = lab.add(&conf, &netns).env(name, &value).run().failed_with(4, "0.4.0");
        assert!(text.contains(&value), "{text}");
        assert!(!lab.state().exists());
        fs::remove_dir_all(lab.path().join("log")).unwrap();
    }
}

/// ADD and, for a policy that asks further, CHECK with this namespace: an error, no state, and one line in the log.
#[track_caller]
fn is_no_pods_namespace(lab: &Lab, netns: &OsStr) -> String {
    let conf = lab.conf("0.4.0").annotated("true");
    let mut texts = Vec::new();
    for conf in [conf.clone(), conf.required()] {
        texts.push(lab.call("ADD", &conf).env("CNI_NETNS", netns).run().failed_with(8, "0.4.0"));
    }
    assert!(!lab.state().exists(), "{:?}", lab.files());
    let lines = lab.log_lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| line["level"] == "error" && line["command"] == "ADD"), "{lines:?}");
    assert_eq!(texts[0], texts[1]);
    texts.remove(0)
}

#[test]
fn a_namespace_that_is_gone_is_refused() {
    let text = is_no_pods_namespace(&Lab::new(), OsStr::new("/run/netns/smctest-that-is-gone"));
    assert!(text.contains("/run/netns/smctest-that-is-gone") && text.contains("No such file"), "{text}");
}

#[test]
fn a_file_that_is_no_namespace_is_refused() {
    // What a namespace's mount point is once the mount is undone.
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = is_no_pods_namespace(&Lab::new(), file.path().as_os_str());
    assert!(text.contains(file.path().to_str().unwrap()) && text.contains("not a namespace"), "{text}");
    let directory = tempfile::tempdir().unwrap();
    is_no_pods_namespace(&Lab::new(), directory.path().as_os_str());
}

#[test]
fn the_hosts_own_namespace_is_refused() {
    for path in ["/proc/self/ns/net", "/proc/thread-self/ns/net"] {
        let text = is_no_pods_namespace(&Lab::new(), OsStr::new(path));
        assert!(text.contains("host's own network namespace"), "{text}");
    }
    // By way of another process, too.
    let path = format!("/proc/{}/ns/net", std::process::id());
    let text = is_no_pods_namespace(&Lab::new(), OsStr::new(&path));
    assert!(text.contains(&path), "{text}");
}

#[test]
fn commands_that_the_version_does_not_have_are_refused() {
    let lab = Lab::new();
    for (command, versions) in [
        ("CHECK", &["0.3.0", "0.3.1"][..]),
        ("STATUS", &["0.3.0", "0.3.1", "0.4.0", "1.0.0"]),
        ("GC", &["0.3.0", "0.3.1", "0.4.0", "1.0.0"]),
    ] {
        for version in versions {
            let conf = lab.conf(version).annotated("true").set("cni.dev/valid-attachments", "[]");
            let text = lab.call(command, &conf).run().failed_with(1, version);
            assert!(text.contains(command) && text.contains(version), "{text}");
        }
    }
    lab.is_untouched();
}

#[test]
fn standard_input_that_cannot_be_read_is_an_input_failure() {
    let lab = Lab::new();
    let directory = File::open(lab.cwd()).unwrap();
    let text = lab.call("ADD", &lab.conf("0.4.0")).run_with_stdin(directory).failed_with(5, LATEST);
    assert!(text.contains("standard input"), "{text}");
    lab.is_untouched();
}
