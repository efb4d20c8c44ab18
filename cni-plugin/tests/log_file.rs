//! The plugin's log, and how long a call may take when something is in its way.

#[cfg(test)]
mod support;

use std::collections::BTreeSet;
use std::fs::{self, File};

use serde_json::Value;
use support::{Lab, PREV_RESULT, ends_in_time};
use test_support::TestNetns;

#[test]
fn every_annotated_call_is_one_line_of_json() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").annotated("true");
    for calls in 1..=5 {
        lab.add(&conf, &netns).run().succeeded_with(PREV_RESULT);
        let lines = lab.log_lines();
        assert_eq!(lines.len(), calls);
        let line = lines.last().unwrap();
        assert!(line["took_us"].as_u64().is_some_and(|us| us > 0), "{line}");
        let time = line["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z') && time.contains('T'), "{time}");
        assert_eq!(line["network"], "terway-chainer");
    }
    // A plain pod adds none.
    lab.add(&lab.conf("0.4.0"), &netns).run().succeeded_with(PREV_RESULT);
    assert_eq!(lab.log_lines().len(), 5);
}

#[test]
fn a_line_stays_one_line_whatever_the_pod_is_called() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").annotated("a\nb\u{2028}\"\\").set("name", "\"net\\nwork\\u0000\"");
    let args = "K8S_POD_NAMESPACE=n\ns;K8S_POD_NAME=\"}\r\n{\"";
    lab.add(&conf, &netns).env("CNI_ARGS", args).run().succeeded_with(PREV_RESULT);
    let lines = lab.log_lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (lines[0]["namespace"].as_str(), lines[0]["pod"].as_str()),
        (Some("n\ns"), Some("\"}\r\n{\""))
    );
    assert_eq!(lines[0]["network"], "net\nwork\0");
}

#[test]
fn the_log_never_outgrows_twice_its_limit() {
    const LIMIT: usize = 4096;
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").annotated("true").set("logMaxBytes", LIMIT.to_string());
    let mut ids = Vec::new();
    for number in 0..200 {
        let container = format!("pod-{number:03}");
        let call = lab.add(&conf, &netns).env("CNI_CONTAINERID", &container);
        call.run().succeeded_with(PREV_RESULT);
        ids.push(lab.record_of(&container)["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(support::files_below(&lab.logs()), ["cni.log", "cni.log.1"]);
    let mut kept = Vec::new();
    for file in ["cni.log.1", "cni.log"] {
        let lines = lab.lines_of(file);
        let text = fs::read_to_string(lab.logs().join(file)).unwrap();
        let longest = text.lines().map(str::len).max().unwrap() + 1;
        assert!(text.len() <= LIMIT + longest, "{file} has {} bytes", text.len());
        kept.extend(lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()));
    }
    // The full file has as many lines as fit, and what is kept are the newest, none lost in between.
    assert!(fs::metadata(lab.logs().join("cni.log.1")).unwrap().len() > LIMIT as u64 / 2);
    assert_eq!(kept, ids[ids.len() - kept.len()..]);
}

#[test]
fn lines_of_concurrent_calls_do_not_mix() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").annotated("true");
    let calls: Vec<_> = (0..20)
        .map(|number| lab.add(&conf, &netns).env("CNI_CONTAINERID", format!("pod-{number}")).spawn())
        .collect();
    for call in calls {
        call.finish().succeeded_with(PREV_RESULT);
    }
    let lines = lab.log_lines();
    let distinct =
        |key: &str| lines.iter().map(|line| line[key].as_str().unwrap()).collect::<BTreeSet<_>>().len();
    assert_eq!((lines.len(), distinct("id"), distinct("container")), (20, 20, 20));
}

#[test]
fn concurrent_calls_that_start_a_new_log_lose_and_mix_nothing_of_it() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    // Room for about ten lines: twenty fill the first file and begin the second.
    let conf = lab.conf("0.4.0").annotated("true").set("logMaxBytes", "8000");
    let calls: Vec<_> = (0..20)
        .map(|number| lab.add(&conf, &netns).env("CNI_CONTAINERID", format!("pod-{number}")).spawn())
        .collect();
    for call in calls {
        call.finish().succeeded_with(PREV_RESULT);
    }
    let files = [lab.lines_of("cni.log.1"), lab.lines_of("cni.log")];
    assert!(files.iter().all(|lines| !lines.is_empty()), "{files:?}");
    let lines = files.concat();
    let ids: BTreeSet<_> = lines.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!((lines.len(), ids.len()), (20, 20));
}

