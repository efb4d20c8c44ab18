//! kube-proxy in nftables mode with thousands of Services: its transactions hold the kernel's nf_tables for seconds, and the
//! same-node guard is in nf_tables, too.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rig::layout::PAUSE_IMAGE;
use serde_json::{Value, json};
use smc_model::ANNOTATION;

use super::fortio::IMAGE;
use super::kills::kill;
use crate::play::world::World;
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "many-services",
    shows: "3,000 Services of 5 endpoints in nftables mode: kube-proxy's table is deleted and kube-proxy restarted while 30 \
            annotated pods start and 10 end; no call of the plugin takes above 3 s, no pod needs a restart",
    run: Run::Nftables,
    play: many_services,
}];

const NODE: &str = "node1";
const NAMESPACE: &str = "many";
const SERVICES: usize = 3_000;
const ENDPOINTS: usize = 5;
/// How many objects are made by one kubectl.
const BATCH: usize = 500;
const STARTING: usize = 30;
const ENDING: usize = 10;
/// How many start at a time: the kubelet waits two minutes for each, which is too short for thirty on one emulated CPU.
const STEP: usize = 10;
/// For kube-proxy, on one emulated CPU, to write all of them.
const LIMIT: Duration = Duration::from_secs(1_800);
/// What no call takes that nothing is in the way of, emulated or not.
const SLOW: Duration = Duration::from_secs(1);
/// What no call may take because of us.
const MOST: Duration = Duration::from_secs(3);
const LOG: &str = "/var/log/kube-smc/cni.log";

fn many_services(world: &mut World) -> Result<String> {
    let played = play(world);
    // Three thousand Services would be in the way of all that is played later.
    world.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=900s"])?;
    played
}

fn play(world: &World) -> Result<String> {
    let begun = Instant::now();
    world.apply(&namespace_and_pods().to_string())?;
    world.rolled_out(NAMESPACE, "deployment/ending")?;
    for numbers in (0..SERVICES).collect::<Vec<_>>().chunks(BATCH) {
        world.send(&["create", "-f", "-"], &services(numbers).to_string())?;
    }
    world.within(LIMIT, written)?;
    let prepared = begun.elapsed();
    let lines = log_lines(world)?.len();

    let mut disturbed = 0;
    for wanted in (STEP..=STARTING).step_by(STEP) {
        // Its rules and kube-proxy are taken away, and while it writes all of them anew pods start, and the others end.
        disturb(world)?;
        disturbed += 1;
        world.kubectl(&["scale", "-n", NAMESPACE, "deployment/starting", &format!("--replicas={wanted}")])?;
        world.kubectl(&["scale", "-n", NAMESPACE, "deployment/ending", "--replicas=0"])?;
        world.within(LIMIT, |world| {
            let ready = world.pods(NAMESPACE, "app=starting")?.iter().filter(|pod| pod.ready).count();
            let left = world.pods(NAMESPACE, "app=ending")?.len();
            ensure!(
                (ready, left) == (wanted, 0),
                "{ready} of {wanted} are Ready, {left} of {ENDING} are still there"
            );
            written(world)
        })?;
    }
    let to_restart = world.within(LIMIT, set_up)?;
    let calls = calls(&log_lines(world)?[lines..]);
    let count = |command: &str| calls.keys().filter(|(_, of)| of == command).count();
    let (adds, dels) = (count("ADD"), count("DEL"));
    let took = |slow: &dyn Fn(&Call) -> bool| calls.values().filter(|call| slow(call)).count();
    let longest = calls.values().map(|call| call.took).max().context("no call is on log")?;
    let said = format!(
        "{adds} ADDs and {dels} DELs beside {disturbed} rewrites of {SERVICES} Services, which took {:.0} s to write at first: {} took \
         over {} ms, the longest {} ms, {} answered without the kernel; {STARTING} of {STARTING} servers set up, {to_restart} of them \
         to be restarted",
        prepared.as_secs_f32(),
        took(&|call| call.took > SLOW),
        SLOW.as_millis(),
        longest.as_millis(),
        took(&|call| call.without_worker),
    );
    // A pod whose ADD the kubelet gave up has another one.
    ensure!(adds >= STARTING && dels >= ENDING && longest <= MOST && to_restart == 0, "{said}");
    Ok(said)
}

