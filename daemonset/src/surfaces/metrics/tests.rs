//! What is written is read again by a small reader of OpenMetrics that takes nothing for granted.

use std::collections::{BTreeMap, BTreeSet};

use smc_model::{Failure, Failures, LiveVerdict, PeersWithoutSmc, Reason, Verdict};
use smc_state::{AttachmentId, FallbackCount, LivePod, PodName, StepTiming};
use smc_surfaces::Subject;

use super::*;
use crate::board::{Chain, DeviceUse, NodeCheck, PodVerdict};
use crate::testing::test_values::{board, record};

/// A family as it was read.
#[derive(Debug, Default)]
struct Read {
    kind: String,
    help: String,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Read {
    #[track_caller]
    fn value(&self, labels: &[(&str, &str)]) -> f64 {
        let wanted: BTreeMap<String, String> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let found: Vec<f64> = self
            .samples
            .iter()
            .filter(|(_, labels, _)| *labels == wanted)
            .map(|(_, _, value)| *value)
            .collect();
        assert_eq!(found.len(), 1, "{wanted:?} in {self:?}");
        found[0]
    }
}

/// Reads OpenMetrics text; panics on what the specification forbids.
#[track_caller]
fn read(text: &str) -> BTreeMap<String, Read> {
    let mut families: BTreeMap<String, Read> = BTreeMap::new();
    let mut current = String::new();
    let body = text.strip_suffix("# EOF\n").expect("ends with EOF");
    for line in body.lines() {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
        };
        if let Some(comment) = line.strip_prefix("# ") {
            let [keyword, name, rest] = comment.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            assert!(is_name(name), "{line}");
            if name != current {
                assert!(families.insert(name.to_owned(), Read::default()).is_none(), "{name} comes twice");
                name.clone_into(&mut current);
            }
            let family = families.get_mut(name).unwrap();
            assert!(family.samples.is_empty(), "{line} after the samples");
            match keyword {
                "HELP" => rest.clone_into(&mut family.help),
                "TYPE" => rest.clone_into(&mut family.kind),
                "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                other => panic!("{other}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect(line);
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').expect(line)),
            None => (series, ""),
        };
        assert!(is_name(name), "{line}");
        let family = families.get_mut(&current).expect(line);
        let suffix = name.strip_prefix(&current).expect(line);
        let suffixes: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("{other}"),
        };
        assert!(suffixes.contains(&suffix), "{line}");
        family.samples.push((suffix.to_owned(), read_labels(labels), value.parse().expect(line)));
    }
    families
}

