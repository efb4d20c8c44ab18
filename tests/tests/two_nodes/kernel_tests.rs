//! Other packages' tests against a real kernel, run where there is one.

use std::env;
use std::time::Duration;

use rig_tests::{Kernel, not_run, two_nodes};

/// Paths of test programs on this machine, separated by colons.
const PROGRAMS: &str = "KUBE_SMC_KERNEL_TESTS";
/// Each program loads the BPF program a dozen times, in debug builds, on an emulated CPU.
const LIMIT: Duration = Duration::from_secs(600);

#[test]
fn the_agents_own_tests_against_a_kernel_pass_on_a_node_and_leave_it_as_it_was() {
    let Some(cluster) = two_nodes() else { return };
    let Some(programs) = env::var(PROGRAMS).ok().filter(|programs| !programs.is_empty()) else {
        return not_run(PROGRAMS);
    };
    let _altered = cluster.alter(1);
    let node = cluster.node(1);
    let before = Kernel(&node).snapshot(&[]);
    for program in programs.split(':') {
        let output =
            node.command(&[program]).env("KUBE_SMC_REQUIRE_KERNEL", "1").timeout(LIMIT).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {said}{errors}");
        assert!(said.contains("test result: ok") && !said.contains(" 0 passed"), "{program}: {said}");
    }
    assert_eq!(Kernel(&node).snapshot(&[]), before);
}
