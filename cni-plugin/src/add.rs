//! ADD and CHECK.

use std::time::Duration;

use cni_spec::{
    CniError, Command, ConfigError, Environment, POD_ANNOTATIONS_CAPABILITY, PluginOptions, Policy, Salvage,
    code, empty_success, success,
};
use smc_attach::{AttachError, Job, attach};
use smc_host::{HostError, kernel};
use smc_model::reasons::policy::Failing;
use smc_model::{Reason, Verdict, Wish, counts_beside_the_one_that_asks};
use smc_state::{Phase, Record};

use crate::call::{Call, particulars, wish};
use crate::clock::Clock;
use crate::in_time::{in_time, log_late};
use crate::log::{Line, Log};

/// ADD: sets an annotated pod up and hands the previous result on, byte for byte. A pod that cannot be accelerated
/// starts on plain TCP, unless the chain entry's policy is `required`.
pub(crate) fn add(call: &Call<'_>) -> Result<Vec<u8>, CniError> {
    let wish = call.wish();
    let required = call.config.options.policy == Policy::Required;
    let tell =
        |problem: &str| Log::by(Some(call.config)).write(&Line::of(call, "ADD").problem(problem), call.clock);
    // First, because without a previous result there is no pod network and nothing may be touched.
    let output = match success(call.config.prev_result) {
        Ok(output) => output,
        Err(error) if required && asks(&wish) => return Err(error),
        Err(error) => {
            tell(&format!("{error}; this pod is left to the plugins that follow"));
            return Ok(empty_success(call.config.cni_version));
        }
    };
    if wish == Wish::Disabled {
        if required && call.is_without_annotations() {
            let problem = format!(
                "the container runtime passes no annotations ({POD_ANNOTATIONS_CAPABILITY}), so policy required cannot hold: \
                 whether this pod asks for SMC is not known"
            );
            tell(&problem);
        }
        return Ok(output.to_vec());
    }
    if call.store().is_uninstalled() {
        return Ok(output.to_vec());
    }
    if wish.is_granted()
        && let Some(why) = waits_for_agent(call)
    {
        tell(&why);
        return Err(CniError::new(code::TRY_AGAIN_LATER, why));
    }
    let problem = match in_time(call.clock, || set_up_and_tell(call, wish.clone(), required)) {
        Ok(answer) => return answer.map(|()| output.to_vec()),
        Err(problem) => problem,
    };
    let log_late = |line: Line| log_late(&Log::by(Some(call.config)), &line, call.clock);
    // The worker may have got all done but its own end.
    if let Some(record) = settled_by(call) {
        log_late(Line::of(call, "ADD").record(&record));
        return may_start(record, required).map(|()| output.to_vec());
    }
    log_late(Line::of(call, "ADD").problem(&problem));
    if !(required && asks(&wish)) {
        return Ok(output.to_vec());
    }
    let message = "SMC is required for this pod, and nobody can tell yet whether it could be set up";
    Err(CniError::new(code::ACCELERATION_FAILED, message).with_details(problem))
}

/// The record that this call's work left, once it says how that went.
fn settled_by(call: &Call<'_>) -> Option<Record> {
    let record = call.store().read(&call.attachment().ok()?).ok()??;
    (record.id == call.clock.call_id() && record.phase == Phase::Settled).then_some(record)
}

/// Whether the pod may start, once all was done for it and logged.
fn set_up_and_tell(call: &Call<'_>, wish: Wish, required: bool) -> Result<(), CniError> {
    let log = Log::by(Some(call.config));
    let line = Line::of(call, "ADD");
    match set_up(call, wish) {
        Ok(record) => {
            log.write(&line.record(&record), call.clock);
            may_start(record, required)
        }
        Err(failure) => {
            log.write(&line.problem(&failure.text), call.clock);
            match failure.code {
                // The state directory is no concern of a pod that may run on plain TCP.
                code::IO_FAILURE if !required => Ok(()),
                code => Err(CniError::new(code, failure.message).with_details(failure.text)),
            }
        }
    }
}

fn may_start(record: Record, required: bool) -> Result<(), CniError> {
    match record.verdict {
        Some(Verdict::Refused { reason }) if required => refused(&reason).map_or(Ok(()), Err),
        _ => Ok(()),
    }
}

/// What an annotated pod waits for on a node that booted a moment ago. One that started before the agent has prepared the node
/// would listen on plain TCP until somebody restarts it; the kubelet tries again.
fn waits_for_agent(call: &Call<'_>) -> Option<String> {
    let limit = call.config.options.boot_wait_seconds.unwrap_or(PluginOptions::BOOT_WAIT_SECONDS);
    let since_boot = kernel::since_boot();
    if since_boot >= Duration::from_secs(limit.into()) {
        return None;
    }
    let reason = call.store().node_facts(&kernel::boot_id().ok()?).err()?;
    Some(format!(
        "smc-agent has not prepared this node since it booted {} s ago ({reason}); for up to {limit} s after a boot annotated \
         pods wait for it (bootWaitSeconds)",
        since_boot.as_secs()
    ))
}

