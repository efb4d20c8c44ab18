//! What no runtime should send: each is one clear error, and nothing is changed.

#[cfg(test)]
mod support;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;

use support::{Lab, Namespace, PREV_RESULT, VERSIONS, quoted};

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

#[test]
fn values_of_the_wrong_type_are_refused_in_the_callers_version() {
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").annotated("true");
    let annotations = |value: &str| format!("{{\"io.kubernetes.cri.pod-annotations\":{value}}}");
    for (key, value) in [
        ("name", "5".to_owned()),
        ("type", "[]".to_owned()),
        ("prevResult", "[]".to_owned()),
        ("prevResult", "\"{}\"".to_owned()),
        ("prevResult", "false".to_owned()),
        ("runtimeConfig", "\"\"".to_owned()),
        ("runtimeConfig", "[]".to_owned()),
        ("runtimeConfig", annotations("[]")),
        ("runtimeConfig", annotations("\"true\"")),
        ("runtimeConfig", annotations(r#"{"smc.asm.alibabacloud.com/enabled":true}"#)),
        ("stateDir", "{}".to_owned()),
        ("logDir", "0".to_owned()),
        ("logMaxBytes", "\"4Mi\"".to_owned()),
        ("logMaxBytes", "-1".to_owned()),
        ("logMaxBytes", "1e99".to_owned()),
        ("policy", "true".to_owned()),
    ] {
        let text = lab.call("ADD", &conf.clone().set(key, &*value)).run().failed_with(6, "0.4.0");
        assert!(text.contains(key), "{text} should name {key}");
    }
    lab.is_untouched();
}

#[test]
fn values_that_mean_nothing_are_refused_in_the_callers_version() {
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").annotated("true");
    for (key, value) in [
        ("name", ""),
        ("type", ""),
        ("policy", "strict"),
        ("policy", "Required"),
        ("stateDir", "run/kube-smc"),
        ("stateDir", ""),
        ("logDir", "../log"),
    ] {
        let text = lab.call("ADD", &conf.clone().set(key, quoted(value))).run().failed_with(7, "0.4.0");
        assert!(text.contains(key), "{text} should name {key}");
    }
    for key in ["name", "type"] {
        let text = lab.call("ADD", &conf.clone().without(key)).run().failed_with(7, "0.4.0");
        assert!(text.contains(key), "{text} should name {key}");
    }
    lab.is_untouched();
}

#[test]
fn without_a_previous_result_nothing_is_touched() {
    let Some(netns) = Namespace::new() else { return };
    let lab = Lab::new();
    for version in VERSIONS {
        for conf in [
            lab.conf(version).annotated("true"),
            lab.conf(version),
            lab.conf(version).annotated("true").required(),
        ] {
            for conf in [conf.clone().without("prevResult"), conf.set("prevResult", "null")] {
                let text = lab.add(&conf, &netns).run().failed_with(7, version);
                assert!(text.contains("prevResult"), "{text}");
            }
        }
    }
    lab.is_untouched();
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
fn an_unsupported_version_is_refused_and_the_supported_ones_are_named() {
    let lab = Lab::new();
    for version in ["9.9.9", "0.2.0", "0.1.0", "1.2.0", "0.4", "v1.0.0", ""] {
        for command in ["ADD", "CHECK", "STATUS", "GC"] {
            let conf = lab.conf(version).annotated("true");
            let text = lab.call(command, &conf).run().failed_with(1, LATEST);
            assert!(VERSIONS.iter().all(|supported| text.contains(supported)), "{text}");
        }
    }
    lab.call("ADD", &lab.conf("0.4.0").without("cniVersion")).run().failed_with(1, LATEST);
    lab.call("ADD", &lab.conf("0.4.0").set("cniVersion", "0.4")).run().failed_with(6, LATEST);
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
    let Some(netns) = Namespace::new() else { return };
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
