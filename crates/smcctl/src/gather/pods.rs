//! What the records of annotated pods say, and what the pods' namespaces show now.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use smc_host::conversion::DEFAULT_PIN_DIR;
use smc_host::netns::Netns;
use smc_host::{HostError, guard, pnet, route, traffic};
use smc_model::Verdict;
use smc_state::{LivePod, Record};

use super::Smc;
use crate::judged;
use smc_surfaces::facts::{PodNow, PodState};

/// Every annotated pod that lives, by name. `proc` is the host's `/proc`.
pub(super) fn states(
    records: Vec<Arc<Record>>,
    judged: &[LivePod],
    smc: &mut Result<Smc, String>,
    proc: &Path,
) -> Vec<PodState> {
    let mut records: Vec<Record> =
        records.into_iter().map(Arc::unwrap_or_clone).filter(Record::is_live).collect();
    records.sort_by(|a, b| (&a.pod.namespace, &a.pod.name).cmp(&(&b.pod.namespace, &b.pod.name)));
    let same_node: BTreeSet<IpAddr> =
        records.iter().flat_map(|record| record.owned.all_addresses()).collect();
    let mut state = |record: Record| {
        let judged = judged::judgement_of(&record, judged).cloned();
        let netns = match netns(&record) {
            Ok(Some(netns)) => netns,
            Ok(None) => return PodState { record, now: None, traffic: None, judged },
            Err(error) => {
                let unseen = Err(error.with_cause());
                return PodState { record, now: None, traffic: Some(unseen), judged };
            }
        };
        let now = match smc {
            Ok(smc) if record.verdict.as_ref().is_some_and(Verdict::is_set_up) => {
                Some(now(&netns, smc).map_err(|error| error.with_cause()))
            }
            _ => None,
        };
        let traffic = traffic::look(&netns, &same_node, proc).map_err(|error| error.with_cause());
        PodState { record, now, traffic: Some(traffic), judged }
    };
    records.into_iter().map(&mut state).collect()
}

/// The pod's namespace; `None` when the pod is gone, and when another one has the name.
fn netns(record: &Record) -> Result<Option<Netns>, HostError> {
    match Netns::open(&record.netns) {
        Ok(netns) => Ok((record.netns_id == Some(netns.id())).then_some(netns)),
        Err(error) if error.errno() == Some(nix::libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn now(netns: &Netns, smc: &mut Smc) -> Result<PodNow, HostError> {
    let mut inside = netns.connect()?;
    let entries = pnet::list(&mut inside.generic, smc.families.pnetid)?;
    let pnetids = pnet::netdevs(&entries).into_iter().map(|(netdev, id)| (netdev.to_owned(), id)).collect();
    let addresses = route::addresses(&mut inside.route)?.into_iter().map(|(_, net)| net);
    let ordinary = addresses.filter(|net| !net.address().is_loopback() && !net.address().is_link_local());
    let addresses = ordinary.collect();
    let unguarded = guard::unguarded(&mut inside.route, guard::pinned_program(Path::new(DEFAULT_PIN_DIR))?)?;
    Ok(PodNow { converts: inside.converts, pnetids, addresses, unguarded })
}
