//! The short form of `hack/faults`: some faults are named, and healthy traffic raises no alarm.

use std::time::Duration;

use rig_tests::faults::{self, Poller, Row, SHORT, Stage, Table};
use rig_tests::two_nodes;

/// `hack/faults --short` takes a minute; here other tests wait for the nodes.
const HEALTHY: Duration = Duration::from_secs(30);
/// Of the two annotations one will do.
const LEFT_OUT: &str = "annotation-misspelt";

#[test]
fn faults_are_named_and_healthy_traffic_raises_no_alarm() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = [cluster.alter(1), cluster.alter(2)];
    let mut stage = Stage::as_it_is(vec![cluster.node(1), cluster.node(2)], cluster.rig());
    stage.start_traffic();
    let table = Table::committed();
    let nodes = stage.nodes.clone();
    let say = |line: &str| eprintln!("{line}");
    let (health, rows) = Poller::over(&nodes, stage.events_port(), |poller| {
        stage.heal(poller).unwrap_or_else(|wrong| panic!("not well before any fault: {wrong}"));
        let health = faults::healthy(&stage, poller, HEALTHY, &say).unwrap();
        let short = SHORT.iter().filter(|name| **name != LEFT_OUT);
        let run = |name: &&str| faults::run(&stage, poller, table.fault(name).unwrap(), &say);
        (health, short.map(run).collect::<Vec<Row>>())
    });
    let matrix = rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    eprintln!("{}\n{matrix}\n{health:?}", faults::header());
    assert!(rows.iter().all(Row::is_right), "{matrix}");
    assert!(health.is_well(), "{health:?}");
}
