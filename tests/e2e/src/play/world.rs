//! The cluster as its users see it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rig::cluster::Cluster;
use rig::host::{Node, repository};
use serde_json::Value;

/// The agents' namespace.
pub(super) const SYSTEM: &str = "kube-system";
/// What selects the agents' pods.
pub(super) const AGENTS: &str = "app.kubernetes.io/component=agent";
/// The label that says whether a node's pods can speak SMC-R.
pub(super) const READY_LABEL: &str = "smc.asm.alibabacloud.com/ready";
/// The condition that says it with a reason.
pub(super) const READY_CONDITION: &str = "SMCReady";
/// What is awaited comes within seconds on real nodes; emulated ones, beside others on two CPUs, may take this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);

/// A condition's.
pub(super) type StatusAndReason = (String, String);

/// A cluster and what is done with it.
#[derive(Debug)]
pub struct World {
    /// The cluster.
    pub cluster: Cluster,
    /// The manifests of an older version whose image is on the nodes.
    pub old_manifests: Option<PathBuf>,
}

/// A pod as `kubectl get pods` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) node: String,
    pub(super) phase: String,
    pub(super) ready: bool,
    pub(super) restarts: u64,
    pub(super) deleted: bool,
}

/// What `smcctl pods` says of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_field_names, reason = "smcctl's own names")]
pub(super) struct Verdict {
    pub(super) verdict: String,
    pub(super) smc_r: u64,
    pub(super) tcp: u64,
    pub(super) reason: Option<String>,
}

impl Verdict {
    /// Whether the pod's connections can be SMC-R, and nothing is to be done about it.
    pub(super) fn is_set_up(&self) -> bool {
        ["configured", "active"].contains(&self.verdict.as_str())
    }
}