#[test]
fn the_same_call_at_the_same_time_makes_one_record() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let call = lab.add(&lab.conf("0.4.0").annotated("true"), &netns);
    let calls: Vec<_> = (0..10).map(|_| call.spawn()).collect();
    for call in calls {
        call.finish().succeeded_with(PREV_RESULT);
    }
    let record = lab.record();
    let lines = lab.log_lines();
    assert_eq!(lines.len(), 10);
    assert!(lines.iter().all(|line| line["id"] == record["id"]), "{lines:?}");
    assert_eq!(support::files_below(&lab.state().join("pods")).len(), 1);
}

#[test]
fn an_attachment_that_somebody_else_works_on_holds_no_pod_up() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let locks = lab.state().join("locks");
    fs::create_dir_all(&locks).unwrap();
    let path = locks.join(format!("{}-eth0", lab.container));
    let lock = File::create(&path).unwrap();
    lock.lock().unwrap();
    let conf = lab.conf("0.4.0").annotated("true");
    let mut calls = 0;
    ends_in_time(|| {
        calls += 1;
        let outcome = lab.add(&conf, &netns).run();
        outcome.succeeded_with(PREV_RESULT);
        outcome.took
    });
    ends_in_time(|| {
        calls += 1;
        let outcome = lab.add(&conf.clone().required(), &netns).run();
        let text = outcome.failed_with(5, "0.4.0");
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        outcome.took
    });
    let lines = lab.log_lines();
    assert_eq!(lines.len(), calls, "{lines:?}");
    let held = |line: &Value| line["message"].as_str().unwrap().contains("held by another process");
    assert!(lines.iter().all(|line| line["level"] == "error" && held(line)), "{lines:?}");
    assert!(!lab.record_path(&lab.container).exists());
}

#[test]
fn a_log_that_somebody_else_locked_holds_no_pod_up() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").annotated("true").set("logMaxBytes", "1");
    let call = lab.add(&conf, &netns);
    call.run().succeeded_with(PREV_RESULT);
    let lock = File::open(lab.logs()).unwrap();
    lock.lock().unwrap();
    // The second line wants a new file, for which the lock is needed.
    let call = call.env("CNI_CONTAINERID", "second");
    ends_in_time(|| {
        let outcome = call.run();
        outcome.succeeded_with(PREV_RESULT);
        outcome.took
    });
    assert_eq!(lab.log_lines()[0]["id"], lab.record_of("second")["id"]);
}

#[test]
fn a_line_longer_than_the_limit_is_kept_with_the_one_before_it() {
    let Some(netns) = TestNetns::new() else { return };
    let lab = Lab::new();
    let conf = lab.conf("0.4.0").annotated("true").set("logMaxBytes", "0");
    for (calls, files) in
        [&["cni.log"][..], &["cni.log", "cni.log.1"], &["cni.log", "cni.log.1"]].iter().enumerate()
    {
        let container = format!("pod-{calls}");
        lab.add(&conf, &netns).env("CNI_CONTAINERID", &container).run().succeeded_with(PREV_RESULT);
        assert_eq!(&support::files_below(&lab.logs()), files);
        let lines = lab.log_lines();
        assert_eq!((lines.len(), lines[0]["container"].as_str()), (1, Some(&*container)));
    }
    assert_eq!(lab.lines_of("cni.log.1")[0]["container"], "pod-1");
}
