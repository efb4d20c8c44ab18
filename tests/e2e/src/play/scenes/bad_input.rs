//! What is wrong with an installation, and whether kubectl names it.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::install::readme_command;
use super::upgrade::settings;
use crate::play::overlay::{manifests, overlay};
use crate::play::world::{AGENTS, Pod, SYSTEM, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "bad-input",
        shows: "wrong settings, no service account, no image: kubectl describe names the cause, the other node's agent stays",
        run: Run::Long,
        play: bad_input,
    },
    Scene {
        name: "two-at-once",
        shows: "a second kube-smc, and an uninstall beside a living agent, name that agent and change nothing",
        run: Run::Long,
        play: two_at_once,
    },
];

const DAEMONSET: &str = "daemonset/smc-agent";
const ACCOUNT: &str = "smc-agent";
const SECOND: &str = "second-smc";

fn bad_input(world: &mut World) -> Result<String> {
    let done = wrong_in_turn(world);
    if done.is_err() {
        // Whatever was wrong last must not be so in what is played next.
        put_back(world)?;
    }
    done
}

fn wrong_in_turn(world: &World) -> Result<String> {
    let before = settings(world)?;
    let mut seen = Vec::new();
    let wrong = [
        ("SMC_AGENT_LOG_LEVEL", "loud", setting("SMC_AGENT_LOG_LEVEL", "loud")),
        ("SMC_AGENT_UEID", "bad ueid!", setting("SMC_AGENT_UEID", "bad ueid!")),
        ("kube-smc.local/kube-smc", "no-such-version", image("no-such-version")),
    ];
    for (name, value, patch) in wrong {
        world.kubectl(&["apply", "-k", &overlay(&manifests(), &patch)?.path().display().to_string()])?;
        let described = world.eventually(|world| {
            let agents = world.pods(SYSTEM, AGENTS)?;
            let described: Vec<String> =
                agents.iter().map(|agent| describe(world, agent)).collect::<Result<_>>()?;
            let named = described.iter().any(|text| told(text).contains(name) && told(text).contains(value));
            ensure!(
                named,
                "kubectl describe pod does not name {name} and {value}:\n{}",
                described.join("\n")
            );
            Ok(agents.iter().filter(|agent| agent.ready).count())
        });
        let others = described.with_context(|| format!("{name}={value}"))?;
        // One node at a time: what is wrong stops there.
        ensure!(others == world.nodes().len() - 1, "{name}={value}: {others} agents are Ready");
        put_back(world)?;
        seen.push(format!("{name} {value:?}"));
    }
    no_account(world)?;
    seen.push(format!("serviceaccount {ACCOUNT:?}"));
    for left in settings(world)?.iter().filter(|name| !before.contains(*name)) {
        world.kubectl(&["delete", "-n", SYSTEM, "configmap", left])?;
    }
    Ok(format!("named by kubectl describe: {}", seen.join(", ")))
}

/// Without the service account no agent's pod can be made.
fn no_account(world: &World) -> Result<()> {
    world.kubectl(&["delete", "serviceaccount", "-n", SYSTEM, ACCOUNT])?;
    let agent = world.agent("node1")?;
    world.kubectl(&["delete", "pod", "-n", SYSTEM, &agent.name])?;
    world.eventually(|world| {
        let said = world.kubectl(&["describe", "-n", SYSTEM, DAEMONSET])?;
        let events = told(&said);
        ensure!(
            events.contains("serviceaccount") && events.contains(&format!("{ACCOUNT}\" not found")),
            "kubectl describe daemonset does not name the service account:\n{said}"
        );
        Ok(())
    })?;
    put_back(world)?;
    // The other agents' tokens are of the account that was deleted.
    world.kubectl(&["rollout", "restart", "-n", SYSTEM, DAEMONSET])?;
    world.rolled_out(SYSTEM, DAEMONSET)
}

