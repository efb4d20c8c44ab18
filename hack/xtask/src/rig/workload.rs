//! A `DaemonSet` as one node's kubelet runs it: what it tells the container runtime, and what it prepares before.
//!
//! Everything comes from the manifest. What the rig leaves out: probes, the CPU limit (an emulated CPU is many times
//! slower), and the service account's token, for there is no API server. What it does not know is an error.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_cri::v1;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    AppArmorProfile, ConfigMap, Container, EnvVar, PodSpec, SeccompProfile, SecurityContext, Volume,
    VolumeMount,
};
use serde_json::Value;

use super::spec::{self, CONTAINER_NAME_LABEL};
use crate::manifests::{ManifestError, find};

/// What the kubelet has the runtime hide in a container that is not privileged (`procMount: Default`).
const MASKED_PATHS: [&str; 10] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];
/// The same, of what it makes read-only.
const READ_ONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// For pods with equal requests and limits (`pkg/kubelet/qos`).
const GUARANTEED_OOM_SCORE: i64 = -997;

/// The node that a workload's pod runs on.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) node_name: String,
    pub(crate) node_ip: Ipv4Addr,
}

/// One node's pod of a `DaemonSet` with one container.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) container: String,
    pub(crate) image: String,
    /// Directories of the node to be made before (`DirectoryOrCreate`).
    pub(crate) directories: Vec<String>,
    labels: BTreeMap<String, String>,
    pod: PodSpec,
    environment: Vec<(String, String)>,
}

impl Workload {
    /// The pod of the `DaemonSet` of this name in rendered manifests.
    pub(crate) fn of(documents: &[Value], daemonset: &str, place: &Place) -> Result<Self, ManifestError> {
        Self::of_pod(documents, daemonset, place, |_| Ok(()))
    }

    /// The same pod with its only init container as the container.
    pub(crate) fn of_init(
        documents: &[Value],
        daemonset: &str,
        place: &Place,
    ) -> Result<Self, ManifestError> {
        Self::of_pod(documents, daemonset, place, |pod| {
            let init = pod.init_containers.take().unwrap_or_default();
            if init.len() != 1 {
                return Err(unsupported("a pod without exactly one init container"));
            }
            pod.containers = init;
            Ok(())
        })
    }

    fn of_pod(
        documents: &[Value],
        daemonset: &str,
        place: &Place,
        choose: impl FnOnce(&mut PodSpec) -> Result<(), ManifestError>,
    ) -> Result<Self, ManifestError> {
        let found: DaemonSet = find(documents, "DaemonSet", daemonset)?;
        let template = found.spec.unwrap_or_default().template;
        let mut pod = template.spec.unwrap_or_default();
        choose(&mut pod)?;
        let [container] = pod.containers.as_slice() else {
            return Err(unsupported("a pod of several containers"));
        };
        if !pod.init_containers.as_deref().unwrap_or_default().is_empty() {
            return Err(unsupported("init containers"));
        }
        let name = format!("{daemonset}-{}", place.node_name);
        let namespace = found.metadata.namespace.unwrap_or_else(|| "default".to_owned());
        let environment = environment(documents, container, &name, &namespace, place)?;
        let volumes = pod.volumes.as_deref().unwrap_or_default();
        let directories = volumes.iter().filter_map(|volume| {
            let host_path = volume.host_path.as_ref()?;
            (host_path.type_.as_deref() == Some("DirectoryOrCreate")).then(|| host_path.path.clone())
        });
        Ok(Self {
            container: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            directories: directories.collect(),
            labels: template.metadata.unwrap_or_default().labels.unwrap_or_default(),
            environment,
            name,
            namespace,
            pod,
        })
    }

    /// Adds arguments to the manifest's.
    pub(crate) fn add_arguments(&mut self, arguments: &[&str]) {
        for container in &mut self.pod.containers {
            container.args.get_or_insert_default().extend(arguments.iter().map(ToString::to_string));
        }
    }

    /// Sets a variable of the environment, also for the arguments that name it.
    pub(crate) fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a capability away that the manifest adds.
    pub(crate) fn drop_capability(&mut self, name: &str) {
        let contexts = self.pod.containers.iter_mut().filter_map(|of| of.security_context.as_mut());
        for added in contexts.filter_map(|context| context.capabilities.as_mut()?.add.as_mut()) {
            added.retain(|capability| capability != name);
        }
    }

    /// Where the container's output is on the node, one file for each time it was started.
    pub(crate) fn log_directory(&self, uid: &str) -> String {
        format!("{}/{}", spec::log_directory(&self.name, &self.namespace, uid), self.container)
    }

