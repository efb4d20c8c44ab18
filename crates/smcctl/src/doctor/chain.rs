//! The chain entry, the agent, the switch, and other managers.

use smc_model::Switch;
use smc_model::reasons::{self, finding, refusal};
use smc_surfaces::Subject;
use smc_surfaces::status::ChainState;

use crate::output::counted;
use smc_surfaces::facts::Facts;
use smc_surfaces::smcctl::Check;

/// In seconds.
const AN_HOUR: u64 = 3600;

pub(super) fn entry(facts: &Facts) -> Check {
    let name = "chain entry";
    let chain = &facts.chain;
    if let Some(problem) = &chain.problem {
        return Check::unknown(name, problem);
    }
    let Some(list) = &chain.list else {
        return Check::problem(name, &finding::CHAIN_ENTRY_MISSING, "there is no CNI configuration yet");
    };
    // The agent has judged list and entry, and says what is wrong with them and what to do; a usual remedy beside it misleads.
    let problems = facts.agent.iter().flat_map(|agent| &agent.problems);
    let judged = problems
        .filter(|(subject, _)| *subject == Subject::Chain)
        .map(|(_, problem)| problem.as_str())
        .next();
    let Some(entry) = &chain.entry else {
        let problem = |seen| Check::problem(name, &finding::CHAIN_ENTRY_MISSING, seen);
        let seen = format!("{list} has no entry of smc-cni");
        return match judged {
            Some(judged) => Check { fix: None, ..problem(format!("{seen}: {judged}")) },
            None => problem(seen),
        };
    };
    if !chain.program {
        let seen = format!("{entry} has the entry of smc-cni, and the program is not there");
        return Check::problem(name, &finding::PLUGIN_MISSING, seen);
    }
    match facts.agent.as_ref().map(|agent| (agent.chain, &agent.chain_why)) {
        Ok((ChainState::Loaded, _)) => {
            Check::fine(name, format!("in {entry}, and the runtime has loaded it"))
        }
        Ok((ChainState::NotLoaded, why)) => {
            let problem = |why| {
                let seen = format!("in {entry}, but the runtime has not loaded it: {why}");
                Check::problem(name, &finding::CHAIN_ENTRY_NOT_LOADED, seen)
            };
            match judged {
                Some(judged) => Check { fix: None, ..problem(judged) },
                None => problem(why.as_deref().unwrap_or("it does not say why")),
            }
        }
        Ok((ChainState::Unmanaged, _)) => {
            Check::fine(name, format!("in {entry}; the agent does not look after it"))
        }
        Ok((ChainState::Untold, _)) => {
            let seen = format!("in {entry}; this container runtime does not tell whether it has loaded it");
            Check::unknown(name, seen)
        }
        _ => {
            let seen = format!("in {entry}; whether the runtime has loaded it, only the agent can ask");
            Check::unknown(name, seen)
        }
    }
}

pub(super) fn agent(facts: &Facts) -> Check {
    let name = "agent";
    if let Err(reason) = &facts.published {
        return Check::problem(name, reason.entry(), reason.to_string());
    }
    let agent = match &facts.agent {
        Ok(agent) => agent,
        Err(why) => return Check::problem(name, &refusal::AGENT_NOT_READY, why),
    };
    // What the runtime has not loaded is told by the line above, and is not the agent's own trouble.
    let not_loaded = agent.chain_why.as_deref().filter(|_| agent.chain == ChainState::NotLoaded);
    let by_chain = |why: &str| not_loaded.is_some_and(|chain| why.ends_with(chain));
    if let Some(why) = agent.not_ready.as_deref().filter(|why| !by_chain(why)) {
        return Check::problem(name, &refusal::AGENT_NOT_READY, format!("not ready: {why}"));
    }
    let (about_telling, about_the_node): (Vec<_>, Vec<_>) =
        agent.problems.iter().partition(|(subject, _)| subject.is_about_telling());
    let about_the_node: Vec<_> = about_the_node
        .into_iter()
        .filter(|(subject, _)| not_loaded.is_none() || *subject != Subject::Chain)
        .collect();
    let told = |problems: &[&(Subject, String)]| {
        let told = problems.iter().map(|(subject, problem)| format!("{subject}: {problem}"));
        told.collect::<Vec<_>>().join("; ")
    };
    if !about_the_node.is_empty() {
        return Check::problem(name, &refusal::AGENT_NOT_READY, told(&about_the_node));
    }
    let ready = match &agent.not_ready {
        None => format!("{} answers and is ready", agent.version),
        Some(_) => format!("{} answers, and waits for the runtime to load the chain entry", agent.version),
    };
    if about_telling.is_empty() {
        return Check::fine(name, ready);
    }
    Check::fine(name, format!("{ready}; not all are told what it knows ({})", told(&about_telling)))
}

/// Only told when it is off.
pub(super) fn switch(facts: &Facts) -> Option<Check> {
    match &facts.published.as_ref().ok()?.switch {
        Switch::On => None,
        Switch::Off { why } => Some(Check::problem("switch", &refusal::SWITCHED_OFF, format!("off: {why}"))),
    }
}

pub(super) fn managers(facts: &Facts) -> Check {
    let name = "other managers";
    if facts.managers.is_empty() {
        return Check::fine(name, "no trace of any");
    }
    let seen = format!("{}; kube-smc uses what they set and changes none of it", facts.managers.join(", "));
    Check::fine(name, seen)
}

/// What others took away or changed within the last hour, and the agent has put right since: no problem any more, and no
/// secret.
pub(super) fn losses(facts: &Facts) -> Vec<Check> {
    let losses = facts.agent.iter().flat_map(|agent| &agent.losses);
    let recent = losses.filter(|loss| loss.seconds_ago <= AN_HOUR);
    let told = recent.filter_map(|loss| {
        let entry = reasons::by_name(&loss.reason)?;
        let times = counted(loss.count, "time");
        let seen = format!("{}; {times}, last {} s ago, not by kube-smc", loss.seen, loss.seconds_ago);
        Some(Check::note("taken away", entry.name, seen))
    });
    told.collect()
}
