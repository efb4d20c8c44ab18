//! The agent's port, when it is another program's.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::kills::anew;
use crate::play::world::{SYSTEM, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "port-taken",
    shows: "another program has the agent's port and answers 404: the agent works, names it, and takes the port when it is free",
    run: Run::Long,
    play: taken,
}];

const NODE: &str = "node1";
const TERMINATE: u8 = 15;
/// Answers 404 at the port as soon as it can be had: the agent's own is still open when this starts.
const PROGRAM: &str = r#"
import http.server, time
while True:
    try:
        server = http.server.HTTPServer(("127.0.0.1", 9810), http.server.BaseHTTPRequestHandler)
        break
    except OSError:
        time.sleep(0.02)
server.serve_forever()"#;
/// Longer than the liveness probe needs to end an agent that it does not find: 3 times 60 s.
const PROBED: Duration = Duration::from_secs(200);

fn taken(world: &mut World) -> Result<String> {
    let program = world.node(NODE)?.command(&["python3", "-c", PROGRAM]).timeout(PROBED * 4).spawn()?;
    let played = beside(world);
    program.signal(TERMINATE)?;
    let seen = played?;
    world.eventually(|world| {
        let asked = world.node(NODE)?.command(&["curl", "-fsS", "http://127.0.0.1:9810/metrics"]).check();
        asked.context("the port is free, and has no metrics").map(drop)
    })?;
    let log = world.kubectl(&["logs", "-n", SYSTEM, &world.agent(NODE)?.name])?;
    ensure!(log.contains("no longer: port"), "{log}");
    Ok(format!("{seen}; metrics when it had gone"))
}

fn beside(world: &World) -> Result<String> {
    anew(world, NODE)?;
    let agent = world.agent(NODE)?;
    let log = world.eventually(|world| {
        let log = world.kubectl(&["logs", "-n", SYSTEM, &agent.name])?;
        ensure!(log.contains("the port is python3"), "{log}");
        Ok(log)
    })?;
    ensure!(log.contains("SMC_AGENT_LISTEN"), "{log}");
    sleep(PROBED);
    let later = world.agent(NODE)?;
    ensure!(later.name == agent.name && later.ready && later.restarts == 0, "{later:?}");
    let warnings = world.events_on(SYSTEM, &agent.name, "Warning")?;
    ensure!(warnings.is_empty(), "{warnings:?}");
    let doctor = world.smcctl(NODE, &["doctor"])?;
    ensure!(doctor.contains("the port is python3"), "smcctl doctor:\n{doctor}");
    Ok(format!("Ready, not restarted in {} s, named in its log and by smcctl doctor", PROBED.as_secs()))
}
