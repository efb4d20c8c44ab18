//! Backwards: what a run changed, what an earlier one left, and a conversion that must not stay.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use smc_model::{NetnsCookie, Note, Owned, PodConversion, PodFacts, Reason, Release, Step, release};
use smc_state::{Record, RecordCache};

use super::super::machine::{Entered, Machine};
use super::Work;

/// How long taking back waits for the lock on the host's addresses, whatever is left of the budget: others hold it
/// for a few system calls.
const TAKE_BACK_PATIENCE: Duration = Duration::from_millis(500);

impl<M: Machine> Work<'_, M> {
    /// Releases addresses of an earlier run that are not the pod's any more: anchored and held, but not routed to it, or guarded and
    /// on none of its interfaces (one too many in the guard costs speed, one too few could corrupt a stream). What cannot be
    /// released stays on record.
    pub(super) fn release_former(&mut self, record: &mut Record, pod: &PodFacts) {
        let led = |address: &Ipv4Addr| pod.is_led_to(*address);
        let (guarded, guarded6) = (pod.addresses(), pod.addresses6());
        let owned = &record.owned;
        let former = Owned {
            anchored: owned.anchored.iter().copied().filter(|address| !led(address)).collect(),
            held: owned.held.iter().copied().filter(|address| !led(address)).collect(),
            guarded: owned.guarded.difference(&guarded).copied().collect(),
            guarded6: owned.guarded6.difference(&guarded6).copied().collect(),
            guard_pins: owned.guard_pins.clone(),
            ..Owned::default()
        };
        if former.all_addresses().is_empty() {
            return;
        }
        let Some(others) = self.addresses_of_others() else { return };
        let kept: BTreeSet<Release> = release(&former, &others)
            .into_iter()
            .filter(|step| self.machine.release(step).is_err())
            .collect();
        let gone = |step: Release| !kept.contains(&step);
        let unguard = |address: IpAddr| {
            let pins = former.guard_pins.clone();
            pins.is_none_or(|pins| gone(Release::Unguard { pins, address }))
        };
        record
            .owned
            .anchored
            .retain(|&address| !former.anchored.contains(&address) || !gone(Release::Unanchor { address }));
        record
            .owned
            .held
            .retain(|&address| !former.held.contains(&address) || !gone(Release::Unhold { address }));
        let owned = &mut record.owned;
        owned.guarded.retain(|address| !former.guarded.contains(address) || !unguard((*address).into()));
        owned.guarded6.retain(|address| !former.guarded6.contains(address) || !unguard((*address).into()));
        if record.owned.in_guard().next().is_none() {
            record.owned.guard_pins = None;
        }
    }

    /// Undoes this run's changes, last first. When all could be undone, `record` owns again what it owned before.
    /// Addresses that a living attachment owns too stay: they are that one's.
    /// The guard stays with a pod whose sockets offered SMC before and, as its refusal is none that ends that, go on to.
    pub(in crate::attach) fn take_back(&mut self, record: &mut Record, stays_converted: bool) {
        let changes = std::mem::take(&mut self.changes);
        let clean = match (&changes.before, self.entered.is_some()) {
            (Some(before), true) => {
                let stays_converted = stays_converted && before.conversion != PodConversion::Off;
                self.undo(&changes.done, before, stays_converted)
            }
            _ => true,
        };
        if let Some(owned) = changes.owned.filter(|_| clean) {
            record.owned = owned;
        }
    }

    fn undo(&mut self, done: &[Step], before: &PodFacts, stays_converted: bool) -> bool {
        // Who got nowhere, for somebody else has the host's addresses, does not wait for them again.
        let is_of_the_host = |step: &Step| {
            matches!(step, Step::HoldRoute { .. } | Step::AnchorAddress { .. } | Step::Guard { .. })
        };
        let others =
            if done.iter().any(is_of_the_host) { self.addresses_of_others() } else { Some(BTreeSet::new()) };
        let Some(entered) = &mut self.entered else { return true };
        let mut clean = others.is_some();
        for step in done.iter().rev() {
            let stays = |address: &Ipv4Addr| {
                others.as_ref().is_none_or(|others| others.contains(&IpAddr::V4(*address)))
            };
            let result = match step {
                // Without the local route, or the host would take the pod's packets once they are not held.
                Step::AnchorAddress { address, anchor } if stays(address) => {
                    entered.step(&Step::DropLocalRoute { address: *address, anchor: *anchor })
                }
                Step::HoldRoute { address, .. } | Step::Guard { address, .. } if stays(address) => Ok(()),
                // It needs the guard as long as its sockets offer SMC.
                Step::Guard { .. } if stays_converted => {
                    clean = false;
                    Ok(())
                }
                // It was converted before; only what becomes of MPTCP was said anew, which is right in any case.
                Step::ConvertBySysctl { .. } | Step::ConvertByBpf { .. }
                    if before.conversion == PodConversion::Ours =>
                {
                    clean = false;
                    Ok(())
                }
                _ => entered.undo(step),
            };
            clean &= result.is_ok();
        }
        clean & entered.restore_pnetids(before).is_ok()
    }

    /// Takes the lock on the host's addresses, until the record is written, and tells whose they are; `None` when
    /// that cannot be known.
    fn addresses_of_others(&mut self) -> Option<BTreeSet<IpAddr>> {
        self.hold_addresses()?;
        self.store.addresses_of_others(&self.job.attachment, &RecordCache::default()).ok()
    }

    /// Takes the lock on the host's addresses until the record is written; `None` when others keep it.
    fn hold_addresses(&mut self) -> Option<()> {
        if self.addresses.is_none() {
            self.addresses = Some(self.store.lock_addresses(Instant::now() + TAKE_BACK_PATIENCE).ok()?);
        }
        Some(())
    }

    /// A pod that we converted before and that is refused now: its conversion ends, or the record says that it does
    /// not.
    pub(super) fn refuse_converted(&mut self, record: &mut Record, reason: &Reason) {
        let of_this_namespace =
            |converted: &(_, NetnsCookie)| record.cookie.is_some_and(|cookie| cookie == converted.1);
        if !record.owned.sysctl && !record.owned.converted.as_ref().is_some_and(of_this_namespace) {
            return;
        }
        if !reason.ends_conversion() {
            record.plan.notes.push(Note::ConversionKept);
            return;
        }
        // Until the record says so, or whoever compares it with the map would put the namespace back.
        self.hold_addresses();
        match self.machine.unconvert(&record.owned) {
            Ok(()) => {
                record.owned.converted = None;
                (record.owned.sysctl, record.owned.mptcp_off) = (false, false);
            }
            Err(error) => {
                record.plan.notes.push(Note::ConversionNotEnded { error: error.with_cause() });
            }
        }
    }
}
