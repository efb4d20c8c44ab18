//! What holds when a run is interrupted and another takes it up.

use proptest::prelude::*;
use proptest::sample::Index;

use super::generate::{config, kernel};
use super::kernel::Kernel;
use crate::{PodConversion, decide};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_run_that_stopped_anywhere_is_brought_to_its_end_by_the_next(kernel in kernel(), stop in any::<Index>()) {
        if let Ok(plan) = decide(&kernel.node, &kernel.observe()) {
            let states = kernel.states(&plan.steps).unwrap();
            let stopped = stop.get(&states);
            let resumed = decide(&stopped.node, &stopped.observe()).unwrap();
            prop_assert!(resumed.steps.len() <= plan.steps.len());
            let after = stopped.after(&resumed.steps).unwrap();
            let whole = states.last().unwrap();
            prop_assert_eq!(&after.guard, &whole.guard);
            // A local route behind the one that holds harms nobody; the agent removes it.
            let seen = |kernel: &Kernel| -> Vec<_> {
                kernel.host.values().map(|host| (host.held, host.anchored, host.owned_by_host())).collect()
            };
            prop_assert_eq!(seen(&after), seen(whole));
            prop_assert_eq!(after.conversion, whole.conversion);
            prop_assert_ne!(after.conversion, PodConversion::Off);
            prop_assert_eq!(&decide(&after.node, &after.observe()).unwrap().steps, &[]);
        }
    }

    #[test]
    fn a_refusal_stays_the_same_when_asked_again(kernel in kernel()) {
        let first = decide(&kernel.node, &kernel.observe());
        prop_assert_eq!(first, decide(&kernel.node, &kernel.observe()));
    }
}