#[track_caller]
fn read_labels(mut text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (key, rest) = text.split_once("=\"").expect(text);
        let (mut value, mut characters) = (String::new(), rest.char_indices());
        let end = loop {
            match characters.next().expect(rest) {
                (at, '"') => break at,
                (_, '\\') => match characters.next().expect(rest).1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        assert!(labels.insert(key.to_owned(), value).is_none(), "{key} twice in {text}");
        text = rest[end + 1..].strip_prefix(',').unwrap_or(&rest[end + 1..]);
    }
    labels
}

/// Traffic of a pod: the first is degraded, the others are active.
fn live(pod: &PodName, attachment: AttachmentId) -> LivePod {
    let failure = Failure::Fallback { code: 0x0303_0000, peer_diagnosis: 0, ipv6_socket: false, side: None };
    let failures = vec![Failures { count: 3, failure, diagnosis: None }];
    let degraded = LiveVerdict::Degraded { cause: None, failures };
    let count = |reason: &str, count| FallbackCount { code: 1, reason: reason.to_owned(), count };
    LivePod {
        attachment,
        pod: pod.clone(),
        id: "id".to_owned(),
        live: if pod.name == "web-1" { degraded } else { LiveVerdict::Active },
        since: 1_700_000_000,
        smcr: 11,
        handshake_errors: 0,
        fallbacks: vec![
            count("peer \"x\" declined\n", 3),
            count("UnknownFallback", 2),
            count("UnknownFallback", 2),
        ],
        peers_without_smc: PeersWithoutSmc { counts: [("10.0.0.9".parse().unwrap(), 4)].into(), others: 1 },
        offers_taken_out: [("not-allowed".to_owned(), 5)].into(),
        syns_dropped: 0,
        unplaced: 0,
    }
}

/// A board with something of everything.
fn full() -> (Board, Metrics) {
    let board = board();
    board.update(|view| {
        for (pod, verdict) in [
            ("web-1", Verdict::Configured),
            ("web-2", Verdict::Configured),
            ("web-3", Verdict::refused(Reason::NoRdmaDevice)),
        ] {
            let record = record(pod, verdict.clone());
            view.pods.insert(record.attachment, PodVerdict { pod: record.pod, id: record.id, verdict });
        }
        for attachment in view.pods.keys().take(2).cloned().collect::<Vec<_>>() {
            let pod = live(&view.pods[&attachment].pod, attachment.clone());
            view.live.insert(attachment, pod);
        }
        view.devices = vec![
            DeviceUse {
                device: "erdma_0".to_owned(),
                link_groups: 2,
                queue_pairs: 4,
                queue_pairs_max: Some(1024),
            },
            DeviceUse { device: "rxe0".to_owned(), link_groups: 1, queue_pairs: 2, queue_pairs_max: None },
        ];
        view.events.written = 5;
        view.events.dropped_full = 2;
        view.events.dropped_before_queue = 1;
        view.readiness.chain_is(Chain::Loaded, std::time::Instant::now());
        view.node = Some(NodeCheck { kernel: "6.12".to_owned(), obstacle: None });
    });
    board.problem(Subject::MeshServer, Some("unreachable".to_owned()));
    board.node_lost(Reason::NoUeid);
    board.lost("PnetidLost", "eth0".to_owned());
    let metrics = Metrics::new(board.clone());
    let mut added = record("web-1", Verdict::Configured);
    for (phase, us) in [("observe", 4_000), ("apply", 7_000)] {
        added.timings.push(StepTiming { phase: phase.to_owned(), us });
    }
    metrics.add_ended(&added);
    metrics.repair_ended(Repair::Repaired);
    metrics.entry_reinserted();
    metrics.was_exposed(Duration::from_millis(250));
    (board, metrics)
}

#[test]
fn names_types_and_labels_are_what_dashboards_were_made_for() {
    let families = read(&full().1.text().unwrap());
    let names: String = families
        .iter()
        .map(|(name, family)| {
            let labels: BTreeSet<&str> =
                family.samples.iter().flat_map(|(_, labels, _)| labels.keys().map(String::as_str)).collect();
            let words: Vec<&str> = [name.as_str(), &family.kind].into_iter().chain(labels).collect();
            words.join(" ") + "\n"
        })
        .collect();
    assert_eq!(names, include_str!("names.txt"));
    assert!(families.values().all(|family| !family.help.is_empty()));
}

#[test]
fn every_family_is_there_before_anything_happened() {
    let text = Metrics::new(board()).text().unwrap();
    let families = read(&text);
    for line in include_str!("names.txt").lines() {
        let name = line.split(' ').next().unwrap();
        assert!(families.contains_key(name), "{name} is missing in {text}");
    }
    assert!(families["kube_smc_repairs"].value(&[("result", "failed")]).abs() < f64::EPSILON);
}

#[test]
fn values_are_those_on_the_board() {
    let families = read(&full().1.text().unwrap());
    let value = |family: &str, labels: &[(&str, &str)]| format!("{}", families[family].value(labels));
    assert_eq!(value("kube_smc_pods", &[("verdict", "active"), ("reason", "")]), "1");
    assert_eq!(value("kube_smc_pods", &[("verdict", "degraded"), ("reason", "NoSmcDevice")]), "1");
    assert_eq!(value("kube_smc_pods", &[("verdict", "refused"), ("reason", "NoRdmaDevice")]), "1");
    let pod = [("namespace", "shop"), ("pod", "web-1")];
    assert_eq!(value("kube_smc_smcr_connections", &pod), "11");
    let reason = ("reason", "peer \"x\" declined\n");
    assert_eq!(value("kube_smc_fallbacks", &[pod[0], pod[1], reason]), "3");
    let unknown = ("reason", "UnknownFallback");
    assert_eq!(value("kube_smc_fallbacks", &[pod[0], pod[1], unknown]), "4");
    assert_eq!(value("kube_smc_peer_without_smc", &pod), "5");
    let since = &[pod[0], pod[1], ("reason", "NoSmcDevice")];
    assert_eq!(value("kube_smc_degraded_since_seconds", since), "1700000000");
    assert_eq!(families["kube_smc_degraded_since_seconds"].samples.len(), 1);
    assert_eq!(value("kube_smc_queue_pairs_max", &[("device", "erdma_0")]), "1024");
    assert_eq!(
        families["kube_smc_queue_pairs_max"].samples.len(),
        1,
        "an unknown maximum is no maximum of 0"
    );
    assert_eq!(value("kube_smc_events_dropped", &[("cause", "full")]), "3");
    assert_eq!(value("kube_smc_events_written", &[]), "5");
    assert_eq!(value("kube_smc_chain_exposed_seconds", &[]), "0.25");
    assert_eq!(value("kube_smc_node_ready", &[("reason", "")]), "1");
    assert_eq!(value("kube_smc_chain_loaded", &[("state", "loaded")]), "1");
    assert_eq!(value("kube_smc_losses", &[("reason", "NoUeid")]), "1");
    assert_eq!(value("kube_smc_problem", &[("subject", "mesh API server")]), "1");
}

#[test]
fn an_add_is_counted_in_each_phase_and_in_all() {
    let families = read(&full().1.text().unwrap());
    let samples = &families["kube_smc_add_duration_seconds"].samples;
    let of = |suffix: &str, phase: &str| {
        let found = samples
            .iter()
            .find(|(s, labels, _)| s == suffix && labels.get("phase").is_some_and(|p| p == phase));
        found.map(|(_, _, value)| *value).unwrap()
    };
    for (phase, seconds) in [("observe", 0.004), ("apply", 0.007), ("total", 0.011)] {
        assert!((of("_count", phase) - 1.0).abs() < f64::EPSILON);
        assert!((of("_sum", phase) - seconds).abs() < 1e-9, "{phase}");
    }
    let buckets: Vec<f64> = samples
        .iter()
        .filter(|(suffix, labels, _)| suffix == "_bucket" && labels["phase"] == "total")
        .map(|(_, _, value)| *value)
        .collect();
    assert_eq!(buckets.len(), BUCKETS.len() + 1);
    assert!(buckets.is_sorted(), "cumulative: {buckets:?}");
}

#[test]
fn what_is_gone_from_the_board_is_gone_from_the_metrics() {
    let (board, metrics) = full();
    board.update(|view| {
        view.pods.clear();
        view.live.clear();
    });
    let families = read(&metrics.text().unwrap());
    assert!(families["kube_smc_pods"].samples.is_empty());
    assert!(families["kube_smc_fallbacks"].samples.is_empty());
}
