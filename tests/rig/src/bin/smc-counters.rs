//! Prints the SMC counters of network namespaces as one JSON object per line.
#![forbid(unsafe_code)]

use std::io::{Write as _, stdout};
use std::path::Path;

use anyhow::Context as _;
use rig::counters::Counters;

fn main() -> anyhow::Result<()> {
    for path in std::env::args_os().skip(1) {
        let shown = Path::new(&path).display().to_string();
        let counters =
            Counters::read(Path::new(&path)).map_err(|error| anyhow::anyhow!(error.with_cause()))?;
        let line =
            serde_json::to_string(&counters).with_context(|| format!("print the counters of {shown}"))?;
        writeln!(stdout(), "{line}")?;
    }
    Ok(())
}
