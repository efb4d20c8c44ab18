//! The long form of a test: `churn RIG [ROUNDS]` kills and upgrades the agent of the rig's node 2, 50 times unless told
//! otherwise, while pods come and go.
#![forbid(unsafe_code)]

use std::io::{Write as _, stderr, stdout};
use std::time::Instant;

use anyhow::{Context as _, Result};
use e2e::churn::churn;
use rig::host::Rig;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().context("usage: churn RIG [ROUNDS]")?;
    let rounds = arguments.next().map_or(Ok(50), |text| text.parse()).context("usage: churn RIG [ROUNDS]")?;
    let rig = Rig::attach(&name.parse()?)?;
    let begin = Instant::now();
    let say = |line: &str| {
        let _ = writeln!(stderr(), "{:6.1} s  {line}", begin.elapsed().as_secs_f32());
    };
    let churned = churn(&rig.node(2)?, rounds, 2, &say);
    writeln!(stdout(), "{churned}\nrecords, kernel and runtime agree").context("print the result")
}
