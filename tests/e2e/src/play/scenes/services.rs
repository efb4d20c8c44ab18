//! Services whose backends are of every kind.

use anyhow::{Result, bail, ensure};
use rig::layout::NODE_IMAGE;
use serde_json::{Value, json};
use smc_model::ANNOTATION;

use super::fortio::{IMAGE, pair};
use super::workloads::set_up;
use crate::play::load::Connections;
use crate::play::world::World;
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "mixed-service",
        shows: "a Service over an annotated far, an annotated near and a plain backend answers every request",
        run: Run::Short,
        play: mixed,
    },
    Scene {
        name: "neighbours-by-services",
        shows: "two annotated pods of one node by a ClusterIP, a load balancer's address and node ports of both nodes: 50 times 1 MiB \
                each, right, and no connect takes a second",
        run: Run::Long,
        play: neighbours,
    },
];

const URL: &str = "http://mixed:8080/echo";

fn mixed(world: &mut World) -> Result<String> {
    let (client, server) = pair(world)?;
    let backends = [
        ("mixed-far", &server.node, "true"),
        ("mixed-near", &client.node, "true"),
        ("mixed-plain", &server.node, "false"),
    ];
    let pods = backends.iter().map(|(name, node, annotated)| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "labels": { "app": "mixed" }, "annotations": { ANNOTATION: annotated } },
            "spec": {
                "nodeName": node,
                "containers": [{
                    "name": "fortio", "image": IMAGE, "args": ["server"],
                    "readinessProbe": { "tcpSocket": { "port": 8080 } },
                }],
            },
        })
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "mixed" },
        "spec": { "selector": { "app": "mixed" }, "ports": [{ "port": 8080 }] },
    });
    let items: Vec<Value> = pods.chain([service]).collect();
    world.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string())?;
    world.kubectl(&["wait", "pod", "-l", "app=mixed", "--for=condition=Ready", "--timeout=180s"])?;

    let before = world.known_verdict(&client)?;
    let answers = world.requests(&client, URL, 60, Connections::EachNew)?.all_right()?;
    let after = world.eventually(|world| {
        let after = world.known_verdict(&client)?;
        let counted = after.smc_r + after.tcp - before.smc_r - before.tcp;
        ensure!(counted >= answers.right, "{counted} connections counted of {}: {after:?}", answers.right);
        Ok(after)
    })?;
    let (smc_r, tcp) = (after.smc_r - before.smc_r, after.tcp - before.tcp);
    ensure!(
        smc_r > 0 && tcp > 0,
        "of {} connections {smc_r} SMC-R and {tcp} TCP: one backend is missing",
        answers.right
    );
    world.kubectl(&["delete", "pod,service", "-l", "app=mixed", "--wait=false"])?;
    world.kubectl(&["delete", "service", "mixed", "--wait=false"])?;
    Ok(format!(
        "{} requests answered: {smc_r} SMC-R (far), {tcp} TCP (near, plain); client {}",
        answers.right, after.verdict
    ))
}

const NEIGHBOURS: &str = "app=neighbours";
/// From the range for documentation; kube-proxy takes it for the Service's wherever a packet to it comes by.
const BALANCER: &str = "203.0.113.80";

/// Sends back whatever is posted.
const ECHO: &str = r#"
import http.server
class Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Echo).serve_forever()
"#;

/// Posts 1 MiB to an address as often as is said, each time over a new connection; says how often what came back was another, or
/// nothing did, and how many milliseconds the slowest connect took.
const POST: &str = r#"
import http.client, os, sys, time
host, port, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
wrong = slowest = 0
for _ in range(times):
    body = os.urandom(1 << 20)
    connection = http.client.HTTPConnection(host, port, timeout=30)
    began = time.monotonic()
    try:
        connection.connect()
        slowest = max(slowest, time.monotonic() - began)
        connection.request("POST", "/", body)
        wrong += connection.getresponse().read() != body
    except OSError as error:
        print(error, file=sys.stderr)
        wrong += 1
    connection.close()
print(wrong, round(slowest * 1000))
"#;