/// A call whose configuration is wrong somewhere: a mistake in this plugin's entry costs only the pods that it was to bind, so
/// others are handed through. Without a previous result, or without anything that can be read, that cannot be done.
pub(crate) fn with_wrong_config(
    environment: &Environment,
    salvage: Option<Salvage<'_>>,
    error: ConfigError,
    clock: &Clock,
) -> Result<Vec<u8>, CniError> {
    let Some(salvage) = salvage else { return Err(error.into()) };
    if salvage.policy == Policy::Required && asks(&wish(salvage.pod_annotations.as_ref())) {
        return Err(error.into());
    }
    match (environment.command, salvage.prev_result) {
        (Command::Add, Some(output)) => {
            let CniError { msg, details, .. } = error.into();
            let because = if details.is_empty() { msg } else { format!("{msg}: {details}") };
            let problem = format!(
                "{because}; the pod is handed through and stays on plain TCP until this is corrected"
            );
            let line = Line::from_environment(environment, "ADD", clock);
            Log::new(salvage.log_dir, None).write(&line.problem(&problem), clock);
            Ok(output.get().into())
        }
        (Command::Check | Command::Status, _) => Ok(Vec::new()),
        _ => Err(error.into()),
    }
}

/// CHECK is lenient: CRI-O asks right after every ADD, and an error there costs the pod. Only where acceleration is
/// required, the attachment must have been set up.
pub(crate) fn check(call: &Call<'_>) -> Result<(), CniError> {
    let required = call.config.options.policy == Policy::Required;
    if call.wish() == Wish::Disabled || !required || call.store().is_uninstalled() {
        return Ok(());
    }
    match call.store().read(&call.attachment()?) {
        Ok(Some(Record { verdict: Some(verdict), .. })) if verdict.is_set_up() => Ok(()),
        Ok(Some(Record { verdict: Some(Verdict::Refused { reason }), .. })) => {
            refused(&reason).map_or(Ok(()), Err)
        }
        Ok(_) => Err(CniError::new(code::ACCELERATION_REFUSED, "this pod was never set up for SMC")),
        Err(error) => {
            Err(CniError::new(code::IO_FAILURE, "cannot read the pod's record")
                .with_details(error.with_cause()))
        }
    }
}

/// Whether a pod asks for acceleration, so that it may fail where that is required.
fn asks(wish: &Wish) -> bool {
    match wish {
        Wish::Disabled => false,
        Wish::Misspelt { key } => counts_beside_the_one_that_asks(key),
        _ => true,
    }
}

/// The error by which a pod fails that requires SMC; `None` where it may start all the same.
fn refused(reason: &Reason) -> Option<CniError> {
    let code = match reason.fails_required()? {
        Failing::Refused => code::ACCELERATION_REFUSED,
        Failing::Attempt => code::ACCELERATION_FAILED,
    };
    let error = CniError::new(code, format!("SMC is required for this pod, but {}: {reason}", reason.name()));
    Some(error.with_details(format!("{}; {}", reason.meaning(), reason.remedy())))
}

/// Why an attachment could not be judged.
struct Failure {
    code: u32,
    message: &'static str,
    text: String,
}

fn set_up(call: &Call<'_>, wish: Wish) -> Result<Record, Failure> {
    let failure = |code, message, text| Failure { code, message, text };
    let invalid = |error: CniError| failure(error.code, "invalid environment", error.msg);
    let boot_id = kernel::boot_id().map_err(|error: HostError| {
        failure(code::IO_FAILURE, "cannot tell this boot from another", error.with_cause())
    })?;
    let job = Job {
        id: call.clock.call_id(),
        attachment: call.attachment().map_err(invalid)?,
        network: call.config.name.clone().into_owned(),
        pod: call.pod(),
        netns: call.environment.netns.clone().unwrap_or_default(),
        wish,
        particulars: particulars(call.config.runtime_config.pod_annotations.as_ref()),
    };
    attach(&call.store(), &boot_id, &job, call.clock.budget()).map(|outcome| outcome.record).map_err(
        |error| {
            let message = "cannot use the pod's network namespace";
            match error {
                AttachError::Netns(source) => failure(code::INVALID_NETNS, message, source.with_cause()),
                AttachError::HostNetns { .. } => failure(code::INVALID_NETNS, message, error.to_string()),
                AttachError::State(source) => {
                    failure(code::IO_FAILURE, "cannot use kube-smc's state directory", source.with_cause())
                }
            }
        },
    )
}
