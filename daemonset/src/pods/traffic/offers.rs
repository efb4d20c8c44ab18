//! What the guard's program took out of SYNs to a pod, from look to look.

use std::collections::BTreeMap;

use smc_host::guard::Taken;
use smc_model::StripCause;

/// What was taken out, since the agent first looked or the pod was made. The program's counters begin anew when its map is lost.
#[derive(Debug, Default)]
pub(super) struct Offers {
    seen: BTreeMap<StripCause, Taken>,
    all: BTreeMap<StripCause, Taken>,
    /// How many offers since the look before.
    taken: u64,
}

impl Offers {
    /// Takes in what the counters of the pod's addresses say.
    pub(super) fn look(&mut self, counted: &[&BTreeMap<StripCause, Taken>]) {
        let mut now: BTreeMap<StripCause, Taken> = BTreeMap::new();
        for (why, taken) in counted.iter().copied().flatten() {
            let sum = now.entry(*why).or_default();
            sum.stripped += taken.stripped;
            sum.dropped += taken.dropped;
        }
        self.taken = 0;
        for (why, now) in &now {
            let before = self.seen.get(why).copied().unwrap_or_default();
            let grown = |now: u64, before: u64| if now < before { now } else { now - before };
            let all = self.all.entry(*why).or_default();
            let stripped = grown(now.stripped, before.stripped);
            all.stripped += stripped;
            all.dropped += grown(now.dropped, before.dropped);
            self.taken += stripped;
        }
        self.seen = now;
    }

    /// How many offers were taken out between the last two looks.
    pub(super) fn taken_at_last_look(&self) -> u64 {
        self.taken
    }

    /// Offers by why they were taken out.
    pub(super) fn taken_out(&self) -> BTreeMap<String, u64> {
        let counted = self.all.iter().filter(|(_, taken)| taken.stripped > 0);
        counted.map(|(why, taken)| (why.label().to_owned(), taken.stripped)).collect()
    }

    /// SYNs that were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.all.values().map(|taken| taken.dropped).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(stripped: u64, dropped: u64) -> BTreeMap<StripCause, Taken> {
        [(StripCause::NotAllowed, Taken { stripped, dropped })].into()
    }

    #[test]
    fn what_was_taken_out_is_summed_over_addresses_and_survives_a_lost_map() {
        let mut offers = Offers::default();
        offers.look(&[&counted(3, 1), &counted(2, 0)]);
        assert_eq!((offers.taken_at_last_look(), offers.dropped()), (5, 1));
        offers.look(&[&counted(4, 1), &counted(2, 0)]);
        assert_eq!(offers.taken_at_last_look(), 1);
        // The map was lost, and is counted from nothing.
        offers.look(&[&counted(2, 0)]);
        assert_eq!(offers.taken_out(), [("not-allowed".to_owned(), 8)].into());
        offers.look(&[]);
        assert_eq!((offers.taken_at_last_look(), offers.dropped()), (0, 1));
    }
}