    pub(crate) fn sandbox(&self, uid: &str) -> v1::PodSandboxConfig {
        let host_network = self.pod.host_network == Some(true);
        let mut config =
            spec::sandbox_config(&self.name, &self.namespace, uid, &BTreeMap::new(), host_network);
        config.labels.extend(self.labels.clone());
        let security = config.linux.as_mut().and_then(|linux| linux.security_context.as_mut());
        if let Some(security) = security {
            let of_pod = self.pod.security_context.as_ref();
            security.seccomp = of_pod.and_then(|context| context.seccomp_profile.as_ref()).map(seccomp);
            if let Some(options) = security.namespace_options.as_mut()
                && self.pod.host_pid == Some(true)
            {
                options.pid = v1::NamespaceMode::Node.into();
            }
        }
        config
    }

    /// The container's description for its start number `attempt`.
    pub(crate) fn container(
        &self,
        sandbox: &v1::PodSandboxConfig,
        attempt: u32,
    ) -> Result<v1::ContainerConfig, ManifestError> {
        let [container] = self.pod.containers.as_slice() else {
            return Err(unsupported("a pod of several containers"));
        };
        let namespaces = sandbox.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
        let mut security_context = self.security_context(container.security_context.as_ref());
        security_context.namespace_options = namespaces.and_then(|context| context.namespace_options.clone());
        let expand = |words: &Option<Vec<String>>| {
            let words = words.iter().flatten();
            words.map(|word| expand(word, &self.environment)).collect::<Vec<_>>()
        };
        let mounts = container.volume_mounts.iter().flatten();
        let mut labels = sandbox.labels.clone();
        labels.insert(CONTAINER_NAME_LABEL.to_owned(), container.name.clone());
        Ok(v1::ContainerConfig {
            metadata: Some(v1::ContainerMetadata { name: container.name.clone(), attempt }),
            image: Some(v1::ImageSpec { image: self.image.clone(), ..Default::default() }),
            command: expand(&container.command),
            args: expand(&container.args),
            working_dir: container.working_dir.clone().unwrap_or_default(),
            envs: self
                .environment
                .iter()
                .map(|(key, value)| v1::KeyValue { key: key.clone(), value: value.clone() })
                .collect(),
            mounts: mounts.map(|mount| self.mount(mount)).collect::<Result<_, _>>()?,
            labels,
            log_path: format!("{}/{attempt}.log", container.name),
            linux: Some(v1::LinuxContainerConfig {
                resources: Some(resources(container)?),
                security_context: Some(security_context),
            }),
            ..Default::default()
        })
    }

    fn security_context(&self, own: Option<&SecurityContext>) -> v1::LinuxContainerSecurityContext {
        let own = own.cloned().unwrap_or_default();
        let pod = self.pod.security_context.clone().unwrap_or_default();
        let capabilities = own.capabilities.unwrap_or_default();
        let privileged = own.privileged == Some(true);
        let paths = |paths: &[&str]| {
            if privileged { Vec::new() } else { paths.iter().map(|path| (*path).to_owned()).collect() }
        };
        let id = |value: Option<i64>| value.map(|value| v1::Int64Value { value });
        v1::LinuxContainerSecurityContext {
            capabilities: Some(v1::Capability {
                add_capabilities: capabilities.add.unwrap_or_default(),
                drop_capabilities: capabilities.drop.unwrap_or_default(),
                ..Default::default()
            }),
            privileged,
            run_as_user: id(own.run_as_user.or(pod.run_as_user)),
            run_as_group: id(own.run_as_group.or(pod.run_as_group)),
            readonly_rootfs: own.read_only_root_filesystem == Some(true),
            no_new_privs: own.allow_privilege_escalation == Some(false),
            masked_paths: paths(&MASKED_PATHS),
            readonly_paths: paths(&READ_ONLY_PATHS),
            seccomp: own.seccomp_profile.or(pod.seccomp_profile).as_ref().map(seccomp),
            apparmor: own.app_armor_profile.or(pod.app_armor_profile).as_ref().map(apparmor),
            ..Default::default()
        }
    }

