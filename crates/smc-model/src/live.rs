//! The live verdict: what the kernel shows of the traffic of a pod that is set up.
//!
//! The record's [`crate::Verdict`] says what was put in place. [`Live`] says what came of it: it is told at each look what
//! was seen since the one before, and moves between configured, active and degraded without flapping.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Reason, Side, Verdict, fallback_label};

/// Without one new SMC-R connection for this long, fallbacks mean that the pod's traffic is not accelerated any more.
pub(crate) const NO_SUCCESS: Duration = Duration::from_secs(15);
/// How long fallbacks count while no connection follows that would tell more.
pub(crate) const FAILURE_COUNTS: Duration = Duration::from_secs(30);
/// How long nothing may have failed before a degraded pod is taken for mended.
pub(crate) const QUIET: Duration = Duration::from_secs(60);
/// How long after the last failure a pod that makes no more connections stays degraded.
pub(crate) const FORGOTTEN: Duration = Duration::from_secs(600);
/// How soon a pod whose connections fell back is to be looked at again: so that with looks of this distance its
/// degradation is known 30 s after the fault.
pub const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How many different failures are kept.
const FAILURES: usize = 16;

/// What a pod's traffic shows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum LiveVerdict {
    /// All is in place; no SMC-R connection was seen yet, or none since what was wrong ended.
    #[default]
    Configured,
    /// The kernel showed SMC-R connections.
    Active,
    /// Connections that should be SMC-R are TCP, or will be.
    Degraded {
        /// What is wrong with the node or the pod's set-up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Reason>,
        /// How often connections to other nodes fell back, and why; most frequent first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        failures: Vec<Failures>,
    },
}

/// How often one thing failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// How often.
    pub count: u64,
    /// What.
    #[serde(flatten)]
    pub failure: Failure,
    /// The fault behind it, where what is known on this node tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Reason>,
}

impl Failures {
    /// The name of the fault behind it, else the kernel's.
    pub fn name(&self) -> &'static str {
        self.diagnosis.as_ref().map_or_else(|| self.failure.label(), Reason::name)
    }
}

/// Why a connection that should have been SMC-R is TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "kebab-case")]
pub enum Failure {
    /// The kernel gave this code.
    Fallback {
        /// The code.
        code: u32,
        /// The code that the peer gave when it declined; 0 when it did not, or when that is not known.
        #[serde(default)]
        peer_diagnosis: u32,
        /// The program's socket is an IPv6 one.
        #[serde(default)]
        ipv6_socket: bool,
        /// Which side the pod was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        side: Option<Side>,
    },
    /// A peer that speaks SMC, as was seen before, did not offer it.
    PeerLostSmc {
        /// The peer.
        peer: IpAddr,
    },
}

impl Failure {
    /// A stable short name.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Fallback { code, .. } => fallback_label(*code),
            Self::PeerLostSmc { .. } => "PeerLostSmc",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fallback { code, peer_diagnosis, ipv6_socket, side: _ } => {
                write!(f, "{} ({code:#010x}", self.label())?;
                if *peer_diagnosis != 0 {
                    let label = fallback_label(*peer_diagnosis);
                    write!(f, "; the peer said {label}, {peer_diagnosis:#010x}")?;
                }
                f.write_str(if *ipv6_socket { "; from an IPv6 socket)" } else { ")" })
            }
            Self::PeerLostSmc { peer } => {
                write!(f, "{} ({peer} spoke SMC before and does not offer it now)", self.label())
            }
        }
    }
}

impl LiveVerdict {
    /// A stable name for labels and queries.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Active => "active",
            Self::Degraded { .. } => "degraded",
        }
    }

    /// The name of what is most telling of a degradation: its cause, else the fault behind the most frequent failure, else
    /// the kernel's name of that.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Configured | Self::Active => None,
            Self::Degraded { cause: Some(cause), .. } => Some(cause.name()),
            Self::Degraded { failures, .. } => failures.first().map(Failures::name),
        }
    }

    /// Whether it is a degradation.
    pub fn is_degraded(&self) -> bool {
        matches!(self, Self::Degraded { .. })
    }
}

/// The name of a pod's verdict, live where there is traffic to judge: an old listener is told until connections fail.
pub fn live_name(set_up: &Verdict, live: Option<&LiveVerdict>) -> &'static str {
    match (set_up, live) {
        (Verdict::Configured, Some(live)) => live.name(),
        (Verdict::NeedsRestart { .. }, Some(live)) if live.is_degraded() => live.name(),
        _ => set_up.name(),
    }
}

