//! Facts of two nodes, for tests.

use std::collections::BTreeMap;

use smc_model::{LiveVerdict, PeersWithoutSmc};
use smc_state::{LivePod, Record};

use crate::pods::ObservedPod;
use smc_surfaces::facts::{Facts, PodState};

fn read(text: &str) -> Facts {
    serde_json::from_str(text).unwrap()
}

/// A healthy node of the rig, as `smcctl facts` gave it there.
pub(crate) fn rig() -> Facts {
    read(include_str!("../tests/recorded/rig.json"))
}

/// A healthy node of Alibaba Cloud with an eRDMA interface. Not seen by us: put together from public documentation and
/// the kernel's source.
pub(crate) fn alibaba() -> Facts {
    read(include_str!("../tests/recorded/alibaba.json"))
}

/// Three annotated pods in the rig's words, put together by hand: one that is set up, one whose program must be restarted, one with a misspelt
/// annotation.
pub(crate) fn pods() -> Vec<ObservedPod> {
    let pods: Vec<PodState> = serde_json::from_str(include_str!("../tests/recorded/pods.json")).unwrap();
    pods.into_iter().map(|pod| ObservedPod::of(pod, None)).collect()
}

/// What an agent judges of a record.
pub(crate) fn judged(record: &Record, live: LiveVerdict) -> LivePod {
    LivePod {
        attachment: record.attachment.clone(),
        pod: record.pod.clone(),
        id: record.id.clone(),
        live,
        since: 0,
        smcr: 0,
        handshake_errors: 0,
        fallbacks: Vec::new(),
        peers_without_smc: PeersWithoutSmc::default(),
        offers_taken_out: BTreeMap::new(),
        syns_dropped: 0,
        unplaced: 0,
    }
}

/// Compares with a file in `tests/golden`; `UPDATE=1` writes it.
#[track_caller]
pub(crate) fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{name} is not as committed (UPDATE=1 writes it):\n{text}");
}

/// Both forms of an outcome against `NAME.txt` and `NAME.json`.
#[track_caller]
pub(crate) fn golden_outcome(name: &str, outcome: &crate::output::Outcome) {
    golden(&format!("{name}.txt"), &outcome.text);
    golden(&format!("{name}.json"), &format!("{:#}\n", outcome.json));
}
