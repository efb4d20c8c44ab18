//! The mesh's object, watched at an API server, switches running pods.

use std::time::Duration;

use e2e::{
    PATIENCE, TestPod, agent, client, eventually, fetch, lasting_server, server, shell, start, start_both,
    two_nodes, wait_until_served,
};
use rig::counters::{Counters, RoleCounters};
use rig::host::{Ending, Node, PodSpec, RunningCommand, repository};
use smc_model::{ANNOTATION, Reason, Verdict};

/// In a directory that the agent's container sees.
const KUBECONFIG: &str = "/run/kube-smc/mesh-kubeconfig";
const PORT: &str = "16443";
/// The bar is two seconds; an emulated node on a busy machine may take longer.
const SOON: Duration = Duration::from_secs(30);

fn annotated(spec: PodSpec) -> PodSpec {
    spec.annotate(ANNOTATION, "true")
}

/// A stand-in for the mesh's API server on a node's loopback; it ends when dropped.
struct MeshServer<'n, 'a> {
    node: &'n Node<'a>,
    _running: RunningCommand,
}

impl<'n, 'a> MeshServer<'n, 'a> {
    fn start(node: &'n Node<'a>) -> Self {
        let program = repository().join("target/debug/api-server").display().to_string();
        let running = node
            .command(&[program.as_str(), PORT, KUBECONFIG])
            .spawn()
            .unwrap_or_else(|error| panic!("{error}"));
        let server = Self { node, _running: running };
        eventually(PATIENCE, || {
            let there = node.exec(&["test", "-s", KUBECONFIG]).map_err(|error| error.to_string())?;
            if there.status.success() { Ok(()) } else { Err("the API server did not start".to_owned()) }
        });
        server
    }

    /// Sets `smcEnabled`, and returns how long it took until new TCP sockets in the pod were as it says.
    fn flip(&self, enabled: bool, pod: &TestPod<'_>) -> Duration {
        let script = r#"
            curl -fsS -X PUT --data "{\"spec\":{\"cniConfiguration\":{\"smcEnabled\":$1}}}" \
                "http://127.0.0.1:$2/apis/istio.alibabacloud.com/v1beta1/asmmeshconfigs/default" >/dev/null
            begin=$(date +%s%N)
            for _ in $(seq 600); do
                if "$3" show "$4" | grep -qx "new TCP sockets are SMC: $1"; then break; fi
            done
            echo $((($(date +%s%N) - begin) / 1000000))"#;
        let show = repository().join("target/debug/node-state").display().to_string();
        let enabled = enabled.to_string();
        let ms = shell(self.node, script, &[&enabled, PORT, &show, &pod.netns_path()]);
        Duration::from_millis(ms.parse().unwrap_or_else(|_| panic!("milliseconds: {ms}")))
    }
}

impl Drop for MeshServer<'_, '_> {
    fn drop(&mut self) {
        let _ = self.node.exec(&["rm", "-f", KUBECONFIG]);
    }
}

/// Fetches until the pod has more than `before` SMC-R connections: other tests just took a node's port down, and the first
/// connection may come before the nodes know each other again. Returns the client's counters.
#[track_caller]
fn fetch_until_smc_r(pod: &TestPod<'_>, peer: &str, before: u64) -> RoleCounters {
    eventually(PATIENCE, || {
        fetch(pod, peer, 1);
        let seen = Counters::of(pod).map_err(|error| error.to_string())?.client;
        if seen.smcr > before { Ok(seen) } else { Err(format!("{seen:?}")) }
    })
}

#[test]
fn the_meshs_object_switches_running_pods_off_and_on_within_seconds() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(1);
    let _altered = cluster.alter(2);
    let (one, two) = (cluster.node(1), cluster.node(2));
    let mesh = MeshServer::start(&two);
    let mut ended = agent::end(&two, Ending::Terminate);
    ended.start_with(&["--mesh", "watch", "--mesh-kubeconfig", KUBECONFIG]);
    let [server, pod] =
        start_both((&one, &annotated(server("mesh-server"))), (&two, &annotated(client("meshed"))));
    let listening = start(&two, &annotated(client("mesh-listening")));
    let first = mesh.flip(true, &pod);
    pod.configured_once();
    listening.configured_once();
    let (serving, still_on) =
        (start(&two, &annotated(lasting_server("mesh-serving"))), start(&one, &annotated(client("mesh-on"))));
    wait_until_served(&server);
    let speaking = fetch_until_smc_r(&pod, &server.ip, 0);
    let before = pod.processes();
    wait_until_served(&serving);
    let heard = fetch_until_smc_r(&still_on, &serving.ip, 0);

    let off = mesh.flip(false, &pod);
    fetch(&pod, &server.ip, 1);
    let seen = Counters::of(&pod).unwrap().client;
    assert_eq!(
        (seen.smcr, seen.fallbacks()),
        (speaking.smcr, speaking.fallbacks()),
        "the one after it is none of SMC's"
    );
    // Its listener was made while the feature was on, and the peer's node has it on still.
    fetch(&still_on, &serving.ip, 3);
    let seen = Counters::of(&still_on).unwrap().client;
    assert_eq!((seen.smcr, seen.fallbacks()), (heard.smcr, heard.fallbacks() + 3), "off is off");
    for pod in [&pod, &listening] {
        pod.record_once(|record| {
            record.verdict.as_ref().and_then(Verdict::reason).is_some_and(Reason::is_switched_off)
        });
    }
    listening.exec(&["sh", "-c", "nginx -c /demo/nginx.conf >/dev/null 2>&1 &"]).unwrap();
    wait_until_served(&listening);
    let listeners = listening.processes();

    let on = mesh.flip(true, &pod);
    fetch_until_smc_r(&pod, &server.ip, speaking.smcr);
    fetch_until_smc_r(&still_on, &serving.ip, seen.smcr);
    let record = listening.record_once(|record| record.verdict.as_ref().is_some_and(Verdict::is_set_up));
    let Some(Verdict::NeedsRestart { listeners: old }) = record.verdict else { panic!("{record:?}") };
    assert_eq!(old[0].port, 80);
    assert_eq!((pod.processes(), listening.processes()), (before, listeners), "nobody was restarted");

    eprintln!("new sockets followed the mesh's object after {first:?} (on), {off:?} (off), {on:?} (on)");
    assert!([first, off, on].into_iter().all(|took| took < SOON), "{first:?} {off:?} {on:?}");
    agent::end(&two, Ending::Terminate).start();
}
