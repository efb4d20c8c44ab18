//! What `smcctl` tells of real nodes, pods and connections.

use std::process::Output;
use std::time::Duration;

use e2e::{
    Kernel, PATIENCE, agent, client, eventually, fetch, lasting_server, shell, start_both, two_nodes,
    wait_until_served,
};
use rig::host::{Ending, Node, PodSpec, RunningCommand, repository};
use serde_json::Value;
use smc_model::ANNOTATION;

/// Addresses that no pod of a test gets: the last of each node's.
const SPARE: [&str; 2] = ["10.0.1.254", "10.0.2.254"];
/// A self-test that goes wrong ends by itself.
const LIMIT: Duration = Duration::from_secs(240);

fn program() -> String {
    repository().join("target/dist/smcctl").display().to_string()
}

/// Runs smcctl with JSON; returns exit code and what it printed.
#[track_caller]
fn smcctl(node: &Node<'_>, arguments: &[&str]) -> (i32, Value) {
    let program = program();
    let argv = [&[program.as_str(), "--json"], arguments].concat();
    understood(&node.command(&argv).timeout(LIMIT).output().unwrap_or_else(|error| panic!("{error}")))
}

#[track_caller]
fn understood(output: &Output) -> (i32, Value) {
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let value = serde_json::from_str(&said).unwrap_or(Value::Null);
    let code = output.status.code().unwrap_or_else(|| panic!("{:?}: {said}{complained}", output.status));
    assert!(!value.is_null() || code == 2 || code >= 128, "{code}: {said}{complained}");
    (code, if value.is_null() { Value::String(complained.into_owned()) } else { value })
}

/// The names in the table of reasons of the problems that the doctor sees.
#[track_caller]
fn problems(doctor: &Value) -> Vec<&str> {
    let checks = doctor["checks"].as_array().into_iter().flatten();
    checks.filter(|check| check["state"] == "problem").filter_map(|check| check["reason"].as_str()).collect()
}

#[test]
fn the_doctor_finds_a_healthy_node_well_and_names_an_enterprise_id_that_was_removed() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(2);
    let node = cluster.node(2);
    eventually(PATIENCE, || match smcctl(&node, &["doctor"]) {
        (0, _) => Ok(()),
        (code, told) => Err(format!("{code}: {told:#}")),
    });
    let (code, seen) = understood(&agent_doctor(&node));
    assert_eq!(code, 0, "in the agent's container: {seen:#}");

    let mut ended = agent::end(&node, Ending::Terminate);
    Kernel(&node).remove_ueid("SMCV2-DEFAULT-UEID");
    let (code, told) = smcctl(&node, &["doctor"]);
    assert_eq!(code, 1, "{told:#}");
    let named = problems(&told);
    assert!(named.contains(&"NoUeid") && named.contains(&"AgentNotReady"), "{told:#}");
    assert_eq!(named.len(), 2, "{told:#}");
    ended.start();
}

/// The doctor in the agent's own container, as by kubectl exec.
#[track_caller]
fn agent_doctor(node: &Node<'_>) -> Output {
    let agent = node.agent().unwrap_or_else(|error| panic!("{error}"));
    agent.exec(&["/smcctl", "doctor", "--json"]).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn pods_and_connections_of_an_accelerated_pair_are_shown_as_smc_r() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = [cluster.share(1), cluster.share(2)];
    let (one, two) = (cluster.node(1), cluster.node(2));
    let annotated = |spec: PodSpec| spec.annotate(ANNOTATION, "true");
    let [server, client] = start_both(
        (&one, &annotated(lasting_server("shown-server"))),
        (&two, &annotated(client("shown-client"))),
    );
    wait_until_served(&server);
    fetch(&client, &server.ip, 1);
    let netns = format!("--net={}", client.netns.display());
    let url = format!("http://{}/small", server.ip);
    let load = ["nsenter", &netns, "wrk", "-t1", "-c2", "-d600s", "--timeout", "60s", &url];
    let load = two.command(&load).spawn().unwrap_or_else(|error| panic!("{error}"));

    for (node, pod, side) in [(&one, &server, "server"), (&two, &client, "client")] {
        let name = format!("{}/{}", pod.namespace, pod.name);
        let connections = eventually(PATIENCE, || {
            let (code, told) = smcctl(node, &["conns", "--pod", &name]);
            let connections = told["connections"].as_array().cloned().unwrap_or_default();
            if code == 0 && connections.len() >= 2 {
                Ok(connections)
            } else {
                Err(format!("{code}: {told:#}"))
            }
        });
        for connection in connections {
            assert_eq!(connection["transport"], "SMC-R", "{connection:#}");
            assert_eq!(connection["device"], "rxe0/1");
            assert_eq!(connection["side"], side);
            assert!(connection["link"]["peer_gid"].is_string(), "{connection:#}");
        }
        let (_, told) = smcctl(node, &["pods"]);
        let row = told["pods"].as_array().unwrap().iter().find(|row| row["name"] == pod.name).unwrap();
        assert!(row["smc_r"].as_u64().is_some_and(|count| count >= 3), "{row:#}");
        assert!(["configured", "active"].map(Some).contains(&row["verdict"].as_str()), "{row:#}");
        assert_eq!(row["device"], "rxe0/1");
        let (code, told) = smcctl(node, &["pod", &name]);
        assert_eq!(code, 0, "{told:#}");
        assert_eq!(told["attachments"][0]["record"]["attachment"]["container"], pod.sandbox_id);
    }
    // SIGINT: wrk ends.
    load.signal(2).unwrap();
    load.wait().unwrap();
}