/// Two annotated pods of one node, and the Services of the one that serves.
fn place_neighbours(world: &World, near: &str) -> Result<()> {
    let mount =
        |path: &str| json!({ "name": path.trim_start_matches('/'), "mountPath": path, "readOnly": true });
    let volume = |path: &str| json!({ "name": path.trim_start_matches('/'), "hostPath": { "path": path } });
    let pod = |role: &str, command: &[&str]| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": format!("neighbour-{role}"), "annotations": { ANNOTATION: "true" },
                "labels": { "app": "neighbours", "role": role },
            },
            "spec": {
                "nodeName": near, "terminationGracePeriodSeconds": 1,
                "containers": [{ "name": "python", "image": NODE_IMAGE, "command": command,
                                 "volumeMounts": [mount("/usr"), mount("/etc")] }],
                "volumes": [volume("/usr"), volume("/etc")],
            },
        })
    };
    let service = |kind: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": format!("neighbours-{}", kind.to_lowercase()), "labels": { "app": "neighbours" } },
            "spec": { "type": kind, "selector": { "role": "server" }, "ports": [{ "port": 8080 }] },
        })
    };
    let items = [
        pod("server", &["python3", "-c", ECHO]),
        pod("client", &["sleep", "infinity"]),
        service("ClusterIP"),
        service("NodePort"),
        service("LoadBalancer"),
    ];
    world.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string())?;
    world.kubectl(&["wait", "pod", "-l", NEIGHBOURS, "--for=condition=Ready", "--timeout=180s"])?;
    for role in ["client", "server"] {
        set_up(world, &world.pod("default", &format!("role={role},{NEIGHBOURS}"))?)?;
    }
    Ok(())
}

/// Posts a body a number of times from the client; returns how many failed or came back changed, and the slowest connect in
/// milliseconds.
fn post(world: &World, address: &str, port: &str, times: u32) -> Result<(u32, u32)> {
    let times = times.to_string();
    let said =
        world.kubectl(&["exec", "neighbour-client", "--", "python3", "-c", POST, address, port, &times])?;
    let numbers: Vec<u32> = said.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [wrong, slowest_ms] = numbers[..] else { bail!("{address}:{port}: {said}") };
    Ok((wrong, slowest_ms))
}

fn neighbours(world: &mut World) -> Result<String> {
    const TIMES: u32 = 50;
    let nodes = world.nodes();
    let [near, far] = nodes.as_slice() else { bail!("two nodes are needed: {nodes:?}") };
    place_neighbours(world, near)?;
    let balancer = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": BALANCER }] } } }).to_string();
    world.kubectl(&[
        "patch",
        "service",
        "neighbours-loadbalancer",
        "--subresource=status",
        "-p",
        &balancer,
    ])?;
    let field = |service: &str, field: &str| {
        world.kubectl(&["get", "service", service, "-o", &format!("jsonpath={{.spec.{field}}}")])
    };
    let node_port = field("neighbours-nodeport", "ports[0].nodePort")?;
    let ways = [
        ("the ClusterIP", field("neighbours-clusterip", "clusterIP")?, "8080"),
        ("the load balancer's address", BALANCER.to_owned(), "8080"),
        ("the own node's port", world.node(near)?.ip().to_string(), node_port.as_str()),
        ("the other node's port", world.node(far)?.ip().to_string(), node_port.as_str()),
    ];
    let mut seen = Vec::new();
    for (way, address, port) in &ways {
        // Until kube-proxy has it.
        world.eventually(|world| {
            let (wrong, _) = post(world, address, port, 1)?;
            ensure!(wrong == 0, "{way} ({address}:{port}) does not answer");
            Ok(())
        })?;
        let (wrong, slowest_ms) = post(world, address, port, TIMES)?;
        ensure!(wrong == 0, "{wrong} of {TIMES} by {way} ({address}:{port}) failed or came back changed");
        ensure!(slowest_ms < 1000, "by {way} ({address}:{port}) a connect took {slowest_ms} ms");
        seen.push(format!("{way} {slowest_ms} ms"));
    }
    world.kubectl(&["delete", "pod,service", "-l", NEIGHBOURS, "--wait=false"])?;
    Ok(format!("{TIMES} times 1 MiB by each, all right; the slowest connect by {}", seen.join(", ")))
}
