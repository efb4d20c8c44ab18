//! What is particular to nodes that convert by `net.smc.tcp2smc`, as Alibaba's kernel does.

use std::thread::sleep;
use std::time::Duration;

use e2e::{agent, client, fetch, server, shell, start_both, two_nodes, wait_until_served};
use rig::host::Conversion;
use serde_json::Value;
use smc_model::ANNOTATION;

/// Longer than until a pod's set-up is checked (`CHECK_EVERY` of the agent), and once more where something was missing.
const CHECKED: Duration = Duration::from_secs(30);

#[test]
fn where_the_sysctl_converts_programs_see_tcp_and_nothing_is_called_lost() {
    let Some(cluster) = two_nodes() else { return };
    if cluster.conversion() != Conversion::Sysctl {
        return;
    }
    let _shared = [cluster.share(1), cluster.share(2)];
    let (one, two) = (cluster.node(1), cluster.node(2));
    let file: Value = serde_json::from_str(&shell(&one, "cat /run/kube-smc/node.json", &[])).unwrap();
    let facts = &file["facts"];
    assert_eq!(facts["conversion"], "tcp2smc", "{facts:#}");
    assert_eq!(facts["kernel"]["family"], "alibaba", "{facts:#}");
    assert_eq!(facts["anchor"], "not-needed", "{facts:#}");
    // The RDMA device is a RoCE one, whatever the kernel.
    assert_eq!(facts["guard"], "ready", "{facts:#}");

    let [server, client] = start_both(
        (&one, &server("sysctl-server").annotate(ANNOTATION, "true")),
        (&two, &client("sysctl-client").annotate(ANNOTATION, "true")),
    );
    server.configured();
    client.configured();
    wait_until_served(&server);
    let before = agent::log(&two);
    fetch(&client, &server.ip, 3);

    let asked = r"
import socket
made = socket.socket()
print(made.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL), made.getsockopt(286, 1))";
    let said = client.exec(&["python3", "-c", asked]).unwrap();
    let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    assert!(said.starts_with("6 "), "SO_PROTOCOL and SMC's own option: {said:?}");

    sleep(CHECKED);
    let log = agent::log(&two);
    let new = log.strip_prefix(before.as_str()).unwrap_or(&log);
    assert!(!new.contains("ConversionLost"), "{new}");
}
