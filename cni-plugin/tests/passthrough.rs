//! A pod without the annotation: the previous result goes through byte for byte, and nothing at all is touched.

#[cfg(test)]
mod support;

use std::io::{Seek, Write};

use support::{Conf, Lab, PREV_RESULT, VERSIONS};

fn annotations(conf: Conf, annotations: &str) -> Conf {
    conf.set("runtimeConfig", format!("{{\"io.kubernetes.cri.pod-annotations\":{annotations}}}"))
}

#[test]
fn the_previous_result_goes_through_byte_for_byte_in_every_version() {
    let lab = Lab::new();
    for version in VERSIONS {
        lab.call("ADD", &lab.conf(version)).run().succeeded_with(PREV_RESULT);
    }
    lab.is_untouched();
}

#[test]
fn a_pod_that_did_not_ask_is_left_alone_however_the_runtime_says_so() {
    let lab = Lab::new();
    let conf = lab.conf("0.4.0");
    for conf in [
        conf.clone().without("runtimeConfig"),
        conf.clone().set("runtimeConfig", "null"),
        conf.clone().set("runtimeConfig", "{}"),
        conf.clone().set("runtimeConfig", r#"{"portMappings":[{"hostPort":80}],"mac":"aa:bb:cc:dd:ee:ff"}"#),
        conf.clone().without("capabilities"),
        annotations(conf.clone(), "null"),
        annotations(conf.clone(), "{}"),
        annotations(
            conf.clone(),
            r#"{"smc.asm.alibabacloud.com/policy":"true","smc.alibabacloud.com/enabled":"true","enabled":"true"}"#,
        ),
        annotations(conf.clone(), r#"{"smc.asm.alibabacloud.com/enable":"false"}"#),
        annotations(
            conf.clone(),
            r#"{"smc.asm.alibabacloud.com/enabled":"false","smc.asm.alibabacloud.com/enable":"true"}"#,
        ),
        conf.clone().annotated("false"),
        conf.clone().annotated("false").required(),
        conf.clone().required(),
    ] {
        lab.call("ADD", &conf).run().succeeded_with(PREV_RESULT);
        lab.is_untouched();
    }
}

#[test]
fn callers_outside_kubernetes_are_left_alone() {
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").without("runtimeConfig");
    // podman gives a name without a namespace, ctr gives nothing.
    let podman = lab.call("ADD", &conf).env("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAME=box");
    podman.run().succeeded_with(PREV_RESULT);
    for call in [podman.env("CNI_ARGS", ""), lab.call("ADD", &conf).unset("CNI_ARGS").unset("CNI_PATH")] {
        call.run().succeeded_with(PREV_RESULT);
    }
    lab.call("ADD", &conf).env("CNI_ARGS", ";=;garbage;K8S_POD_NAME").run().succeeded_with(PREV_RESULT);
    lab.is_untouched();
}

#[test]
fn odd_but_valid_previous_results_go_through() {
    let lab = Lab::new();
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let long = format!("{{\"routes\":[{}\"\"]}}", "\"0.0.0.0/0\", ".repeat(100_000));
    let foreign = r#"{"ips":"none","interfaces":{"eth0":1},"cniVersion":7}"#;
    for prev_result in ["{}", "{ }", foreign, &deep, &long] {
        let conf = lab.conf("1.0.0").set("prevResult", prev_result);
        lab.call("ADD", &conf).run().succeeded_with(prev_result);
    }
    lab.is_untouched();
}

#[test]
fn unknown_keys_and_large_annotations_of_others_do_not_matter() {
    let lab = Lab::new();
    let large = "\\u00e9\\n".repeat(32 * 1024);
    let conf = annotations(lab.conf("0.4.0"), &format!("{{\"notes\":\"{large}\",\"\":\"\"}}"))
        .set("ipam", r#"{"type":"host-local","ranges":[[{"subnet":"10.0.0.0/8"}]]}"#)
        .set("eniip_virtual_type", "\"Veth\"")
        .set("args", "null")
        .set("dns", "[]");
    lab.call("ADD", &conf).run().succeeded_with(PREV_RESULT);
    lab.is_untouched();
}

#[test]
fn a_plain_pod_does_not_need_a_usable_state_or_log_directory() {
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").set("stateDir", "\"/proc/no/such\"").set("logDir", "\"/proc/no/such\"");
    lab.call("ADD", &conf).run().succeeded_with(PREV_RESULT);
    lab.call("ADD", &conf.required()).run().succeeded_with(PREV_RESULT);
    lab.is_untouched();
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let lab = Lab::new();
    let call = lab.call("ADD", &lab.conf("0.4.0")).launched_by(&["sh", "-c", "exec \"$0\" >/dev/full"]);
    let outcome = call.run();
    assert_eq!((outcome.status, &*outcome.stderr), (Some(1), ""));
    lab.is_untouched();
}

#[test]
fn a_thousand_plain_pods_leave_no_file_behind() {
    let lab = Lab::new();
    let call = lab.call("ADD", &lab.conf("0.4.0"));
    for _ in 0..1000 {
        call.run().succeeded_with(PREV_RESULT);
    }
    lab.is_untouched();
}

#[test]
fn the_configuration_may_come_from_a_file() {
    let lab = Lab::new();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(lab.conf("0.4.0").text().as_bytes()).unwrap();
    file.rewind().unwrap();
    lab.call("ADD", &lab.conf("0.4.0")).run_with_stdin(file).succeeded_with(PREV_RESULT);
    lab.is_untouched();
}
