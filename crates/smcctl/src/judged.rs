//! What the agent judges of pods' traffic.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use smc_state::{LivePod, Record, Store, Traffic};

use crate::cli::Options;

/// After this long without a word, nothing that the agent wrote about traffic is taken for current.
const CURRENT: Duration = Duration::from_secs(120);

/// The agent's judgement, while it is current.
pub(crate) fn judged(options: &Options) -> Vec<LivePod> {
    let Ok(Some(traffic)) = Store::new(&options.state_dir).read_document::<Traffic>() else {
        return Vec::new();
    };
    let written = UNIX_EPOCH + Duration::from_secs(traffic.written);
    let current = SystemTime::now().duration_since(written).is_ok_and(|age| age <= CURRENT);
    if current { traffic.pods } else { Vec::new() }
}

/// The judgement of one record.
pub(crate) fn judgement_of<'a>(record: &Record, judged: &'a [LivePod]) -> Option<&'a LivePod> {
    judged.iter().find(|live| live.id == record.id && live.attachment == record.attachment)
}
