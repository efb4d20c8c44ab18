//! DEL: always success, whatever the state of node, pod and files.

use cni_spec::{ConfigError, Environment, NetworkConfig};
use smc_attach::detach;

use crate::call::{attachment, store};
use crate::clock::Clock;
use crate::in_time::{in_time, log_late};
use crate::log::{Line, Log};

/// DEL: releases what the attachment owns. It comes twice, without a namespace, without a previous result, and with
/// a configuration that may be half written; the record alone tells what is to be undone.
pub(crate) fn del(environment: &Environment, config: Result<NetworkConfig<'_>, ConfigError>, clock: &Clock) {
    let config = config.ok();
    let Ok(attachment) = attachment(environment) else { return };
    let store = store(config.as_ref());
    if !store.knows(&attachment) {
        return;
    }
    let line = Line::from_environment(environment, "DEL", clock);
    let log = Log::by(config.as_ref());
    let released = in_time(clock, || {
        let detached = detach(&store, &attachment, clock.deadline());
        for problem in &detached.problems {
            log.write(&line.clone().problem(problem), clock);
        }
        if let Some(record) = &detached.record {
            log.write(&line.clone().released(record), clock);
        }
    });
    if let Err(problem) = released {
        log_late(&log, &line.problem(&problem), clock);
    }
}
