//! What comes of a look, for others: the board, `traffic.json`, Events, and repair.

use smc_model::Reason;
use smc_state::{BoundPort, LivePod, Made};
use smc_surfaces::Subject;

use super::{WRITE_EVERY, Watch};
use crate::pods::traffic::pod::Pod;
use crate::pods::traffic::{Tools, report, wall};

impl Watch {
    pub(super) fn count_devices(&mut self) {
        let now = self.now();
        if self.facts.is_some()
            && let Some(devices) = self.devices.count(now)
        {
            self.tools.board.update(|view| view.devices = devices);
        }
    }

    pub(super) fn publish(&mut self) {
        let now = self.now();
        let pods: Vec<LivePod> = self.pods.values().flat_map(Pod::published).collect();
        let no_events = self.no_events.clone();
        let mut file = smc_state::Traffic { written: 0, no_events, pods };
        if let Some((last, at)) = &self.published
            && *last == file
            && now.saturating_sub(*at) < WRITE_EVERY
        {
            return;
        }
        self.tools.board.update(|view| {
            view.live = file.pods.iter().map(|pod| (pod.attachment.clone(), pod.clone())).collect();
            view.no_fallback_events.clone_from(&file.no_events);
        });
        let unwritten = file.clone();
        file.written = wall();
        let written = self.tools.store.write_document(&file);
        self.tools.board.problem(Subject::TrafficFile, written.err().map(|error| error.with_cause()));
        self.published = Some((unwritten, now));
    }
}

/// Has a pod set up anew whose port was given another PNETID, with which it works again; whether that is the cause.
pub(super) fn set_up_again(tools: &Tools, pod: &Pod, cause: &Reason) -> bool {
    let renamed = matches!(cause, Reason::ForeignPnetid { .. });
    if renamed {
        pod.records.keys().for_each(|attachment| tools.lost.tell(attachment.clone()));
    }
    renamed
}

/// Whether the port has its other PNETID from us, as Terway's pods look for it.
pub(super) fn is_by_us(tools: &Tools, cause: &Reason) -> bool {
    let Reason::ForeignPnetid { port, pnetid, .. } = cause else { return false };
    let made: Option<Made> = tools.store.read_document().ok().flatten();
    let is_it =
        |bound: &BoundPort| format!("{}/{}", bound.device, bound.port) == *port && bound.pnetid == *pnetid;
    made.is_some_and(|made| made.ports.iter().any(is_it))
}

pub(super) fn announce(tools: &Tools, pod: &mut Pod) {
    tools.announcer.announce(report::verdict_changed(pod));
    pod.was_active |= *pod.live.verdict() == smc_model::LiveVerdict::Active;
}
