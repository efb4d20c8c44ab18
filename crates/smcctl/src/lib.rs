//! `smcctl`: ask a node why its pods are, or are not, on SMC-R.
//!
//! Facts are gathered once ([`gather`]); what they mean is decided by functions of them ([`doctor`], [`capacity`], …) and
//! told as JSON or text ([`output`]). Reads the kernel and the agent's files; works without the agent.
#![forbid(unsafe_code)]

mod agent;
mod capacity;
pub mod cli;
mod conns;
mod doctor;
mod explain;
mod gather;
mod judged;
pub mod output;
mod pod;
mod pods;
pub mod probe;
#[cfg(test)]
mod recorded;
mod selftest;
mod status;

use std::fs;
use std::io::stdout;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::CommandFactory;

use capacity::Question;
use cli::{Cli, Command, Options};
use output::{Outcome, Paint, Status};
use pods::ObservedPod;
use smc_state::Store;
use smc_surfaces::facts::Facts;

/// Does what was asked. `None`: nothing is to be told.
pub fn run(cli: &Cli, paint: Paint) -> Result<Option<Outcome>> {
    let options = &cli.options;
    if options.facts.is_some() && !can_do_with_facts(&cli.command) {
        bail!("--facts is for commands that look at a node, which this one does not: leave it out");
    }
    let outcome = match &cli.command {
        Command::Doctor => doctor::doctor(&facts(options)?, paint),
        Command::Status => status::status(&facts(options)?, paint),
        Command::Pods => pods::pods(&seen(options)?, paint),
        Command::Pod { name } => pod::pod(&pods::named(seen(options)?, name)?, paint),
        Command::Conns { pod: None } => conns::conns(&seen(options)?, paint),
        Command::Conns { pod: Some(name) } => conns::conns(&pods::named(seen(options)?, name)?, paint),
        Command::Explain { reason } => explain::explain(reason.as_deref(), paint),
        Command::Capacity { pods, peers, connections } => {
            let question = pods.zip(*peers);
            let question = question.map(|(pods, peers)| Question { pods, peers, connections: *connections });
            capacity::capacity(&facts(options)?, question, paint)
        }
        Command::Selftest { side, load } => selftest::selftest(options, side.as_ref(), load, paint),
        Command::Probe { stage, pod_uid } => {
            let socket = Store::new(&options.state_dir).agent_socket_path();
            Ok(probe::probe(&socket, *stage, pod_uid.as_deref()))
        }
        Command::Facts => {
            let facts = facts(options)?;
            let text = serde_json::to_string_pretty(&facts)? + "\n";
            Outcome::new(Status::Fine, &facts, text)
        }
        Command::Completion { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "smcctl", &mut stdout());
            return Ok(None);
        }
        Command::Man { dir } => {
            man(dir)?;
            return Ok(None);
        }
    };
    outcome.map(Some)
}

fn can_do_with_facts(command: &Command) -> bool {
    match command {
        Command::Doctor
        | Command::Status
        | Command::Pods
        | Command::Pod { .. }
        | Command::Conns { .. }
        | Command::Capacity { .. }
        | Command::Facts => true,
        Command::Explain { .. }
        | Command::Selftest { .. }
        | Command::Probe { .. }
        | Command::Completion { .. }
        | Command::Man { .. } => false,
    }
}

/// Gathered on this node, or read from a file.
fn facts(options: &Options) -> Result<Facts> {
    match &options.facts {
        Some(path) => read_facts(path),
        None => Ok(gather::facts(options)),
    }
}

fn read_facts(path: &Path) -> Result<Facts> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let facts: Facts = serde_json::from_str(&text)
        .with_context(|| format!("{} holds no facts of a node", path.display()))?;
    if facts.seen_by.is_none() && !facts.pods.is_empty() {
        eprintln!(
            "smcctl: an older version saw this node: what its agent judged of pods' traffic is not read"
        );
    }
    Ok(facts)
}

/// The annotated pods of this node, or of the one that a file tells of.
fn seen(options: &Options) -> Result<Vec<ObservedPod>> {
    let (pods, node) = match &options.facts {
        None => gather::pods(options),
        Some(path) => {
            let facts = read_facts(path)?;
            if facts.seen_by.is_none() {
                bail!(
                    "{} tells nothing of pods' connections: print it again with this version's `smcctl facts`",
                    path.display()
                );
            }
            let node = facts.node();
            (facts.pods, node)
        }
    };
    Ok(pods.into_iter().map(|pod| ObservedPod::of(pod, node.as_ref())).collect())
}

/// A page for the program and one for each command.
fn man(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    clap_mangen::generate_to(Cli::command(), dir)
        .with_context(|| format!("cannot write into {}", dir.display()))
}
