//! A look at the pods that are due, all on one thread.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use smc_host::guard::{self, Taken};
use smc_host::netns::{Netns, visit};
use smc_host::observe;
use smc_host::traffic::{self, Visit, Want};
use smc_model::{Elsewhere, HostState, Known, StripCause, diagnose, standing_cause};

use super::super::pod::{COUNTERS_EXPLAINED_FOR, EXPLAINED_FOR, Pod};
use super::super::set_up::{has_new_interface, lost};
use super::super::{report, wall};
use super::told::{announce, set_up_again};
use super::{ROUNDS, Watch};

impl Watch {
    pub(super) fn look(&mut self, by_events: bool) {
        let now = self.now();
        let is_due = |pod: &Pod| pod.next_look() <= now;
        if !self.pods.values().any(is_due) {
            return;
        }
        // Where counters are judged, a pod's are compared with all others', so all are looked at.
        let due = self.pods.iter().filter(|(_, pod)| !by_events || is_due(pod));
        let due: Vec<String> = due.map(|(container, _)| container.clone()).collect();
        self.peers.forget(now);
        let same_node = self.same_node();
        let pins = self.facts.as_ref().and_then(|facts| facts.guard_pins.as_deref());
        let guard_program = pins.and_then(|pins| guard::pinned_program(pins).ok().flatten());
        let pods = &self.pods;
        let visits = traffic::families().and_then(|families| {
            let Some(families) = families else { return Ok(Vec::new()) };
            visit(|visitor| {
                let look = |container: &String| {
                    let pod = pods.get(container)?;
                    let record = pod.record()?;
                    let netns = Netns::open(&record.netns).ok()?;
                    // The path may be another pod's by now.
                    if Some(netns.id()) != record.netns_id {
                        return None;
                    }
                    visitor.enter(&netns).ok()?;
                    let want = |counters: &_| Want {
                        connections: pod.wants_connections(counters, by_events, now),
                        set_up: pod.check_is_due(now),
                        guard_program,
                    };
                    traffic::visit(families, want, &same_node).ok()
                };
                due.iter().map(|container| (container.clone(), look(container))).collect()
            })
        });
        let visits: Vec<(String, Option<Visit>)> = match visits {
            Ok(visits) => visits,
            Err(error) => {
                tracing::debug!("{}", error.with_cause());
                due.iter().map(|container| (container.clone(), None)).collect()
            }
        };
        // Where there is no smc, there is nothing to look at, but causes to tell.
        if visits.is_empty() {
            for pod in self.pods.values_mut() {
                pod.not_looked(now);
            }
        }
        let host = self.host_state(&visits);
        if let Some(host) = &host {
            self.stripped_nodes.clone_from(&host.stripped_nodes);
        }
        self.remember(&visits);
        if let Some(taken) = self.taken_out() {
            for (container, _) in visits.iter().filter(|(_, visit)| visit.is_some()) {
                if let Some(pod) = self.pods.get_mut(container) {
                    pod.taken_out(&taken);
                }
            }
        }
        for (container, visit) in visits {
            self.looked(&container, visit, by_events, host.as_ref(), now);
        }
    }

    /// Keeps what fell back of each pod at the last looks.
    fn remember(&mut self, visits: &[(String, Option<Visit>)]) {
        let growth = |(container, visit): &(String, Option<Visit>)| {
            let growth = self.pods.get(container)?.growth(&visit.as_ref()?.counters);
            growth.has_failing().then(|| (container.clone(), growth))
        };
        let round = visits.iter().filter_map(growth).collect();
        self.rounds.push_back(round);
        if self.rounds.len() > ROUNDS {
            self.rounds.pop_front();
        }
    }

    /// What fell back of all pods but this one at the last looks.
    fn elsewhere(&self, container: &str) -> Elsewhere {
        let growths = self.rounds.iter().flatten().filter(|(other, _)| other.as_str() != container);
        growths.fold(Elsewhere::default(), |sum, (_, growth)| sum.and(growth))
    }

    /// What the guard's program took out of SYNs to pods; `None` where that cannot be read.
    fn taken_out(&self) -> Option<BTreeMap<IpAddr, BTreeMap<StripCause, Taken>>> {
        let pins = self.facts.as_ref().and_then(|facts| facts.guard_for_pods())?;
        guard::Guard::open_if_there(pins).ok().flatten()?.taken().ok()
    }

    fn host_state(&self, visits: &[(String, Option<Visit>)]) -> Option<HostState> {
        let checked =
            |(_, visit): &(String, Option<Visit>)| visit.as_ref().is_some_and(|v| v.set_up.is_some());
        let facts = self.facts.as_ref().filter(|_| visits.iter().any(checked))?;
        observe::host_state(facts).inspect_err(|error| tracing::debug!("{}", error.with_cause())).ok()
    }

    fn looked(
        &mut self,
        container: &str,
        visit: Option<Visit>,
        by_events: bool,
        host: Option<&HostState>,
        now: Duration,
    ) {
        let elsewhere = self.elsewhere(container);
        let Some(pod) = self.pods.get_mut(container) else { return };
        let Some(visit) = visit else { return pod.not_looked(now) };
        let mut found = Vec::new();
        if let (Some(inside), Some(host), Some(facts)) = (&visit.set_up, host, &self.facts) {
            pod.was_checked(now);
            let missing = pod.records.values().map(|record| (record, lost(record, facts, inside, host)));
            let missing: Vec<_> = missing.filter(|(_, lost)| !lost.is_empty()).collect();
            found = missing.iter().flat_map(|(_, lost)| lost.clone()).collect();
            // A pod's end, and the switch, take things away too, in a moment between two looks.
            for record in pod.records.values().filter(|record| has_new_interface(record, inside)) {
                self.tools.lost.tell(record.attachment.clone());
            }
            let again = !found.is_empty() && found == pod.suspected;
            if again {
                for (record, lost) in &missing {
                    self.tools.announcer.announce(report::set_up_lost(record, lost));
                    self.tools.lost.tell(record.attachment.clone());
                }
                for reason in &found {
                    self.tools.board.lost(reason.name(), reason.to_string());
                }
            }
            pod.suspected = if again { Vec::new() } else { found.clone() };
        }
        let addresses = pod.addresses().collect();
        let missing = pod.missing_then(&found, by_events, now);
        let explained_for = if by_events { EXPLAINED_FOR } else { COUNTERS_EXPLAINED_FOR };
        let restored = self.tools.board.read(|view| view.losses.restored(wall(), explained_for));
        let plan = pod.record().map(|record| record.plan.clone()).unwrap_or_default();
        let known = self.facts.as_ref().map(|node| Known {
            node,
            plan: &plan,
            addresses: &addresses,
            lost: &missing,
            restored: &restored,
            queue_pairs: self.devices.queue_pairs(),
        });
        let cause = known.and_then(|known| standing_cause(known.plan, known.node, known.addresses));
        if let Some(cause) = &cause {
            set_up_again(&self.tools, pod, cause);
        }
        let fault = |failure: &_| known.and_then(|known| diagnose(failure, &known));
        let news = pod.looked(&visit, by_events, elsewhere, cause, fault, &mut self.peers, now);
        if news.verdict {
            announce(&self.tools, pod);
        }
        for entry in news.programs {
            self.tools.announcer.announce(pod.record().and_then(|record| report::kept_on_tcp(record, entry)));
        }
    }
}
