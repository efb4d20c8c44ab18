//! ASM's switch, in a second real API server as the ASM instance's, reached by the kubeconfig of a Secret.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rig::cluster::Program;
use serde_json::{Value, json};

use super::fortio::{URL, pair};
use super::upgrade::{forget_settings, settings};
use crate::play::load::Connections;
use crate::play::world::{Pod, SYSTEM, World};
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "ack",
        shows: "overlays/ack: the annotation decides, as without ASM",
        run: Run::Long,
        play: ack,
    },
    Scene {
        name: "ack-asm",
        shows: "overlays/ack-asm: ASM's switch in another API server; its outage, a wrong and a revoked kubeconfig are said",
        run: Run::Long,
        play: ack_asm,
    },
];

const OVERLAY: &str = "daemonset/manifests/overlays";
const RESOURCE: &str = "daemonset/manifests/base/crd-asmmeshconfig.yaml";
const SECRET: &str = "smc-agent-asm";
/// The user of the agents' kubeconfig at the ASM instance.
const READER: &str = "kube-smc";
const AGENTS: &str = "daemonset/smc-agent";
/// What docs/ack.md promises.
const SWITCHED_WITHIN: Duration = Duration::from_secs(30);

fn ack(world: &mut World) -> Result<String> {
    let before = settings(world)?;
    world.as_readme_says(&format!("kubectl apply -k {OVERLAY}/ack"))?;
    world.rolled_out(SYSTEM, AGENTS)?;
    told(world, "True", "")?;
    let (client, _) = pair(world)?;
    speak(world, &client, true)?;
    world.as_readme_says("kubectl apply -k daemonset/manifests")?;
    world.rolled_out(SYSTEM, AGENTS)?;
    forget_settings(world, &before)?;
    Ok("nodes True, 10 of 10 connections SMC-R".to_owned())
}

fn ack_asm(world: &mut World) -> Result<String> {
    let ((client, server), before) = (pair(world)?, settings(world)?);
    let asm = Asm::start(world)?;
    let played = asm.play(world, &client);
    // What came of it or not, the next scene finds the cluster as this one did.
    world.as_readme_says("kubectl apply -k daemonset/manifests")?;
    world.rolled_out(SYSTEM, AGENTS)?;
    world.cluster.kill(Program::OtherApiServer);
    world.kubectl(&["delete", "secret", "-n", SYSTEM, SECRET, "--ignore-not-found"])?;
    forget_settings(world, &before)?;
    let seen = played?;
    told(world, "True", "")?;
    let now = pair(world)?;
    ensure!(now == (client, server), "pods were replaced: {now:?}");
    Ok(seen)
}

/// The ASM instance: an API server, and kubeconfigs of it.
struct Asm {
    admin: PathBuf,
    files: tempfile::TempDir,
}

impl Asm {
    fn start(world: &World) -> Result<Self> {
        Ok(Self { admin: world.cluster.start_other_api()?, files: tempfile::tempdir()? })
    }

    fn play(&self, world: &World, client: &Pod) -> Result<String> {
        world.as_readme_says(&format!("kubectl apply -k {OVERLAY}/ack-asm"))?;
        world.rolled_out(SYSTEM, AGENTS)?;
        told(world, "False", "MeshNotKnown").context("without the Secret")?;
        says(world, SECRET).context("without the Secret")?;

        self.install(world)?;
        self.switch(world, true)?;
        give(world, &self.kubeconfig(world, "")?)?;
        told(world, "True", "").context("with the Secret")?;
        speak(world, client, true).context("with the Secret")?;
        let mut seen = vec!["without the Secret MeshNotKnown, with it SMC-R".to_owned()];

        let off = self.flip(world, client, false)?;
        let on = self.flip(world, client, true)?;
        seen.push(format!("off on all nodes after {off:.0} s, on after {on:.0} s"));

        world.cluster.kill(Program::OtherApiServer);
        says(world, "cannot watch ASMMeshConfig default").context("without the instance")?;
        told(world, "True", "").context("without the instance")?;
        speak(world, client, true).context("without the instance")?;
        world.cluster.start_other_api()?;
        says_nothing(world).context("with the instance again")?;
        self.flip(world, client, false)?;
        self.flip(world, client, true)?;
        seen.push("outage: said, the last value held, back by itself".to_owned());

        give(world, &self.kubeconfig(world, "with a wrong port")?)?;
        brought(world, WRONG_PORT)?;
        // The watch that is open goes on; one that must be made anew finds nobody.
        world.cluster.kill(Program::OtherApiServer);
        world.cluster.start_other_api()?;
        says(world, WRONG_PORT).context("with a wrong kubeconfig")?;
        speak(world, client, true).context("with a wrong kubeconfig")?;
        give(world, &self.kubeconfig(world, "")?)?;
        says_nothing(world).context("with the right kubeconfig again")?;
        seen.push("wrong kubeconfig: said, held, mended".to_owned());

        self.at(world, &["delete", "serviceaccount", READER])?;
        world.cluster.kill(Program::OtherApiServer);
        world.cluster.start_other_api()?;
        says(world, "401").context("with a revoked kubeconfig")?;
        told(world, "True", "").context("with a revoked kubeconfig")?;
        self.at(world, &["create", "serviceaccount", READER])?;
        give(world, &self.kubeconfig(world, "")?)?;
        says_nothing(world).context("with a new kubeconfig")?;
        self.flip(world, client, false)?;
        seen.push("revoked kubeconfig: 401 said, held, a new one obeyed".to_owned());
        Ok(seen.join("; "))
    }

