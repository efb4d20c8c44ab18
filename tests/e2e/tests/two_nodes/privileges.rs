//! What the agent may do on a node, and that it needs it.

use e2e::{PATIENCE, agent, eventually, shell, start, two_nodes};
use rig::host::{Ending, PodSpec};

/// NET_ADMIN, SYS_PTRACE, SYS_ADMIN and SYS_RESOURCE: bits 12, 19, 21 and 24 (`include/uapi/linux/capability.h`).
const CAPABILITIES: u64 = 1 << 12 | 1 << 19 | 1 << 21 | 1 << 24;

#[test]
fn the_agent_has_four_capabilities_a_seccomp_filter_and_a_read_only_root() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(1);
    let node = cluster.node(1);
    let script = r#"pid=$(pidof smc-agent)
        awk '/^(CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):/ { print $1 $2 }' "/proc/$pid/status"
        awk '$5 == "/" { print "root:" substr($6, 1, 2) }' "/proc/$pid/mountinfo""#;
    let capabilities = format!("{CAPABILITIES:016x}");
    let expected = format!(
        "CapPrm:{capabilities}\nCapEff:{capabilities}\nCapBnd:{capabilities}\nNoNewPrivs:1\nSeccomp:2\nroot:ro"
    );
    assert_eq!(shell(&node, script, &[]), expected);
}

#[test]
fn without_one_of_these_capabilities_the_agent_says_what_it_cannot_do() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(1);
    let node = cluster.node(1);
    let mut ended = agent::end(&node, Ending::Terminate);
    for capability in ["NET_ADMIN", "SYS_ADMIN"] {
        let told = format!("CAP_{capability}");
        let before = agent::log(&node);
        let lacking = node.agent().unwrap().without_capability(capability);
        lacking.start().unwrap();
        eventually(PATIENCE, || {
            let log = agent::log(&node);
            let new = log.strip_prefix(&before).unwrap_or(&log);
            if new.contains(&told) { Ok(()) } else { Err(format!("without {capability}: {new}")) }
        });
        lacking.end(Ending::Terminate).unwrap();
    }
    ended.start();
}

#[test]
fn only_with_sys_ptrace_can_a_container_tell_the_hosts_network_namespaces_apart() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(2);
    let node = cluster.node(2);
    let host =
        |name: &str| PodSpec::new(name, &["sleep", "infinity"]).host_network().mount("/proc", "/host/proc");
    let look = ["stat", "-Lc", "%i", "/host/proc/1/ns/net"];
    let refused = start(&node, &host("without-ptrace")).exec(&look).unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Permission denied"), "{refused:?}");
    let seen = start(&node, &host("with-ptrace").capability("SYS_PTRACE")).exec(&look).unwrap();
    assert!(seen.status.success(), "{seen:?}");
}