    fn mount(&self, mount: &VolumeMount) -> Result<v1::Mount, ManifestError> {
        let VolumeMount { name, mount_path, .. } = mount;
        let volumes = self.pod.volumes.as_deref().unwrap_or_default();
        let volume: Option<&Volume> = volumes.iter().find(|volume| volume.name == *name);
        let Some(host_path) = volume.and_then(|volume| volume.host_path.as_ref()) else {
            return Err(unsupported(&format!("the volume {name:?}, which is no hostPath")));
        };
        if mount.sub_path.is_some() || mount.sub_path_expr.is_some() {
            return Err(unsupported(&format!("a part of the volume {name:?}")));
        }
        let propagation = match mount.mount_propagation.as_deref() {
            None | Some("None") => v1::MountPropagation::PropagationPrivate,
            Some("HostToContainer") => v1::MountPropagation::PropagationHostToContainer,
            Some(other) => return Err(unsupported(&format!("the mount propagation {other}"))),
        };
        Ok(v1::Mount {
            container_path: mount_path.clone(),
            host_path: host_path.path.clone(),
            readonly: mount.read_only == Some(true),
            propagation: propagation.into(),
            ..Default::default()
        })
    }
}

fn unsupported(what: &str) -> ManifestError {
    ManifestError::Unsupported(what.to_owned())
}

fn environment(
    documents: &[Value],
    container: &Container,
    name: &str,
    namespace: &str,
    place: &Place,
) -> Result<Vec<(String, String)>, ManifestError> {
    let mut environment = Vec::new();
    for source in container.env_from.iter().flatten() {
        let Some(reference) = source.config_map_ref.as_ref() else {
            return Err(unsupported("an environment from something that is no ConfigMap"));
        };
        let config_map: ConfigMap = find(documents, "ConfigMap", &reference.name)?;
        environment.extend(config_map.data.unwrap_or_default());
    }
    for EnvVar { name: variable, value, value_from } in container.env.iter().flatten() {
        let field = value_from.as_ref().and_then(|source| source.field_ref.as_ref());
        let value = match (value_from, field.map(|field| field.field_path.as_str())) {
            (None, _) => expand(value.as_deref().unwrap_or_default(), &environment),
            (_, Some("spec.nodeName")) => place.node_name.clone(),
            (_, Some("status.hostIP" | "status.podIP")) => place.node_ip.to_string(),
            (_, Some("metadata.name")) => name.to_owned(),
            (_, Some("metadata.namespace")) => namespace.to_owned(),
            _ => return Err(unsupported(&format!("the source of the environment variable {variable}"))),
        };
        environment.push((variable.clone(), value));
    }
    Ok(environment)
}

/// `$(NAME)` becomes the variable's value, `$$(` a plain `$(`; what is not known stays as it is.
fn expand(word: &str, environment: &[(String, String)]) -> String {
    let mut expanded = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        let tail = &rest[at..];
        let reference = tail.strip_prefix("$(").and_then(|tail| tail.split_once(')'));
        if let Some(after) = tail.strip_prefix("$$") {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = reference {
            // Later definitions win, as in a process's environment.
            match environment.iter().rev().find(|(known, _)| known == name) {
                Some((_, value)) => expanded.push_str(value),
                None => expanded.push_str(&tail[..tail.len() - after.len()]),
            }
            rest = after;
        } else {
            expanded.push('$');
            rest = &tail[1..];
        }
    }
    expanded + rest
}

fn resources(container: &Container) -> Result<v1::LinuxContainerResources, ManifestError> {
    let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let memory = limits.and_then(|limits| limits.get("memory"));
    let memory = memory.map(|quantity| {
        bytes(&quantity.0).ok_or_else(|| unsupported(&format!("the memory limit {}", quantity.0)))
    });
    Ok(v1::LinuxContainerResources {
        memory_limit_in_bytes: memory.transpose()?.unwrap_or_default(),
        oom_score_adj: GUARANTEED_OOM_SCORE,
        ..Default::default()
    })
}

fn bytes(quantity: &str) -> Option<i64> {
    let units = [("Ki", 10), ("Mi", 20), ("Gi", 30)];
    let (number, shift) = units
        .into_iter()
        .find_map(|(unit, shift)| Some((quantity.strip_suffix(unit)?, shift)))
        .unwrap_or((quantity, 0));
    number.parse::<i64>().ok()?.checked_mul(1 << shift)
}

fn profile(kind: &str, localhost: Option<&String>) -> v1::SecurityProfile {
    use v1::security_profile::ProfileType;
    let profile_type = match kind {
        "Unconfined" => ProfileType::Unconfined,
        "Localhost" => ProfileType::Localhost,
        _ => ProfileType::RuntimeDefault,
    };
    let localhost_ref = localhost.cloned().unwrap_or_default();
    v1::SecurityProfile { profile_type: profile_type.into(), localhost_ref }
}

