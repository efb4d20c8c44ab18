//! The short form of `hack/faults`: some faults are named, and healthy traffic raises no alarm.

use std::time::Duration;

use e2e::faults::{self, Fault, Health, Poller, Row, Stage, TOGETHER, Table};
use e2e::{Cluster, two_nodes};
use rig::host::Conversion;

/// `hack/faults --short` takes a minute; here other tests wait for the nodes.
const HEALTHY: Duration = Duration::from_secs(30);

#[test]
fn faults_are_named_and_healthy_traffic_raises_no_alarm() {
    let Some(cluster) = two_nodes() else { return };
    // Those of pods; one that changes a node comes after them.
    let of_pods = ["pnet-entry-deleted", "peer-not-annotated", "annotation-True", "bandwidth-limited"];
    inject(cluster, HEALTHY, &[&of_pods, &["conf-entry-lost"]]);
}

/// That healthy traffic raises no alarm on such nodes takes longer to be seen: `hack/faults --conversion sysctl --healthy`.
#[test]
fn by_counters_alone_a_dozen_faults_are_named() {
    let Some(cluster) = two_nodes() else { return };
    if cluster.conversion() != Conversion::Sysctl {
        return;
    }
    let without_agent = ["conf-entry-lost", "no-ueid", "no-pnetid-on-device"];
    // It changes what all connections go through.
    let alone = ["middlebox-strips-option"];
    inject(cluster, Duration::ZERO, &[&TOGETHER, &without_agent, &alone]);
}

/// Lets traffic run for `healthy`, then injects faults, those of a group at the same time.
#[track_caller]
fn inject(cluster: &'static Cluster, healthy: Duration, groups: &[&[&str]]) {
    let _altered = [cluster.alter(1), cluster.alter(2)];
    let mut stage = Stage::as_it_is(vec![cluster.node(1), cluster.node(2)], cluster.rig());
    stage.start_traffic();
    let table = Table::committed();
    let nodes = stage.nodes.clone();
    let say = |line: &str| eprintln!("{line}");
    let (health, rows) = Poller::over(&nodes, stage.events_port(), |poller| {
        stage.heal(poller).unwrap_or_else(|wrong| panic!("not well before any fault: {wrong}"));
        let health = (!healthy.is_zero()).then(|| {
            faults::healthy(&stage, poller, healthy, &say).unwrap_or_else(|error| panic!("{error:#}"))
        });
        let run = |group: &&[&str]| {
            let group: Vec<&Fault> = group.iter().map(|name| fault_of(&table, name)).collect();
            faults::run_together(&stage, poller, &group, &say)
        };
        (health, groups.iter().flat_map(run).collect::<Vec<Row>>())
    });
    let matrix = rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    eprintln!("{}\n{matrix}\n{health:?}", faults::header());
    assert!(rows.iter().all(Row::is_right), "{matrix}");
    assert!(health.as_ref().is_none_or(Health::is_well), "{health:?}");
}

fn fault_of<'t>(table: &'t Table, name: &str) -> &'t Fault {
    table.fault(name).unwrap_or_else(|| panic!("no fault is called {name}"))
}
