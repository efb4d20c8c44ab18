//! `smcctl`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use smcctl::cli::Cli;
use smcctl::output::{Paint, Status};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match smcctl::run(&cli, Paint::for_stdout()) {
        Ok(Some(outcome)) => match outcome.print(cli.options.json) {
            Ok(()) => outcome.status.into(),
            Err(error) => {
                eprintln!("smcctl: cannot write the result: {error}");
                Status::CouldNotLook.into()
            }
        },
        Ok(None) => Status::Fine.into(),
        Err(error) => {
            eprintln!("smcctl: {error:#}");
            Status::CouldNotLook.into()
        }
    }
}