fn seccomp(given: &SeccompProfile) -> v1::SecurityProfile {
    profile(&given.type_, given.localhost_profile.as_ref())
}

fn apparmor(given: &AppArmorProfile) -> v1::SecurityProfile {
    profile(&given.type_, given.localhost_profile.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::{directory, render};

    fn workload() -> Workload {
        let documents = render(&directory().join("overlays/generic-roce")).unwrap();
        let place = Place { node_name: "node1".to_owned(), node_ip: Ipv4Addr::new(10, 0, 0, 11) };
        Workload::of(&documents, "smc-agent", &place).unwrap()
    }

    #[test]
    fn the_manifests_security_context_reaches_the_runtime() {
        let workload = workload();
        let sandbox = workload.sandbox("uid");
        let container = workload.container(&sandbox, 3).unwrap();
        let context = container.linux.unwrap().security_context.unwrap();
        assert!(!context.privileged && context.no_new_privs && context.readonly_rootfs);
        assert_eq!(context.seccomp.unwrap().profile_type, 0);
        assert!(context.readonly_paths.contains(&"/proc/sys".to_owned()));
        let capabilities = context.capabilities.unwrap();
        assert_eq!(capabilities.drop_capabilities, ["ALL"]);
        assert!(capabilities.add_capabilities.contains(&"NET_ADMIN".to_owned()));
        let options = context.namespace_options.unwrap();
        assert_eq!(options.network, i32::from(v1::NamespaceMode::Node));
        assert_eq!(options.pid, i32::from(v1::NamespaceMode::Container));
    }

    #[test]
    fn arguments_environment_and_mounts_are_the_manifests() {
        let workload = workload();
        let container = workload.container(&workload.sandbox("uid"), 0).unwrap();
        assert_eq!(container.args[0], "run");
        assert!(container.args.contains(&"--ueid=SMCV2-DEFAULT-UEID".to_owned()), "{:?}", container.args);
        let node = container.envs.iter().find(|variable| variable.key == "NODE_NAME").unwrap();
        assert_eq!(node.value, "node1");
        let netns = container.mounts.iter().find(|mount| mount.container_path == "/run/netns").unwrap();
        assert_eq!(netns.propagation, i32::from(v1::MountPropagation::PropagationHostToContainer));
        assert!(workload.directories.contains(&"/run/kube-smc".to_owned()));
    }

    #[test]
    fn references_to_variables_are_expanded_as_kubernetes_does() {
        let environment = [("A".to_owned(), "1".to_owned()), ("A".to_owned(), "2".to_owned())];
        for (word, expanded) in
            [("x$(A)y$(A)", "x2y2"), ("$(B)$", "$(B)$"), ("$$(A)", "$(A)"), ("$A $( $(A", "$A $( $(A")]
        {
            assert_eq!(expand(word, &environment), expanded, "{word}");
        }
    }

    #[test]
    fn quantities_of_memory_are_bytes() {
        assert_eq!(
            (bytes("128Mi"), bytes("1Ki"), bytes("5"), bytes("1e3")),
            (Some(128 << 20), Some(1024), Some(5), None)
        );
    }

    #[test]
    fn what_the_kubelet_would_do_and_the_rig_does_not_is_an_error() {
        let place = Place { node_name: "node1".to_owned(), node_ip: Ipv4Addr::LOCALHOST };
        let render = |change: &dyn Fn(&mut Value)| {
            let mut documents = render(&directory()).unwrap();
            let pod = documents.iter_mut().find(|document| document["kind"] == "DaemonSet").unwrap();
            change(&mut pod["spec"]["template"]["spec"]);
            let workload = Workload::of(&documents, "smc-agent", &place)?;
            workload.container(&workload.sandbox("uid"), 0).map(drop)
        };
        assert!(render(&|_| ()).is_ok());
        assert!(render(&|pod| pod["initContainers"] = serde_json::json!([{ "name": "a" }])).is_err());
        assert!(
            render(&|pod| pod["volumes"][0] = serde_json::json!({ "name": "state", "emptyDir": {} }))
                .is_err()
        );
        assert!(
            render(&|pod| pod["containers"][0]["envFrom"][0]["configMapRef"]["name"] = "x".into()).is_err()
        );
        assert!(
            render(
                &|pod| pod["containers"][0]["volumeMounts"][0]["mountPropagation"] = "Bidirectional".into()
            )
            .is_err()
        );
    }
}
