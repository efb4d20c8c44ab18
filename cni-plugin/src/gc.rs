//! GC: release what belongs to attachments that the runtime does not know any more.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cni_spec::Attachment;
use smc_attach::{Remains, detach};
use smc_state::Record;

use crate::call::Call;
use crate::in_time::{in_time, log_late};
use crate::log::{Line, Log};

/// GC: detaches every living record of this network that is not in the runtime's list, and of whose pod nothing is left: another
/// runtime of the node may have a network of the same name. Without a list nothing is known to be garbage.
pub(crate) fn gc(call: &Call<'_>) {
    let Some(valid) = &call.config.valid_attachments else { return };
    if let Err(problem) = in_time(call.clock, || release_all_but(valid, call)) {
        log_late(&Log::by(Some(call.config)), &Line::of(call, "GC").problem(&problem), call.clock);
    }
}

fn release_all_but(valid: &[Attachment], call: &Call<'_>) {
    let store = call.store();
    let log = Log::by(Some(call.config));
    for record in store.list().records {
        let attachment = &record.attachment;
        let known = valid
            .iter()
            .any(|valid| valid.container_id == attachment.container() && valid.ifname == attachment.ifname());
        if known || !record.is_live() || record.network != call.config.name || !is_over(&record) {
            continue;
        }
        let detached = detach(&store, attachment, call.clock.deadline());
        let line = Line::of(call, "GC");
        for problem in &detached.problems {
            log.write(&line.clone().problem(problem), call.clock);
        }
        if let Some(record) = &detached.record {
            log.write(&line.released(record), call.clock);
        }
    }
}

fn is_over(record: &Record) -> bool {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = since_epoch.saturating_sub(Duration::from_millis(record.started_ms));
    Remains::of(record, Path::new("/proc")).is_ok_and(|remains| remains.are_over(age))
}