impl World {
    /// kubectl's output; an error with its words when it fails.
    pub(super) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        Ok(self.cluster.kubectl_text(arguments)?)
    }

    /// kubectl's output, parsed.
    pub(super) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.kubectl(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("kubectl {}", arguments.join(" ")))
    }

    /// `kubectl apply -f -` with these objects.
    pub(super) fn apply(&self, objects: &str) -> Result<()> {
        self.send(&["apply", "-f", "-"], objects)
    }

    /// kubectl with this as its input.
    pub(super) fn send(&self, arguments: &[&str], input: &str) -> Result<()> {
        let mut kubectl = self.cluster.kubectl();
        kubectl.args(arguments);
        kubectl.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = self.cluster.rig().network().spawn(&mut kubectl)?.context("start kubectl")?;
        child.stdin.take().context("kubectl's input")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}", arguments.join(" "), said.trim());
        Ok(())
    }

    /// A kubectl command as README has it, run in the repository.
    pub(super) fn as_readme_says(&self, line: &str) -> Result<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.kubectl_in_repository(words.strip_prefix(&["kubectl"]).context("not a kubectl command")?)
    }

    /// kubectl, run in the repository.
    pub(super) fn kubectl_in_repository(&self, arguments: &[&str]) -> Result<String> {
        let mut kubectl = self.cluster.kubectl();
        kubectl.args(arguments).current_dir(repository()).stdin(Stdio::null());
        let output = self.cluster.rig().network().run(|| kubectl.output())?.context("start kubectl")?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        ensure!(output.status.success(), "kubectl {}: {said}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Pods of a namespace with these labels.
    pub(super) fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Pod>> {
        let list = self.json(&["get", "pods", "-n", namespace, "-l", selector])?;
        Ok(list["items"].as_array().into_iter().flatten().map(pod).collect())
    }

    /// The one pod of a namespace with these labels that is not on its way out.
    pub(super) fn pod(&self, namespace: &str, selector: &str) -> Result<Pod> {
        let mut pods = self.pods(namespace, selector)?;
        pods.retain(|pod| !pod.deleted && pod.phase != "Failed");
        ensure!(pods.len() == 1, "{} pods have {selector} in {namespace}: {pods:?}", pods.len());
        Ok(pods.remove(0))
    }

    /// Waits until a workload, such as `deployment/web`, is wholly rolled out.
    pub(super) fn rolled_out(&self, namespace: &str, workload: &str) -> Result<()> {
        let timeout = format!("--timeout={}s", PATIENCE.as_secs() * 2);
        let rolled_out = self.kubectl(&["rollout", "status", "-n", namespace, workload, &timeout]);
        if let Err(error) = rolled_out {
            let pods = self.kubectl(&["get", "pods", "-A", "-o", "wide"]).unwrap_or_default();
            bail!("{error:#}\n{pods}");
        }
        Ok(())
    }

    /// Looks until there is what is looked for; fails with what was seen last.
    pub(super) fn eventually<T>(&self, look: impl FnMut(&Self) -> Result<T>) -> Result<T> {
        self.within(PATIENCE, look)
    }

    /// The same with a patience of one's own.
    pub(super) fn within<T>(
        &self,
        patience: Duration,
        mut look: impl FnMut(&Self) -> Result<T>,
    ) -> Result<T> {
        let end = Instant::now() + patience;
        loop {
            match look(self) {
                Ok(found) => return Ok(found),
                Err(seen) if Instant::now() > end => {
                    return Err(seen.context(format!("still after {} s", patience.as_secs())));
                }
                Err(_) => sleep(Duration::from_millis(500)),
            }
        }
    }

    /// The rig's node of this name.
    pub(super) fn node(&self, name: &str) -> Result<Node<'_>> {
        let number = name.strip_prefix("node").and_then(|number| number.parse().ok());
        Ok(self.cluster.rig().node(number.with_context(|| format!("{name} is not a node of the rig"))?)?)
    }

    /// All nodes' names.
    pub(super) fn nodes(&self) -> Vec<String> {
        self.cluster.rig().nodes().map(|node| format!("node{}", node.number())).collect()
    }

    /// A node's agent.
    pub(super) fn agent(&self, node: &str) -> Result<Pod> {
        let mut agents = self.pods(SYSTEM, AGENTS)?;
        agents.retain(|pod| pod.node == node && !pod.deleted);
        ensure!(agents.len() == 1, "{} agents on {node}: {agents:?}", agents.len());
        Ok(agents.remove(0))
    }

    /// `smcctl` of a node's agent, as README shows it. A problem that it found (exit code 1) is no error.
    pub(super) fn smcctl(&self, node: &str, arguments: &[&str]) -> Result<String> {
        let agent = self.agent(node)?.name;
        let exec = ["exec", "-n", SYSTEM, &agent, "--", "/smcctl"];
        let output = self.cluster.kubectl_output(&[exec.as_slice(), arguments].concat())?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        ensure!(matches!(output.status.code(), Some(0 | 1)), "smcctl {}: {said}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Fails with what `smcctl doctor` says of a node, unless it finds nothing wrong.
    pub(super) fn all_fine(&self, node: &str) -> Result<()> {
        let doctor = self.smcctl(node, &["doctor"])?;
        ensure!(doctor.contains("All fine."), "smcctl doctor on {node}:\n{doctor}");
        Ok(())
    }

    /// What `smcctl pods` on a node says of a namespace's pods, by their names.
    pub(super) fn verdicts(&self, node: &str, namespace: &str) -> Result<BTreeMap<String, Verdict>> {
        let said: Value = serde_json::from_str(&self.smcctl(node, &["pods", "--json"])?)?;
        let rows = said["pods"].as_array().into_iter().flatten().filter(|row| row["namespace"] == namespace);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let verdict = |row: &Value| Verdict {
            verdict: text(&row["verdict"]),
            smc_r: row["smc_r"].as_u64().unwrap_or_default(),
            tcp: row["tcp"].as_u64().unwrap_or_default(),
            reason: row["top_reason"]["name"].as_str().map(str::to_owned),
        };
        Ok(rows.map(|row| (text(&row["name"]), verdict(row))).collect())
    }

    /// What `smcctl pods` on the pod's node says of it; `None` when it does not know the pod.
    pub(super) fn verdict(&self, pod: &Pod) -> Result<Option<Verdict>> {
        Ok(self.verdicts(&pod.node, &pod.namespace)?.remove(&pod.name))
    }

    /// What `smcctl pods` says of a pod that it must know.
    pub(super) fn known_verdict(&self, pod: &Pod) -> Result<Verdict> {
        self.verdict(pod)?.with_context(|| format!("smcctl pods on {} does not know {}", pod.node, pod.name))
    }

    /// Reasons and messages of the Events of this kind in a namespace, `Warning` or `Normal`.
    pub(super) fn events(&self, namespace: &str, kind: &str) -> Result<Vec<(String, String)>> {
        self.selected_events(namespace, &format!("type={kind}"))
    }

    /// The same of one object.
    pub(super) fn events_on(&self, namespace: &str, name: &str, kind: &str) -> Result<Vec<(String, String)>> {
        self.selected_events(namespace, &format!("type={kind},involvedObject.name={name}"))
    }

    fn selected_events(&self, namespace: &str, filter: &str) -> Result<Vec<(String, String)>> {
        let list = self.json(&["get", "events", "-n", namespace, "--field-selector", filter])?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let events = list["items"].as_array().into_iter().flatten();
        Ok(events.map(|event| (text(&event["reason"]), text(&event["message"]))).collect())
    }

    /// A node's label and its condition; `None` where there is none.
    pub(super) fn readiness(&self, node: &str) -> Result<(Option<String>, Option<StatusAndReason>)> {
        let node = self.json(&["get", "node", node])?;
        let label = node["metadata"]["labels"][READY_LABEL].as_str().map(str::to_owned);
        let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let condition = conditions
            .into_iter()
            .find(|condition| condition["type"] == READY_CONDITION)
            .map(|condition| (text(&condition["status"]), text(&condition["reason"])));
        Ok((label, condition))
    }
}

fn pod(object: &Value) -> Pod {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let statuses = || object["status"]["containerStatuses"].as_array().into_iter().flatten();
    let conditions = object["status"]["conditions"].as_array();
    Pod {
        namespace: text(&object["metadata"]["namespace"]),
        name: text(&object["metadata"]["name"]),
        node: text(&object["spec"]["nodeName"]),
        phase: text(&object["status"]["phase"]),
        ready: conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
        restarts: statuses().filter_map(|status| status["restartCount"].as_u64()).sum(),
        deleted: !object["metadata"]["deletionTimestamp"].is_null(),
    }
}
