//! The part of `hack/bench` that measures the agent inside a node: `bench-agent AGENT` prints its figures as JSON.
#![forbid(unsafe_code)]

use std::io::{Write as _, stderr, stdout};
use std::path::PathBuf;

use anyhow::Context as _;
use bench::agent_node::measure;

fn main() -> anyhow::Result<()> {
    let agent = std::env::args().nth(1).map(PathBuf::from).context("usage: bench-agent AGENT")?;
    let say = |line: &str| {
        let _ = writeln!(stderr(), "{line}");
    };
    let figures = measure(&agent, &say)?;
    writeln!(stdout(), "{}", serde_json::to_string(&figures)?)?;
    Ok(())
}