#[test]
fn a_self_test_between_the_nodes_is_smc_r_and_leaves_nothing() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = [cluster.share(1), cluster.share(2)];
    let (one, two) = (cluster.node(1), cluster.node(2));
    let serving = serve(&one, SPARE[0]);
    let (code, told) = eventually(LIMIT, || {
        match smcctl(&two, &["selftest", "connect", SPARE[0], "--ip", SPARE[1], "--timeout", "60"]) {
            (2, told) => Err(told),
            done => Ok(done),
        }
    });
    let (served, of_server) = understood(&serving.wait().unwrap());
    for (code, told, role) in [(code, told, "client"), (served, of_server, "server")] {
        assert_eq!(code, 0, "{told:#}");
        let end = &told["ends"][0];
        assert_eq!(
            (end["role"].as_str(), end["transport"].as_str()),
            (Some(role), Some("SMC-R")),
            "{told:#}"
        );
        assert_eq!((end["bytes"].as_u64(), end["intact"].as_bool()), (Some(1 << 20), Some(true)), "{told:#}");
    }
    assert_eq!((left(&one, SPARE[0]), left(&two, SPARE[1])), (String::new(), String::new()));
}

#[test]
fn an_interrupted_self_test_takes_everything_back() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(2);
    let node = cluster.node(2);
    // SIGINT and SIGTERM.
    for signal in [2, 15] {
        let serving = serve(&node, SPARE[1]);
        eventually(PATIENCE, || {
            let seen = left(&node, SPARE[1]);
            if ["guard", "anchor", "conversion"].iter().all(|what| seen.contains(what)) {
                Ok(())
            } else {
                Err(seen)
            }
        });
        serving.signal(signal).unwrap();
        let (code, told) = understood(&serving.wait().unwrap());
        assert_eq!(code, 128 + i32::from(signal), "{told}");
        assert_eq!(left(&node, SPARE[1]), "");
    }
}

#[test]
fn a_self_test_on_one_node_shows_the_fallback_that_is_expected_there() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(1);
    let node = cluster.node(1);
    let (code, told) = smcctl(&node, &["selftest"]);
    assert_eq!((code, told["as_expected"].as_bool()), (0, Some(true)), "{told:#}");
    for end in told["ends"].as_array().unwrap() {
        assert_eq!((&end["transport"], &end["reason"]["name"]), (&"TCP".into(), &"PeerWithoutSmc".into()));
        assert_eq!((&end["converted"], &end["intact"]), (&true.into(), &true.into()), "{end:#}");
    }
    let used = told["ends"][0]["address"].as_str().unwrap();
    assert_eq!(left(&node, used), "");
}

/// A self-test's serving side, started.
#[track_caller]
fn serve(node: &Node<'_>, address: &str) -> RunningCommand {
    let program = program();
    let argv = [program.as_str(), "--json", "selftest", "serve", "--ip", address, "--timeout", "200"];
    node.command(&argv).timeout(LIMIT).spawn().unwrap_or_else(|error| panic!("{error}"))
}

/// What of a self-test with this address is on the node: empty when nothing is.
#[track_caller]
fn left(node: &Node<'_>, address: &str) -> String {
    let script = r#"
        { ip -4 -o address show dev kubesmc0 | grep -F " $1/" | sed 's/^/anchor /'
          "$2" guarded | grep -Fx "$1" | sed 's/^/guard /'
          ip -4 route show table all | grep -Fw "$1" | sed 's/^/route /'
          for record in /run/kube-smc/selftest/*/pods/*.json; do
            jq -r --arg a "$1" 'select(.owned.anchored // [] | index($a)) | .owned.converted[1]' "$record"
          done 2>/dev/null | sed 's/^/conversion /'; } || :"#;
    let node_state = repository().join("target/debug/node-state").display().to_string();
    shell(node, script, &[address, &node_state])
}
