//! What the kubelet tells the container runtime of a pod.

use std::collections::BTreeMap;

use k8s_cri::v1;
use k8s_openapi::api::core::v1::{
    AppArmorProfile, Container, SELinuxOptions, SeccompProfile, SecurityContext, Volume, VolumeMount,
};

use super::super::spec::{self, CONTAINER_NAME_LABEL};
use super::{Workload, config_map_directory, expand, unsupported};
use manifests::ManifestError;

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

impl Workload {
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
            selinux_options: own.se_linux_options.or(pod.se_linux_options).map(selinux),
            apparmor: own.app_armor_profile.or(pod.app_armor_profile).as_ref().map(apparmor),
            ..Default::default()
        }
    }

    fn mount(&self, mount: &VolumeMount) -> Result<v1::Mount, ManifestError> {
        let VolumeMount { name, mount_path, .. } = mount;
        let volumes = self.pod.volumes.as_deref().unwrap_or_default();
        let volume: Option<&Volume> = volumes.iter().find(|volume| volume.name == *name);
        let config_map = volume.and_then(|volume| volume.config_map.as_ref());
        let host_path = match volume.and_then(|volume| volume.host_path.as_ref()) {
            Some(host_path) => host_path.path.clone(),
            None if config_map.is_some() => config_map_directory(name),
            None => {
                let what = format!("the volume {name:?}, which is neither a hostPath nor a ConfigMap");
                return Err(unsupported(&what));
            }
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
            host_path,
            readonly: mount.read_only == Some(true),
            propagation: propagation.into(),
            ..Default::default()
        })
    }
}

fn selinux(options: SELinuxOptions) -> v1::SeLinuxOption {
    let or_empty = Option::unwrap_or_default;
    v1::SeLinuxOption {
        user: or_empty(options.user),
        role: or_empty(options.role),
        r#type: or_empty(options.type_),
        level: or_empty(options.level),
    }
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

    #[test]
    fn quantities_of_memory_are_bytes() {
        assert_eq!(
            (bytes("128Mi"), bytes("1Ki"), bytes("5"), bytes("1e3")),
            (Some(128 << 20), Some(1024), Some(5), None)
        );
    }
}