fn two_at_once(world: &mut World) -> Result<String> {
    let before = world.pods(SYSTEM, AGENTS)?;
    let labels = format!("app.kubernetes.io/name={SECOND}");
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": SECOND } });
    world.apply(&namespace.to_string())?;
    let second = overlay(
        &manifests(),
        &json!({
            "namespace": SECOND,
            "namePrefix": "second-",
            "labels": [{ "pairs": { "app.kubernetes.io/name": SECOND }, "includeSelectors": true }],
        }),
    )?;
    let second = second.path().display().to_string();
    world.kubectl(&["apply", "-k", &second])?;
    let refused = world.eventually(|world| {
        let pods = world.pods(SECOND, &labels)?;
        ensure!(pods.len() == world.nodes().len(), "{pods:?}");
        for pod in &pods {
            let first = world.agent(&pod.node)?;
            names_holder(&describe(world, pod)?, &first)?;
            ensure!(!pod.ready, "{} is called Ready", pod.name);
        }
        Ok(pods.len())
    });
    let undisturbed = same_agents(world, &before);
    world.kubectl(&["delete", "-k", &second])?;
    world.kubectl(&["delete", "namespace", SECOND])?;
    let refused = refused.context("a second kube-smc")?;
    undisturbed.context("beside a second kube-smc")?;

    world.as_readme_says(&readme_command("kubectl apply -k daemonset/manifests/uninstall")?)?;
    let named = world.eventually(|world| {
        let pods = world.pods(SYSTEM, "app.kubernetes.io/component=uninstall")?;
        ensure!(pods.len() == world.nodes().len(), "{pods:?}");
        for pod in &pods {
            let said = describe(world, pod)?;
            names_holder(&said, &world.agent(&pod.node)?)?;
            ensure!(said.contains("nothing was undone"), "{said}");
        }
        Ok(pods.len())
    });
    world.as_readme_says(&readme_command("kubectl delete -k daemonset/manifests/uninstall")?)?;
    let named = named.context("an uninstall beside living agents")?;
    same_agents(world, &before).context("beside an uninstall")?;
    for node in world.nodes() {
        world.all_fine(&node)?;
    }
    Ok(format!(
        "{refused} second agents and {named} uninstalls name the agent that runs; that one undisturbed"
    ))
}

/// Fails unless the last words of a pod name that agent's pod.
fn names_holder(described: &str, agent: &Pod) -> Result<()> {
    let name = format!("{}/{}", agent.namespace, agent.name);
    ensure!(described.contains(&name), "kubectl describe pod does not name {name}:\n{described}");
    Ok(())
}

/// Fails unless the agents are those of before, well, and were not restarted.
fn same_agents(world: &World, before: &[Pod]) -> Result<()> {
    let now = world.pods(SYSTEM, AGENTS)?;
    let same = now.len() == before.len() && now.iter().all(|agent| before.contains(agent));
    ensure!(same && now.iter().all(|agent| agent.ready), "before {before:?}, then {now:?}");
    Ok(())
}

fn describe(world: &World, pod: &Pod) -> Result<String> {
    world.kubectl(&["describe", "pod", "-n", &pod.namespace, &pod.name])
}

/// What a description tells beside what was asked for: how containers ended, and Events.
fn told(described: &str) -> String {
    let wanted = |line: &&str| !line.trim_start().starts_with("Image:");
    described.lines().filter(wanted).collect::<Vec<_>>().join("\n")
}

fn setting(name: &str, value: &str) -> Value {
    json!({ "configMapGenerator": [{ "name": "smc-agent", "namespace": SYSTEM, "behavior": "merge",
                                     "literals": [format!("{name}={value}")] }] })
}

fn image(tag: &str) -> Value {
    json!({ "images": [{ "name": "kube-smc.local/kube-smc", "newTag": tag }] })
}

/// README's manifests again.
fn put_back(world: &World) -> Result<()> {
    world.as_readme_says(&readme_command("kubectl apply -k daemonset/manifests")?)?;
    world.rolled_out(SYSTEM, DAEMONSET)
}
