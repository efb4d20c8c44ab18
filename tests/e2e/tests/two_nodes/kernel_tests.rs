//! Other packages' tests against a real kernel, run where there is one.

use e2e::{Kernel, kernel_tests, run_kernel_test, two_nodes};

#[test]
fn the_agents_own_tests_against_a_kernel_pass_on_a_node_and_leave_it_as_it_was() {
    let Some(cluster) = two_nodes() else { return };
    let Some(programs) = kernel_tests() else { return };
    let _altered = cluster.alter(1);
    let node = cluster.node(1);
    let before = Kernel(&node).snapshot(&[]);
    for program in &programs {
        run_kernel_test(&node, program);
    }
    assert_eq!(Kernel(&node).snapshot(&[]), before);
}
