//! DEL: always success, whatever the state of node, pod and files.

use cni_spec::{ConfigError, Environment, NetworkConfig};
use smc_attach::detach;

use crate::call::{attachment, log, store};
use crate::clock::Clock;
use crate::log::Line;

/// DEL: releases what the attachment owns. It comes twice, without a namespace, without a previous result, and with
/// a configuration that may be half written; the record alone tells what is to be undone.
pub(crate) fn del(environment: &Environment, config: Result<NetworkConfig<'_>, ConfigError>, clock: &Clock) {
    let config = config.ok();
    let Ok(attachment) = attachment(environment) else { return };
    let detached = detach(&store(config.as_ref()), &attachment, clock.deadline());
    let line = Line::from_environment(environment, "DEL", clock);
    let log = log(config.as_ref());
    for problem in &detached.problems {
        log.write(&line.clone().problem(problem), clock);
    }
    if let Some(record) = &detached.record {
        log.write(&line.released(record), clock);
    }
}
