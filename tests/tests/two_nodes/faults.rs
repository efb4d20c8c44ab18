//! The short form of `hack/faults`: some faults are named, and healthy traffic raises no alarm.

use std::time::Duration;

use rig_tests::faults::{self, Fault, Poller, Row, Stage, TOGETHER, Table};
use rig_tests::{Cluster, two_nodes};
use xtask::rig::Conversion;

/// `hack/faults --short` takes a minute; here other tests wait for the nodes.
const HEALTHY: Duration = Duration::from_secs(30);
/// Faults of pods; one that changes a node comes after them.
const OF_PODS: [&str; 3] = ["pnet-entry-deleted", "peer-not-annotated", "annotation-True"];
/// What is left of a dozen, each of which changes more than a pod.
const ONE_BY_ONE: [&str; 4] = ["pnet-entry-deleted", "middlebox-strips-option", "conf-entry-lost", "no-ueid"];

#[test]
fn faults_are_named_and_healthy_traffic_raises_no_alarm() {
    let Some(cluster) = two_nodes() else { return };
    inject(cluster, &OF_PODS, &["conf-entry-lost"]);
}

#[test]
fn by_counters_alone_a_dozen_faults_are_named_and_healthy_traffic_raises_no_alarm() {
    let Some(cluster) = two_nodes() else { return };
    if cluster.conversion() != Conversion::Sysctl {
        return;
    }
    inject(cluster, &TOGETHER, &ONE_BY_ONE);
}

/// Lets traffic run, then injects some faults at the same time and some one after the other.
#[track_caller]
fn inject(cluster: &'static Cluster, together: &[&str], one_by_one: &[&str]) {
    let _altered = [cluster.alter(1), cluster.alter(2)];
    let mut stage = Stage::as_it_is(vec![cluster.node(1), cluster.node(2)], cluster.rig());
    stage.start_traffic();
    let table = Table::committed();
    let faults = |names: &[&str]| names.iter().map(|name| fault_of(&table, name)).collect::<Vec<&Fault>>();
    let nodes = stage.nodes.clone();
    let say = |line: &str| eprintln!("{line}");
    let (health, rows) = Poller::over(&nodes, stage.events_port(), |poller| {
        stage.heal(poller).unwrap_or_else(|wrong| panic!("not well before any fault: {wrong}"));
        let health =
            faults::healthy(&stage, poller, HEALTHY, &say).unwrap_or_else(|error| panic!("{error:#}"));
        let mut rows = faults::run_together(&stage, poller, &faults(together), &say);
        rows.extend(faults(one_by_one).into_iter().map(|fault| faults::run(&stage, poller, fault, &say)));
        (health, rows)
    });
    let matrix = rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    eprintln!("{}\n{matrix}\n{health:?}", faults::header());
    assert!(rows.iter().all(Row::is_right), "{matrix}");
    assert!(health.is_well(), "{health:?}");
}

fn fault_of<'t>(table: &'t Table, name: &str) -> &'t Fault {
    table.fault(name).unwrap_or_else(|| panic!("no fault is called {name}"))
}
