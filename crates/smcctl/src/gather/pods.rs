//! What the namespaces of pods that are set up show now.

use std::path::Path;
use std::sync::Arc;

use smc_host::conversion::DEFAULT_PIN_DIR;
use smc_host::netns::Netns;
use smc_host::{HostError, guard, pnet, route};
use smc_model::Verdict;
use smc_state::{LivePod, Record};

use super::Smc;
use crate::judged;
use smc_surfaces::Look;
use smc_surfaces::facts::{PodNow, PodState};

pub(super) fn states(records: Vec<Arc<Record>>, judged: &[LivePod], smc: &mut Look<Smc>) -> Vec<PodState> {
    let mut pods: Vec<PodState> = records
        .into_iter()
        .map(Arc::unwrap_or_clone)
        .filter(Record::is_live)
        .map(|record| {
            let now = match smc {
                Ok(smc) if record.verdict.as_ref().is_some_and(Verdict::is_set_up) => {
                    now(&record, smc).transpose().map(|now| now.map_err(|error| error.with_cause()))
                }
                _ => None,
            };
            let live = judged::judgement_of(&record, judged).map(|live| live.live.clone());
            PodState { record, now, live }
        })
        .collect();
    pods.sort_by(|a, b| {
        (&a.record.pod.namespace, &a.record.pod.name).cmp(&(&b.record.pod.namespace, &b.record.pod.name))
    });
    pods
}

/// `None` when the pod is gone.
fn now(record: &Record, smc: &mut Smc) -> Result<Option<PodNow>, HostError> {
    let netns = match Netns::open(&record.netns) {
        Ok(netns) if record.netns_id == Some(netns.id()) => netns,
        _ => return Ok(None),
    };
    let mut inside = netns.connect()?;
    let entries = pnet::list(&mut inside.generic, smc.families.pnetid)?;
    let pnetids = pnet::netdevs(&entries).into_iter().map(|(netdev, id)| (netdev.to_owned(), id)).collect();
    let addresses = route::addresses(&mut inside.route)?.into_iter().map(|(_, net)| net);
    let ordinary = addresses.filter(|net| !net.address().is_loopback() && !net.address().is_link_local());
    let addresses = ordinary.collect();
    let unguarded = guard::unguarded(&mut inside.route, guard::pinned_program(Path::new(DEFAULT_PIN_DIR))?)?;
    Ok(Some(PodNow { converts: inside.converts, pnetids, addresses, unguarded }))
}