/// What was seen since the look before.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// New SMC-R connections.
    pub successes: u64,
    /// Whether there is an SMC-R connection now, as far as was looked.
    pub live: bool,
    /// What failed that should not have, and how often. In-pod and same-node traffic, and peers that never spoke SMC,
    /// are not in here: see [`crate::judge`].
    pub failed: BTreeMap<Failure, u64>,
    /// The faults behind them, where they are known, see [`crate::diagnose`].
    pub diagnoses: BTreeMap<Failure, Reason>,
    /// What is wrong with the node or the pod's set-up at this moment.
    pub cause: Option<Reason>,
}

/// The live verdict in the course of time. Times are durations since any one moment, and never go back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live {
    verdict: LiveVerdict,
    last_success: Option<Duration>,
    last_failure: Option<Duration>,
    /// Since the last look at which something succeeded, or since the degradation began.
    failed: BTreeMap<Failure, u64>,
    /// The faults behind what failed, as they were found last.
    diagnoses: BTreeMap<Failure, Reason>,
}

impl Live {
    /// Takes up a verdict of an earlier run.
    pub fn resume(verdict: LiveVerdict, now: Duration) -> Self {
        let mut live = Self { verdict, ..Self::default() };
        if let LiveVerdict::Degraded { failures, .. } = &live.verdict {
            live.failed = failures.iter().map(|failures| (failures.failure, failures.count)).collect();
            let known = failures.iter().filter_map(|f| Some((f.failure, f.diagnosis.clone()?)));
            live.diagnoses = known.collect();
            live.last_failure = Some(now);
        }
        live
    }

    /// The verdict.
    pub fn verdict(&self) -> &LiveVerdict {
        &self.verdict
    }

    /// Whether the next look should come after [`LOOK_AGAIN`].
    pub fn is_suspicious(&self, now: Duration) -> bool {
        !self.verdict.is_degraded() && since(self.last_failure, now) < FAILURE_COUNTS
    }

    /// Takes in what was seen; whether the verdict's name changed.
    pub fn look(&mut self, now: Duration, seen: Observation) -> bool {
        let before = self.verdict.name();
        let Observation { successes, live, failed, mut diagnoses, cause } = seen;
        for failure in failed.keys() {
            match diagnoses.remove(failure) {
                Some(diagnosis) => drop(self.diagnoses.insert(*failure, diagnosis)),
                None => drop(self.diagnoses.remove(failure)),
            }
        }
        if successes > 0 {
            self.last_success = Some(now);
        }
        let fails = !failed.is_empty();
        if fails || cause.is_some() {
            self.last_failure = Some(now);
        }
        let unproven = if live { LiveVerdict::Active } else { LiveVerdict::Configured };
        match std::mem::take(&mut self.verdict) {
            LiveVerdict::Degraded { cause: told, .. } => {
                let quiet = since(self.last_failure, now);
                let proven = quiet >= QUIET && self.last_success > self.last_failure;
                // A cause that ended without any connection having failed.
                let ended = quiet >= QUIET && self.failed.is_empty();
                self.verdict = if proven {
                    LiveVerdict::Active
                } else if ended || quiet >= FORGOTTEN {
                    unproven
                } else {
                    self.add(failed);
                    // One that ended stays to be told until something else fails.
                    self.degraded(cause.or(told.filter(|_| !fails)))
                };
            }
            verdict => {
                // A success in the same interval tells more than what failed in it.
                if successes > 0 || since(self.last_failure, now) > FAILURE_COUNTS {
                    self.failed.clear();
                }
                if successes == 0 {
                    self.add(failed);
                }
                let fell = !self.failed.is_empty() && since(self.last_success, now) >= NO_SUCCESS;
                self.verdict = if cause.is_some() || fell {
                    self.degraded(cause)
                } else if successes > 0 || live {
                    LiveVerdict::Active
                } else {
                    verdict
                };
            }
        }
        if !self.verdict.is_degraded() && before == "degraded" {
            self.failed.clear();
        }
        let failed = &self.failed;
        self.diagnoses.retain(|failure, _| failed.contains_key(failure));
        self.verdict.name() != before
    }

    fn add(&mut self, failed: BTreeMap<Failure, u64>) {
        for (failure, count) in failed {
            if self.failed.len() < FAILURES || self.failed.contains_key(&failure) {
                *self.failed.entry(failure).or_default() += count;
            }
        }
    }

    fn degraded(&self, cause: Option<Reason>) -> LiveVerdict {
        let told = self.failed.iter().map(|(&failure, &count)| {
            let diagnosis = self.diagnoses.get(&failure).cloned();
            Failures { count, failure, diagnosis }
        });
        let mut failures: Vec<Failures> = told.collect();
        failures.sort_by_key(|failures| std::cmp::Reverse(failures.count));
        LiveVerdict::Degraded { cause, failures }
    }
}

/// How long ago; for ever when it never was.
fn since(moment: Option<Duration>, now: Duration) -> Duration {
    moment.map_or(Duration::MAX, |moment| now.saturating_sub(moment))
}

#[cfg(test)]
mod tests;
