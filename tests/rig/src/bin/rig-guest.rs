//! Runs inside a rig node: as its first process, as the server of sessions, and as the CNI plugin `terway`.
#![forbid(unsafe_code)]

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use rig::guest::{init, serve, services, terway};

fn main() -> ExitCode {
    if std::env::var_os("CNI_COMMAND").is_some() {
        return answer_cni_call();
    }
    let result = match std::env::args().nth(1).as_deref() {
        Some("init") => Err(init::run_as_first_process().into()),
        Some("serve") => serve::serve().context("serve sessions"),
        Some("services") => services::run().context("run the node's services"),
        Some("reboot") => Err(init::reboot().into()),
        _ => Err(anyhow::anyhow!(
            "usage: rig-guest init | serve | services | reboot (only inside a node of hack/rig)"
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "rig-guest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn answer_cni_call() -> ExitCode {
    let mut configuration = String::new();
    // Unreadable input shows as a configuration that is not JSON.
    let _ = std::io::stdin().read_to_string(&mut configuration);
    let (output, code) = match terway::answer(&terway::Call::from_environment(), &configuration) {
        Ok(output) => (output, ExitCode::SUCCESS),
        Err(error) => (Some(terway::error_object(&error)), ExitCode::FAILURE),
    };
    if let Some(output) = output {
        let _ = writeln!(std::io::stdout(), "{output}");
    }
    code
}
