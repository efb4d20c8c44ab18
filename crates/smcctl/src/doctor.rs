//! `smcctl doctor`: what is right and wrong with a node, as a function of what was found there.

mod chain;
mod ipvs;
mod node;
mod peers;
mod pods;
mod rdma;
mod smc;

use std::fmt::Write as _;

use anyhow::Result;
use smc_surfaces::smcctl::{Check, Doctor, State};

use crate::output::{Outcome, Paint, Status};
use smc_surfaces::facts::Facts;

/// Every check, in the order in which one depends on the other.
pub(crate) fn checks(facts: &Facts) -> Vec<Check> {
    let kernel = node::kernel(facts);
    let conversion = node::conversion(facts);
    // An old kernel that cannot convert will not be used for SMC-R, whatever else it lacks.
    let hopeless = [&kernel, &conversion].iter().all(|check| check.state == State::Problem);
    // Nothing was made on such a node, and nothing of it is missed.
    let only_looked_at = facts.published.as_ref().is_ok_and(|published| published.only_looked_at);
    let mut checks = vec![kernel];
    if facts.smc && !hopeless && !only_looked_at {
        checks.push(node::known_defects(facts));
    }
    checks.extend([node::modules(facts), rdma::device(facts)]);
    checks.extend(rdma::driver_mode(facts));
    checks.push(rdma::namespaces(facts));
    checks.extend(rdma::mtu(facts));
    if facts.smc && !hopeless && !only_looked_at {
        checks.extend(smc::port(facts));
        checks.extend(smc::pnetids(facts));
        checks.push(smc::ueid(facts));
        checks.extend(smc::subnets(facts));
        checks.push(smc::source_anchor(facts));
        checks.extend(ipvs::node_ports(facts));
        checks.push(smc::same_node_guard(facts));
        checks.extend(peers::inbound(facts));
    }
    if facts.smc && !only_looked_at {
        if conversion.state == State::Fine {
            checks.extend(node::syn_option(facts));
        }
        checks.push(conversion);
        checks.extend(smc::queue_pairs(facts));
    }
    checks.extend(rdma::reserved_ports(facts));
    checks.push(node::memory(facts));
    checks.push(chain::entry(facts));
    checks.push(chain::agent(facts));
    checks.extend(chain::switch(facts));
    checks.push(chain::managers(facts));
    checks.extend(chain::losses(facts));
    let told: Vec<&str> = problems(&checks).filter_map(|check| check.reason.as_deref()).collect();
    let pods = pods::pods(facts, &told);
    checks.extend(pods);
    checks
}

/// Those that are problems.
pub(crate) fn problems(checks: &[Check]) -> impl Iterator<Item = &Check> {
    checks.iter().filter(|check| check.state == State::Problem)
}

/// What the exit code says of them.
pub(crate) fn status(checks: &[Check]) -> Status {
    let any = |state| checks.iter().any(|check| check.state == state);
    if any(State::Problem) {
        Status::Problem
    } else if any(State::Unknown) {
        Status::CouldNotLook
    } else {
        Status::Fine
    }
}

/// Checks, told.
pub(crate) fn doctor(facts: &Facts, paint: Paint) -> Result<Outcome> {
    let checks = checks(facts);
    let status = status(&checks);
    let text = render(&checks, paint);
    Outcome::new(status, &Doctor { status, checks }, text)
}

fn render(checks: &[Check], paint: Paint) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for check in checks {
        let sign = match check.state {
            State::Fine => paint.good("✓"),
            State::Note => paint.doubt("•"),
            State::Problem => paint.bad("✗"),
            State::Unknown => paint.doubt("?"),
        };
        let _ = write!(text, "{sign} {:width$}  {}", check.name, check.seen);
        if let Some(reason) = &check.reason {
            let _ = write!(text, " [{}]", paint.strong(reason));
        }
        text.push('\n');
        if let Some(fix) = &check.fix {
            let _ = writeln!(text, "  {:width$}  → {fix}", "");
        }
    }
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let (problems, unknown) = (count(State::Problem), count(State::Unknown));
    let _ = match (problems, unknown) {
        (0, 0) if count(State::Note) > 0 => {
            writeln!(
                text,
                "\nAll fine. • marks what is no fault and should be known: `smcctl explain NAME` tells more."
            )
        }
        (0, 0) => writeln!(text, "\nAll fine."),
        (0, unknown) => writeln!(text, "\nNo problem seen; {unknown} could not be looked at."),
        (problems, _) => {
            writeln!(
                text,
                "\nProblems: {problems}. `smcctl explain NAME` tells more about a name in brackets."
            )
        }
    };
    text
}

#[cfg(test)]
mod tests;
