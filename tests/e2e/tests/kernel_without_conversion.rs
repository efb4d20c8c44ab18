//! A node whose kernel has SMC and no way to convert TCP sockets: Linux 6.1.
#![forbid(unsafe_code)]

use e2e::{
    agent, client, fetch, kernel_tests, old_node, run_kernel_test, server, shell, start, start_both,
    wait_until_served,
};
use rig::counters::Counters;
use smc_model::{ANNOTATION, Reason};

#[test]
fn an_annotated_pod_runs_on_tcp_and_is_told_which_kernels_can_do_more() {
    let Some(cluster) = old_node() else { return };
    let node = cluster.node(1);
    let release = shell(&node, "uname -r", &[]);
    let annotated = server("annotated").annotate(ANNOTATION, "true");
    let [served, fetching] = start_both((&node, &annotated), (&node, &client("fetching")));

    let reason = served.refused();
    assert!(matches!(&reason, Reason::NoConversion { kernel, .. } if *kernel == release), "{reason:?}");
    let record = served.record();
    assert!(record.seen.contains(&release), "{}", record.seen);
    assert!(record.remedy.contains("5.10.134-17.3") && record.remedy.contains("6.11"), "{}", record.remedy);
    assert_eq!(record.owned, smc_model::Owned::default());

    wait_until_served(&served);
    fetch(&fetching, &served.ip, 3);
    assert_eq!(Counters::of(&served).unwrap(), Counters::default());
    assert_eq!(Counters::of(&fetching).unwrap(), Counters::default());
}

#[test]
fn the_agent_logs_what_the_kernel_lacks_and_for_which_pod() {
    let Some(cluster) = old_node() else { return };
    let node = cluster.node(1);
    let release = shell(&node, "uname -r", &[]);
    let pod = start(&node, &client("logged").annotate(ANNOTATION, "true"));
    let lines = e2e::eventually(e2e::PATIENCE, || {
        let log = agent::log(&node);
        let found: Vec<String> =
            log.lines().filter(|line| line.contains("NoConversion")).map(str::to_owned).collect();
        if found.iter().any(|line| line.contains(&pod.name)) { Ok(found) } else { Err(log) }
    });
    let of_pod = lines.iter().find(|line| line.contains(&pod.name)).unwrap();
    assert!(of_pod.contains("plain TCP") && of_pod.contains(&release) && of_pod.contains("6.11"), "{of_pod}");
    let of_node = lines.iter().find(|line| !line.contains("pod=")).expect("the node's own line");
    assert!(of_node.contains(&release), "{of_node}");
}

/// Its verifier knows less than newer ones; what conversion needs is not there.
#[test]
fn the_program_that_takes_offers_out_of_syns_runs_on_an_older_kernel_too() {
    let Some(cluster) = old_node() else { return };
    let Some(programs) = kernel_tests() else { return };
    let program = programs.iter().find(|program| program.contains("/syn_options-")).expect("it is built");
    run_kernel_test(&cluster.node(1), program);
}
