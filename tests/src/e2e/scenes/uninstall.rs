//! kube-smc goes, and nothing stays.

use anyhow::{Result, ensure};

use super::install::readme_command;
use super::rollout::under_load;
use crate::e2e::world::World;
use crate::e2e::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "uninstall",
    shows: "README's uninstall under load: no request fails, and nothing of kube-smc is left on nodes or in the API",
    run: Run::Short,
    play: uninstall,
}];

/// Prints what a node still has of kube-smc, one thing a line.
const LEFT: &str = r"
grep -ls smc-cni /etc/cni/net.d/* /etc/cni/net.d/*/* || :
nft list tables 2>/dev/null | grep kube-smc || :
ip -brief link show kubesmc0 2>/dev/null || :
ls -d /sys/fs/bpf/kube-smc /var/lib/kube-smc/* 2>/dev/null || :
ls /run/kube-smc/pods/*.json 2>/dev/null || :";

fn uninstall(world: &mut World) -> Result<String> {
    let answers = under_load(world, |world| {
        for command in [
            "kubectl delete -k daemonset/manifests",
            "kubectl apply -k daemonset/manifests/uninstall",
            "kubectl -n kube-system rollout status daemonset/smc-uninstall",
        ] {
            world.as_readme_says(&readme_command(command)?)?;
        }
        Ok(())
    })?;
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
