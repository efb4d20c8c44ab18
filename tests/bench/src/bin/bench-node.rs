//! The part of `hack/bench` that runs inside a node: `bench-node REPOSITORY ROUNDS [DIRECTORY]` prints its figures as JSON.
#![forbid(unsafe_code)]

use std::io::{Write as _, stdout};
use std::path::Path;

use anyhow::Context as _;
use bench::pod::measure;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let repository = arguments.next().context("bench-node REPOSITORY ROUNDS")?;
    let rounds =
        arguments.next().and_then(|text| text.parse().ok()).context("bench-node REPOSITORY ROUNDS")?;
    let against = arguments.next();
    let figures = measure(Path::new(&repository), against.as_deref().map(Path::new), rounds, |_| {})?;
    writeln!(stdout(), "{}", serde_json::to_string(&figures)?)?;
    Ok(())
}
