//! The short form of `hack/faults`: some faults are named, and a healthy minute raises no alarm.

use std::time::Duration;

use rig_tests::faults::{self, Poller, SHORT, Stage, Table};
use rig_tests::two_nodes;

const HEALTHY: Duration = Duration::from_secs(60);

#[test]
fn faults_are_named_and_a_healthy_minute_raises_no_alarm() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = [cluster.alter(1), cluster.alter(2)];
    let mut stage = Stage::as_it_is(vec![cluster.node(1), cluster.node(2)]);
    stage.start_traffic();
    let table = Table::committed();
    let nodes = stage.nodes.clone();
    let (health, rows) = Poller::over(&nodes, stage.events_port(), |poller| {
        stage.heal(poller).unwrap_or_else(|wrong| panic!("not well before any fault: {wrong}"));
        let health = faults::healthy(&stage, poller, HEALTHY, &|line| eprintln!("{line}")).unwrap();
        let faults = SHORT.map(|name| table.fault(name).unwrap());
        (health, faults.map(|fault| faults::run(&stage, poller, fault, &|line| eprintln!("{line}"))))
    });
    let matrix = rows.each_ref().map(ToString::to_string).join("\n");
    eprintln!("{}\n{matrix}{health:?}", faults::header());
    assert!(rows.iter().all(faults::Row::is_right), "{matrix}");
    assert!(health.is_well(), "{health:?}");
}
