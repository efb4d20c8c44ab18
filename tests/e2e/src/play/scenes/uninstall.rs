//! kube-smc goes, and nothing stays.

use anyhow::{Context as _, Result, ensure};
use rig::host::repository;

use super::install::readme_command;
use super::outages::verdict_of_new_pod;
use super::rollout::under_load;
use crate::play::world::{AGENTS, Pod, READY_CONDITION, READY_LABEL, SYSTEM, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "installed-over-an-uninstall",
        shows: "uninstalled by hand without an API server and then by the cluster, installed anew beside that: each says what is so",
        run: Run::Long,
        play: installed_over,
    },
    Scene {
        name: "uninstall",
        shows: "README's uninstall under load: no request fails, and nothing of kube-smc is left on nodes or in the API",
        run: Run::Short,
        play: uninstall,
    },
];

const UNINSTALLS: &str = "app.kubernetes.io/component=uninstall";
const NODE: &str = "node1";

/// Prints what a node still has of kube-smc, one thing a line.
const LEFT: &str = r"
grep -ls smc-cni /etc/cni/net.d/* /etc/cni/net.d/*/* || :
nft list tables 2>/dev/null | grep kube-smc || :
ip -brief link show kubesmc0 2>/dev/null || :
ip -4 route show table local proto 83
ls -d /sys/fs/bpf/kube-smc /var/lib/kube-smc/* 2>/dev/null || :
ls /run/kube-smc/pods/*.json 2>/dev/null || :";

/// Kills a pod's sandbox, as a runtime that was restarted or a node short of memory does; its init containers run again.
const STOP_SANDBOX: &str = r#"
sandbox=$(ctr -n k8s.io containers ls -q "labels.\"io.kubernetes.pod.name\"==$1,labels.\"io.cri-containerd.kind\"==sandbox")
ctr -n k8s.io tasks kill -s KILL "$sandbox""#;

fn installed_over(world: &mut World) -> Result<String> {
    let [removal, others @ ..] = REMOVAL;
    as_readme_says(world, &[removal])?;
    by_hand(world)?;
    as_readme_says(world, others)?;
    nothing_left(world)?;
    as_readme_says(world, INSTALLATION)?;
    let played = beside_the_new_agent(world);
    // What waits for the agent's end would undo the next agent's work, too.
    world.as_readme_says(&readme_command("kubectl delete -k daemonset/manifests/uninstall")?)?;
    let played = played?;
    for node in world.nodes() {
        world.eventually(|world| world.all_fine(&node))?;
    }
    Ok(played)
}

/// On one node, by its own shell: whoever reads what it says knows what is left, and how to remove that.
fn by_hand(world: &World) -> Result<()> {
    world.eventually(|world| {
        let agents = world.pods(SYSTEM, AGENTS)?;
        ensure!(agents.is_empty(), "{agents:?}");
        Ok(())
    })?;
    let program = repository().join("target/dist/smc-agent").display().to_string();
    let output =
        world.node(NODE)?.command(&["sh", "-c", r#""$1" uninstall 2>&1"#, "sh", &program]).check()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in ["no API server is known here", READY_LABEL, READY_CONDITION, "kubectl patch node"] {
        ensure!(said.contains(part), "{part:?} is not said:\n{said}");
    }
    let (label, condition) = world.readiness(NODE)?;
    ensure!(label.is_some() && condition.is_some(), "label {label:?}, condition {condition:?}");
    Ok(())
}

fn beside_the_new_agent(world: &World) -> Result<String> {
    let agent = world.agent(NODE)?;
    let uninstall = |world: &World| -> Result<Pod> {
        let pods = world.pods(SYSTEM, UNINSTALLS)?;
        pods.into_iter().find(|pod| pod.node == NODE).with_context(|| format!("no uninstall on {NODE}"))
    };
    world.node(NODE)?.command(&["sh", "-ec", STOP_SANDBOX, "sh", &uninstall(world)?.name]).check()?;
    let said = world.eventually(|world| {
        let pod = uninstall(world)?;
        let said = world.kubectl(&["describe", "pod", "-n", SYSTEM, &pod.name])?;
        let named = said.contains(&format!("{SYSTEM}/{}", agent.name)) && said.contains("nothing was undone");
        ensure!(named && !pod.ready, "kubectl describe pod does not say whose node it is:\n{said}");
        Ok("it is not ready and names the agent")
    })?;
    world.eventually(|world| world.all_fine(NODE))?;
    let verdict = verdict_of_new_pod(world, "meanwhile", NODE)?.verdict;
    let after = world.agent(NODE)?;
    ensure!((&after.name, after.restarts) == (&agent.name, 0), "{agent:?}, then {after:?}");
    Ok(format!(
        "the uninstall whose sandbox was stopped: {said}; doctor: All fine; a pod meanwhile: {verdict}"
    ))
}

const INSTALLATION: &[&str] =
    &["kubectl apply -k daemonset/manifests", "kubectl -n kube-system rollout status daemonset/smc-agent"];
const REMOVAL: &[&str; 3] = &[
    "kubectl delete -k daemonset/manifests",
    "kubectl apply -k daemonset/manifests/uninstall",
    "kubectl -n kube-system rollout status daemonset/smc-uninstall",
];

fn as_readme_says(world: &World, commands: &[&str]) -> Result<()> {
    for command in commands {
        world.as_readme_says(&readme_command(command)?)?;
    }
    Ok(())
}

fn uninstall(world: &mut World) -> Result<String> {
    let answers = under_load(world, |world| as_readme_says(world, REMOVAL))?;
    nothing_left(world)?;
    world.as_readme_says(&readme_command("kubectl delete -k daemonset/manifests/uninstall")?)?;
    world.eventually(|world| {
        let selector = "app.kubernetes.io/name=kube-smc";
        let kinds = "daemonsets,pods,configmaps,serviceaccounts,clusterroles,clusterrolebindings";
        let left = world.kubectl(&["get", kinds, "-A", "-l", selector, "-o", "name"])?;
        ensure!(left.trim().is_empty(), "the API server keeps:\n{left}");
        Ok(())
    })?;
    Ok(format!("{answers}; nothing left on {} nodes", world.nodes().len()))
}

/// Fails when a node still has something of kube-smc.
fn nothing_left(world: &World) -> Result<()> {
    for node in world.nodes() {
        let (label, condition) = world.readiness(&node)?;
        ensure!(
            label.is_none() && condition.is_none(),
            "{node} keeps label {label:?}, condition {condition:?}"
        );
        let output = world.node(&node)?.command(&["sh", "-c", LEFT]).check()?;
        let left = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        ensure!(left.is_empty(), "{node} keeps:\n{left}");
    }
    Ok(())
}
