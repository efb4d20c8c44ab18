//! What the agent may do, and what it sees of the node.

use super::*;

#[test]
fn the_agent_is_not_privileged_and_its_capabilities_are_few() {
    for overlay in overlays() {
        let pod = agent(&overlay).spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.host_network, Some(true));
        assert_eq!((pod.host_pid, pod.host_ipc), (None, None));
        let seccomp = pod.security_context.unwrap().seccomp_profile.unwrap();
        assert_eq!(seccomp.type_, "RuntimeDefault");
        for container in pod.containers {
            let context = container.security_context.unwrap();
            assert_eq!(context.privileged, Some(false));
            assert_eq!(context.allow_privilege_escalation, Some(false));
            assert_eq!(context.read_only_root_filesystem, Some(true));
            assert!(context.seccomp_profile.is_none() && context.proc_mount.is_none());
            let capabilities = context.capabilities.unwrap();
            assert_eq!(capabilities.drop.unwrap(), ["ALL"]);
            assert_eq!(capabilities.add.unwrap(), ["NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "SYS_RESOURCE"]);
        }
    }
}

#[test]
fn each_capability_has_a_comment_that_says_what_fails_without_it() {
    let text = fs::read_to_string(directory().join("base/daemonset.yaml")).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let add = lines.iter().position(|line| *line == "add:").unwrap();
    let entries = lines[add + 1..].iter().take_while(|line| line.starts_with('#') || line.starts_with("- "));
    let entries: Vec<&&str> = entries.collect();
    let capabilities: Vec<usize> = (0..entries.len()).filter(|at| entries[*at].starts_with("- ")).collect();
    assert_eq!(capabilities.len(), 4);
    for at in capabilities {
        let comment = at.checked_sub(1).map(|above| *entries[above]);
        assert!(comment.is_some_and(|comment| comment.starts_with('#')), "{} has no comment", entries[at]);
    }
}

#[test]
fn requests_are_limits_and_an_upgrade_takes_a_node_at_a_time() {
    for overlay in overlays() {
        let spec = agent(&overlay).spec.unwrap();
        let rolling = spec.update_strategy.unwrap().rolling_update.unwrap();
        assert_eq!(serde_json::to_value(rolling.max_unavailable).unwrap(), 1);
        let pod = spec.template.spec.unwrap();
        assert_eq!(pod.priority_class_name.as_deref(), Some("system-node-critical"));
        for container in pod.containers {
            let resources = container.resources.unwrap();
            let limits = resources.limits.unwrap();
            assert_eq!(resources.requests.unwrap(), limits);
            assert!(["cpu", "memory"].iter().all(|name| limits.contains_key(*name)), "{limits:?}");
        }
    }
}

#[test]
fn mounts_are_of_known_directories_and_what_grows_later_is_seen() {
    for overlay in overlays() {
        let pod = agent(&overlay).spec.unwrap().template.spec.unwrap();
        let volumes: BTreeMap<String, Option<String>> =
            pod.volumes.unwrap().into_iter().map(|of| (of.name, of.host_path.map(|of| of.path))).collect();
        let mounts = pod.containers[0].volume_mounts.clone().unwrap();
        assert_eq!(mounts.len(), volumes.len(), "every volume is mounted once");
        for mount in mounts {
            // A Secret is no directory of the host.
            let Some(path) = volumes[&mount.name].as_deref() else {
                assert_eq!(mount.read_only, Some(true), "{}", mount.name);
                continue;
            };
            let writable = mount.read_only != Some(true);
            let may_write = [
                "/run/kube-smc",
                "/opt/cni/bin",
                "/etc/cni/net.d",
                "/var/lib/rancher/k3s/data/cni",
                "/var/lib/rancher/k3s/agent/etc/cni/net.d",
                "/var/lib/kube-smc",
                "/sys/fs/bpf",
                "/proc/sys/net",
            ];
            assert!(!writable || may_write.contains(&path), "{path} is writable");
            assert!(
                !["/", "/run", "/etc", "/var", "/sys", "/dev", "/opt"].contains(&path),
                "{path} is too wide"
            );
            let grows = ["network-namespaces", "containerd", "bpffs"].contains(&mount.name.as_str());
            let propagation = mount.mount_propagation.as_deref();
            assert_eq!(propagation, grows.then_some("HostToContainer"), "{path}");
        }
    }
}

/// Uninstalling undoes what the agent made, so it needs no more than the agent, and sees the same places.
#[test]
fn uninstalling_has_the_agents_mounts_and_no_more_privileges() {
    let uninstall: DaemonSet =
        find(&rendered(&directory().join("uninstall")), "DaemonSet", "smc-uninstall").unwrap();
    let pod = uninstall.spec.unwrap().template.spec.unwrap();
    let agents = agent(&directory()).spec.unwrap().template.spec.unwrap();
    assert_eq!((pod.host_network, pod.host_pid, pod.host_ipc), (Some(true), None, None));
    assert_eq!(pod.security_context, agents.security_context);
    let [work] = pod.init_containers.as_deref().unwrap() else { panic!("one container works") };
    let of_agent = &agents.containers[0];
    assert_eq!(
        work.args.as_deref(),
        Some(["uninstall".to_owned(), "--proc=/host/proc".to_owned()].as_slice())
    );
    let (mounts, agents_mounts) =
        (work.volume_mounts.as_ref().unwrap(), of_agent.volume_mounts.as_ref().unwrap());
    assert!(mounts.iter().all(|mount| agents_mounts.contains(mount)), "{mounts:?}");
    let agents_volumes = agents.volumes.unwrap();
    assert!(pod.volumes.unwrap().iter().all(|volume| agents_volumes.contains(volume)));
    for path in ["/run/kube-smc", "/etc/cni/net.d", "/var/lib/kube-smc", "/sys/fs/bpf", "/run/netns"] {
        assert!(mounts.iter().any(|mount| mount.mount_path == path), "{path}");
    }
    let (mut context, agents_context) =
        (work.security_context.clone().unwrap(), of_agent.security_context.clone().unwrap());
    let added = context.capabilities.as_mut().unwrap().add.take().unwrap();
    let agents_added = agents_context.capabilities.as_ref().unwrap().add.clone().unwrap();
    assert!(added.iter().all(|capability| agents_added.contains(capability)), "{added:?}");
    context.capabilities.as_mut().unwrap().add = Some(agents_added);
    assert_eq!(context, agents_context);

    let [stays] = pod.containers.as_slice() else { panic!("one container stays") };
    assert_eq!(stays.args.as_deref(), Some(["pause".to_owned()].as_slice()));
    let context = stays.security_context.clone().unwrap();
    let capabilities = context.capabilities.unwrap();
    assert_eq!((capabilities.add, capabilities.drop), (None, Some(vec!["ALL".to_owned()])));
    assert!(stays.volume_mounts.is_none() && context.run_as_user != Some(0));
    assert!([work, stays].iter().all(|container| container.image == of_agent.image));
}