    /// The kind, and a user with no more rights than the overlay asks for.
    fn install(&self, world: &World) -> Result<()> {
        self.at(world, &["apply", "-f", RESOURCE])?;
        self.at(
            world,
            &["wait", "--for=condition=Established", "crd/asmmeshconfigs.istio.alibabacloud.com"],
        )?;
        self.at(world, &["apply", "-f", &format!("{OVERLAY}/ack-asm/rights.yaml")])?;
        self.at(world, &["create", "serviceaccount", READER])?;
        let user = format!("--serviceaccount=default:{READER}");
        self.at(world, &["create", "clusterrolebinding", READER, "--clusterrole=kube-smc-switch", &user])?;
        Ok(())
    }

    /// kubectl at the instance, by its administrator.
    fn at(&self, world: &World, arguments: &[&str]) -> Result<String> {
        let kubeconfig = self.admin.display().to_string();
        world.kubectl_in_repository(&[&["--kubeconfig", &kubeconfig], arguments].concat())
    }

    fn switch(&self, world: &World, enabled: bool) -> Result<()> {
        let path = self.files.path().join("object.json");
        fs::write(&path, mesh_config(enabled).to_string())?;
        self.at(world, &["apply", "-f", &path.display().to_string()]).map(drop)
    }

    /// A kubeconfig of the reader, as an ASM instance gives it: everything in one file.
    fn kubeconfig(&self, world: &World, wrong: &str) -> Result<PathBuf> {
        let token = self.at(world, &["create", "token", READER, "--duration=1h"])?;
        let admin: Value = serde_json::from_slice(&fs::read(&self.admin)?)?;
        let server = admin["clusters"][0]["cluster"]["server"].as_str().context("the instance's address")?;
        let server =
            if wrong.is_empty() { server.to_owned() } else { server.replace(RIGHT_PORT, WRONG_PORT) };
        let path = self.files.path().join("asm.kubeconfig");
        let (file, server) = (path.display().to_string(), format!("--server={server}"));
        let authority = format!("--certificate-authority={}", world.cluster.authority().display());
        let token = format!("--token={}", token.trim());
        let config: [&[&str]; 4] = [
            &["set-cluster", "asm", &server, &authority, "--embed-certs"],
            &["set-credentials", "reader", &token],
            &["set-context", "asm", "--cluster=asm", "--user=reader"],
            &["use-context", "asm"],
        ];
        for arguments in config {
            world.kubectl(&[&["--kubeconfig", &file, "config"], arguments].concat())?;
        }
        Ok(path)
    }

    /// Switches, and returns after how many seconds the last node told so.
    fn flip(&self, world: &World, client: &Pod, enabled: bool) -> Result<f32> {
        let begun = Instant::now();
        self.switch(world, enabled)?;
        let (status, reason) = if enabled { ("True", "") } else { ("False", "MeshOff") };
        told(world, status, reason).with_context(|| format!("smcEnabled {enabled}"))?;
        let took = begun.elapsed();
        ensure!(took <= SWITCHED_WITHIN, "it took {:.0} s until all nodes told it", took.as_secs_f32());
        speak(world, client, enabled).with_context(|| format!("smcEnabled {enabled}"))?;
        Ok(took.as_secs_f32())
    }
}

