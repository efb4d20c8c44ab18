//! ADD and CHECK.

use cni_spec::{CniError, Policy, code, success};
use smc_attach::{AttachError, Job, attach};
use smc_host::{HostError, kernel};
use smc_model::{Reason, Verdict, Wish};
use smc_state::Record;

use crate::call::Call;
use crate::log::Line;

/// ADD: sets an annotated pod up and hands the previous result on, byte for byte. A pod that cannot be accelerated
/// starts on plain TCP, unless the chain entry's policy is `required`.
pub(crate) fn add(call: &Call<'_>) -> Result<Vec<u8>, CniError> {
    // First, because without a previous result there is no pod network and nothing may be touched.
    let output = success(call.config.prev_result)?;
    let wish = call.wish();
    if wish == Wish::Disabled {
        return Ok(output.to_vec());
    }
    if call.store().is_uninstalled() {
        return Ok(output.to_vec());
    }
    let required = call.config.options.policy == Policy::Required;
    let log = call.log();
    let line = Line::of(call, "ADD");
    match set_up(call, wish) {
        Ok(record) => {
            log.write(&line.record(&record), call.clock);
            match record.verdict {
                Some(Verdict::Refused { reason }) if required && was_asked_for(&reason) => {
                    Err(refused(&reason))
                }
                _ => Ok(output.to_vec()),
            }
        }
        Err(failure) => {
            log.write(&line.problem(&failure.text), call.clock);
            match failure.code {
                // The state directory is no concern of a pod that may run on plain TCP.
                code::IO_FAILURE if !required => Ok(output.to_vec()),
                code => Err(CniError::new(code, failure.message).with_details(failure.text)),
            }
        }
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
        Ok(Some(Record { verdict: Some(Verdict::Refused { reason }), .. })) if !was_asked_for(&reason) => {
            Ok(())
        }
        Ok(Some(Record { verdict: Some(Verdict::Refused { reason }), .. })) => Err(refused(&reason)),
        Ok(_) => Err(CniError::new(code::ACCELERATION_REFUSED, "this pod was never set up for SMC")),
        Err(error) => {
            Err(CniError::new(code::IO_FAILURE, "cannot read the pod's record")
                .with_details(error.with_cause()))
        }
    }
}

/// Whether acceleration was asked for, so that a pod may fail for it where it is required. Whoever switches the feature off
/// does not want that, and a pod with a misspelt annotation did not ask, to the letter.
fn was_asked_for(reason: &Reason) -> bool {
    !matches!(reason, Reason::SwitchedOff { .. } | Reason::AnnotationMisspelt { .. })
}

fn refused(reason: &Reason) -> CniError {
    let code = match reason {
        Reason::StepFailed { .. } | Reason::ReadBackFailed { .. } | Reason::BudgetExceeded { .. } => {
            code::ACCELERATION_FAILED
        }
        _ => code::ACCELERATION_REFUSED,
    };
    CniError::new(code, format!("SMC is required for this pod, but {}: {reason}", reason.name()))
        .with_details(format!("{}; {}", reason.meaning(), reason.remedy()))
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