/// Takes kube-proxy's rules and kube-proxy itself away; the node's init starts it again, and it writes all of them anew.
fn disturb(world: &World) -> Result<()> {
    kill(world, NODE, "kube-proxy")?;
    world.node(NODE)?.command(&["nft", "delete", "table", "ip", "kube-proxy"]).check()?;
    Ok(())
}

/// Fails unless kube-proxy has written all Services.
fn written(world: &World) -> Result<()> {
    let script = r#"nft -j list map ip kube-proxy service-ips 2>/dev/null | grep -o '"goto"' | wc -l"#;
    let count = world.node(NODE)?.command(&["sh", "-c", script]).check()?;
    let count: usize = String::from_utf8_lossy(&count.stdout).trim().parse()?;
    ensure!(count >= SERVICES, "kube-proxy has written {count} of {SERVICES} Services");
    Ok(())
}

/// Fails unless `smcctl pods` knows all servers as set up. Returns how many of them are to be restarted.
fn set_up(world: &World) -> Result<usize> {
    let said = world.verdicts(NODE, NAMESPACE)?;
    let to_restart = said.values().filter(|said| said.verdict == "needs-restart").count();
    let set_up = said.values().filter(|said| said.is_set_up()).count();
    ensure!(set_up + to_restart == STARTING, "of {STARTING} pods smcctl says: {said:?}");
    Ok(to_restart)
}

/// A call of the plugin by its log.
struct Call {
    took: Duration,
    without_worker: bool,
}

fn log_lines(world: &World) -> Result<Vec<Value>> {
    let log = world.node(NODE)?.command(&["sh", "-c", r#"cat "$1" 2>/dev/null || :"#, "sh", LOG]).check()?;
    let log = String::from_utf8(log.stdout)?;
    log.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// ADDs and DELs by pod and command. Where a call answered without its worker, the worker's own line tells how long that went on.
fn calls(lines: &[Value]) -> BTreeMap<(String, String), Call> {
    let mut calls: BTreeMap<(String, String), Call> = BTreeMap::new();
    for line in lines {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let took = Duration::from_micros(line["took_us"].as_u64().unwrap_or_default());
        let without_worker = text("message").starts_with("not done after");
        let call = calls
            .entry((text("container"), text("command")))
            .or_insert(Call { took: Duration::ZERO, without_worker: false });
        match (call.without_worker, without_worker) {
            (false, true) => *call = Call { took, without_worker },
            (false, false) => call.took = call.took.max(took),
            (true, _) => {}
        }
    }
    calls
}

fn namespace_and_pods() -> Value {
    let pause = json!({ "name": "pause", "image": PAUSE_IMAGE });
    // They listen as soon as they run, as servers do.
    let server = json!({ "name": "fortio", "image": IMAGE,
                         "args": ["server", "-grpc-port", "disabled", "-redirect-port", "disabled", "-tcp-port", "disabled",
                                  "-udp-port", "disabled"] });
    let deployment = |name: &str, replicas: usize, container: &Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": {
                "replicas": replicas, "selector": { "matchLabels": { "app": name } }, "progressDeadlineSeconds": 3600,
                "template": {
                    "metadata": { "labels": { "app": name }, "annotations": { ANNOTATION: "true" } },
                    "spec": {
                        "nodeSelector": { "kubernetes.io/hostname": NODE }, "automountServiceAccountToken": false,
                        "enableServiceLinks": false, "terminationGracePeriodSeconds": 1,
                        "containers": [container],
                    },
                },
            },
        })
    };
    json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } },
        deployment("starting", 0, &server),
        deployment("ending", ENDING, &pause),
    ] })
}

/// Services of these numbers, each with its endpoints; nobody is there (198.18.0.0/15 is for benchmarks, RFC 2544).
fn services(numbers: &[usize]) -> Value {
    let objects = numbers.iter().flat_map(|number| {
        let name = format!("service-{number}");
        let endpoint = |index: usize| {
            let host = number * ENDPOINTS + index;
            json!({ "addresses": [format!("198.18.{}.{}", host / 250, host % 250 + 1)], "conditions": { "ready": true } })
        };
        [
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": NAMESPACE },
                    "spec": { "ports": [{ "name": "http", "port": 80 }] } }),
            json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                    "metadata": { "name": name, "namespace": NAMESPACE, "labels": { "kubernetes.io/service-name": name } },
                    "addressType": "IPv4", "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
                    "endpoints": (0..ENDPOINTS).map(endpoint).collect::<Vec<_>>() }),
        ]
    });
    json!({ "apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<_>>() })
}
