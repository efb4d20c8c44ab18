//! smc-cni: the chained CNI plugin that makes annotated pods speak SMC-R.
//!
//! Blocking and small: it stands on the path of every pod's start. For a pod without the annotation it hands the
//! previous result on and touches nothing.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), no_main)]

mod add;
mod call;
mod clock;
mod del;
mod gc;
mod in_time;
mod log;

use std::io::{self, Read, Write};
use std::process::ExitCode;

use cni_spec::{
    CniError, Command, Environment, NetworkConfig, Salvage, Version, code, requested_version, version_result,
};

use crate::call::Call;
use crate::clock::Clock;

/// Several times what setting one pod up takes.
#[cfg(not(test))]
#[global_allocator]
static MEMORY: smc_host::arena::Arena<{ 1024 * 1024 }> = smc_host::arena::Arena::new();

#[cfg(not(test))]
smc_host::c_main!(call);

#[cfg_attr(test, expect(dead_code, reason = "the tests have an entry of their own"))]
fn call() -> ExitCode {
    let clock = Clock::start();
    let mut stdin = Vec::with_capacity(8 * 1024);
    let read = io::stdin().lock().read_to_end(&mut stdin);
    let result = match read {
        Err(error) if !is_del() => {
            Err(CniError::new(code::IO_FAILURE, "cannot read standard input").with_details(error.to_string()))
        }
        // DEL does with what there is.
        _ => run(&stdin, &clock),
    };
    match result {
        Ok(output) => finish(&output, ExitCode::SUCCESS),
        Err(error) => {
            let version = requested_version(&stdin).and_then(|text| text.parse().ok());
            finish(error.to_json(version.unwrap_or(Version::LATEST)).as_bytes(), ExitCode::FAILURE)
        }
    }
}

/// Whether the call is a DEL, also when nothing else about it can be understood.
fn is_del() -> bool {
    std::env::var_os("CNI_COMMAND").is_some_and(|command| command == "DEL")
}

fn finish(output: &[u8], code: ExitCode) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(output).and_then(|()| stdout.flush()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Carries out one call and returns what to print.
fn run(stdin: &[u8], clock: &Clock) -> Result<Vec<u8>, CniError> {
    let environment = match Environment::from_lookup(|name: &str| std::env::var_os(name)) {
        Ok(environment) => environment,
        // DEL never fails, or the runtime keeps the pod for ever; without these names nothing can be ours.
        Err(_) if is_del() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    if environment.command == Command::Version {
        return Ok(version_result(requested_version(stdin).as_deref()).into_bytes());
    }
    let config = NetworkConfig::parse(stdin);
    if environment.command == Command::Del {
        del::del(&environment, config, clock);
        return Ok(Vec::new());
    }
    let config = match config {
        Ok(config) => config,
        Err(error) => return add::with_wrong_config(&environment, Salvage::read(stdin), error, clock),
    };
    environment.command.require(config.cni_version)?;
    let call = Call { environment: &environment, config: &config, clock };
    match environment.command {
        Command::Add => add::add(&call),
        Command::Check => add::check(&call).map(|()| Vec::new()),
        Command::Gc => {
            gc::gc(&call);
            Ok(Vec::new())
        }
        // STATUS asks whether pods can be served, and plain ones always can: an error makes the whole node NotReady, and
        // evicts them. What keeps annotated ones from SMC is told by the agent. The others are answered above.
        Command::Status | Command::Del | Command::Version => Ok(Vec::new()),
    }
}