const RIGHT_PORT: &str = ":6444";
const WRONG_PORT: &str = ":6445";
/// The kubelet brings a changed Secret within a minute or two, and the agent tries a silent server every half minute.
const SECRETS_PATIENCE: Duration = Duration::from_secs(300);

/// Makes the Secret as docs/ack.md has it, in place of one that is there.
fn give(world: &World, kubeconfig: &Path) -> Result<()> {
    let file = format!("--from-file=kubeconfig={}", kubeconfig.display());
    let create = ["create", "secret", "generic", "-n", SYSTEM, SECRET, &file];
    let secret = world.kubectl(&[create.as_slice(), &["--dry-run=client", "-o", "json"]].concat())?;
    world.apply(&secret)
}

/// Waits until every agent's `/status` has a problem with the mesh's API server in which these words are.
fn says(world: &World, words: &str) -> Result<()> {
    world.within(SECRETS_PATIENCE, |world| {
        for node in world.nodes() {
            let problem = problem(world, &node)?.unwrap_or_default();
            ensure!(problem.contains(words), "{node}: {problem:?} does not say {words:?}");
        }
        Ok(())
    })
}

fn says_nothing(world: &World) -> Result<()> {
    world.within(SECRETS_PATIENCE, |world| {
        for node in world.nodes() {
            let problem = problem(world, &node)?;
            ensure!(problem.is_none(), "{node}: {problem:?}");
        }
        Ok(())
    })
}

/// Waits until the kubelets have brought a changed Secret in which these words are.
fn brought(world: &World, words: &str) -> Result<()> {
    let script =
        r#"grep -qs "$1" /var/lib/kubelet/pods/*/volumes/kubernetes.io~secret/asm-kubeconfig/kubeconfig"#;
    world.within(SECRETS_PATIENCE, |world| {
        for node in world.nodes() {
            let found = world.node(&node)?.exec(&["sh", "-c", script, "sh", words])?;
            ensure!(found.status.success(), "the kubelet of {node} has not brought the changed Secret");
        }
        Ok(())
    })
}

/// What a node's agent has to say of the mesh's API server.
fn problem(world: &World, node: &str) -> Result<Option<String>> {
    let status = world.node(node)?.command(&["curl", "-fsS", "http://127.0.0.1:9810/status"]).check()?;
    let status: Value = serde_json::from_slice(&status.stdout)?;
    let mut problems = status["problems"].as_array().into_iter().flatten();
    let problem = problems.find(|problem| problem["subject"] == "mesh API server");
    Ok(problem.and_then(|problem| problem["problem"].as_str()).map(str::to_owned))
}

fn mesh_config(enabled: bool) -> Value {
    json!({
        "apiVersion": "istio.alibabacloud.com/v1beta1", "kind": "ASMMeshConfig", "metadata": { "name": "default" },
        "spec": { "cniConfiguration": { "enabled": true, "repair": { "enabled": true }, "smcEnabled": enabled } },
    })
}

/// Waits until every node's condition has this status and, where one is given, reason.
fn told(world: &World, status: &str, reason: &str) -> Result<()> {
    world.within(SECRETS_PATIENCE, |world| {
        for node in world.nodes() {
            let (_, condition) = world.readiness(&node)?;
            let is = condition
                .as_ref()
                .is_some_and(|(is, why)| is == status && (reason.is_empty() || why == reason));
            ensure!(is, "{node}: condition {condition:?}, not {status} {reason}");
        }
        Ok(())
    })
}

/// Makes new connections, and fails unless they are SMC-R, or TCP.
fn speak(world: &World, client: &Pod, smc_r: bool) -> Result<()> {
    // Connections that are older were made before the switch; only what is added counts.
    let before = world.verdict(client)?.unwrap_or_default();
    let answers = world.requests(client, URL, 10, Connections::EachNew)?.all_right()?;
    if !smc_r {
        let after = world.verdict(client)?.unwrap_or_default();
        ensure!(after.smc_r <= before.smc_r, "SMC-R while it is switched off: {before:?}, then {after:?}");
        return Ok(());
    }
    world.eventually(|world| {
        let after = world.known_verdict(client)?;
        ensure!(after.smc_r >= before.smc_r + answers.right, "{before:?}, then {after:?}");
        Ok(())
    })
}
