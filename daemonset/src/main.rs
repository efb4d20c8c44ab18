//! smc-agent: the node agent of kube-smc.
#![forbid(unsafe_code)]

mod cli;
mod verbs;

use std::process::ExitCode;

use anyhow::Result;
use smc_agent::process::{log_level, logging};

use cli::{Cli, Command};

fn main() -> ExitCode {
    match work(Cli::read()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The last line, in plain words whatever the log's form: `kubectl describe pod` shows it.
            eprintln!("smc-agent: {}", smc_host::with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

fn work(cli: Cli) -> Result<()> {
    let setter = logging::init(cli.log_format, &cli.log_level)?;
    match cli.command {
        Command::Run(args) => verbs::run(*args, setter, cli.log_level),
        Command::Uninstall(args) => verbs::uninstall(args),
        Command::Pause => verbs::pause(),
        Command::LogLevel(args) => {
            let level = Some(args.level.as_str()).filter(|level| *level != "reset");
            log_level::ask(&args.state_dir, level).map_err(anyhow::Error::from)
        }
        Command::Install(args) => verbs::install(args),
    }
}
