//! Whether the node has come to lack something without which converted pods could come to harm.

use smc_model::{NodeFacts, Reason};

/// Remembers one look at the node: any look can fail by itself, and ending every pod's conversion for that would be worse.
#[derive(Debug, Default)]
pub(super) struct Obstruction {
    seen_before: bool,
}

impl Obstruction {
    /// Whether this look at the node and the one before it found an obstacle that ends conversions
    /// ([`Reason::ends_conversion`]). The switch is no obstacle: it is obeyed at once.
    pub(super) fn lasts(&mut self, node: &NodeFacts) -> bool {
        let obstacle = node.obstacle();
        let harms = obstacle
            .is_some_and(|obstacle| obstacle.ends_conversion() && !Reason::is_switched_off(&obstacle));
        std::mem::replace(&mut self.seen_before, harms) && harms
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smc_model::{Guard, Switch};

    use super::*;
    use crate::testing::test_values;

    fn harmless() -> NodeFacts {
        test_values::node(Vec::new())
    }

    fn harmful() -> NodeFacts {
        let port = smc_model::RdmaPort {
            device: "rxe0".into(),
            port: 1,
            active: true,
            pnetid: None,
            netdev: None,
            pods: 0,
        };
        NodeFacts { guard: Guard::Missing { why: "x".into() }, ..test_values::node(vec![port]) }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn only_what_two_looks_in_a_row_have_found_is_an_obstacle(looks in prop::collection::vec(any::<bool>(), 0..30)) {
            let mut obstruction = Obstruction::default();
            let lasts: Vec<bool> =
                looks.iter().map(|&found| obstruction.lasts(&if found { harmful() } else { harmless() })).collect();
            for (n, lasts) in lasts.into_iter().enumerate() {
                prop_assert_eq!(lasts, n > 0 && looks[n] && looks[n - 1]);
            }
        }
    }

    #[test]
    fn what_the_kernel_mends_by_itself_and_the_switch_are_none() {
        for (node, expected) in [
            (NodeFacts { ports: Vec::new(), ..harmful() }, false),
            (NodeFacts { ueids: Vec::new(), ..harmful() }, false),
            (NodeFacts { refused_defects: vec!["CVE-1".into()], ..harmless() }, true),
            (NodeFacts { switch: Switch::Off { why: "x".into() }, ..harmful() }, false),
        ] {
            let mut obstruction = Obstruction::default();
            obstruction.lasts(&node);
            assert_eq!(obstruction.lasts(&node), expected, "{:?}", node.obstacle());
        }
    }
}
