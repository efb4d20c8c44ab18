//! What Kubernetes' programs are told: one directory with everything, which the nodes see, too.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::pki::{Identity, Pki};
use super::{ClusterError, ProxyMode};
use crate::layout::{CONTAINERD_SOCKET, NodeNumber, OUTSIDE_ADDRESS, STATIC_PODS};

/// The API server's port on [`OUTSIDE_ADDRESS`].
pub(crate) const API_PORT: u16 = 6443;
/// The port of the other control plane's API server, on the same address.
pub(crate) const OTHER_API_PORT: u16 = 6444;
/// The kubeconfig of the cluster's administrator.
pub(crate) const ADMIN: &str = "admin.kubeconfig";
/// The kubeconfig of the other control plane's administrator.
pub(crate) const OTHER_ADMIN: &str = "other-admin.kubeconfig";
/// Where Services are.
pub(crate) const SERVICES: &str = "10.96.0.0/16";
/// Where they are in the second family.
pub(crate) const SERVICES_V6: &str = "fd00:10:96::/112";
/// The Service `kubernetes`: the first address of [`SERVICES`].
const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// The programs that call the API server, and as whom.
const CLIENTS: [(&str, &str, Option<&str>); 6] = [
    ("admin", "admin", Some("system:masters")),
    ("controller-manager", "system:kube-controller-manager", None),
    ("scheduler", "system:kube-scheduler", None),
    ("proxy", "system:kube-proxy", None),
    // The API server's own name when it calls kubelets.
    ("apiserver-kubelet-client", "kube-apiserver-kubelet-client", Some("system:masters")),
    // May read all that CoreDNS watches, and more.
    ("coredns", "coredns", Some("system:masters")),
];

/// Paths below a cluster's directory.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    directory: PathBuf,
}

impl Files {
    /// The files in this directory, whether they exist or not.
    pub(crate) fn of(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// A file by its name.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The same as text, for a command line.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// One of Kubernetes' programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join("bin").join(name)
    }

    /// Writes certificates and settings of a new cluster with the programs in the directories `programs`.
    pub(crate) fn write(&self, programs: &[PathBuf], mode: ProxyMode) -> Result<(), ClusterError> {
        make_directory(&self.path("bin"))?;
        for directory in programs {
            let entries = fs::read_dir(directory).map_err(ClusterError::file("list", directory))?;
            for entry in entries.flatten() {
                let link = self.path("bin").join(entry.file_name());
                symlink(entry.path(), &link).map_err(ClusterError::file("link", link))?;
            }
        }
        let pki = Pki::make(&self.directory)?;
        for (name, user, group) in CLIENTS {
            let identity = Identity { user: user.to_owned(), group, names: Vec::new() };
            pki.issue(name, &identity)?;
            self.write_kubeconfig(name, name)?;
        }
        let admin = kubeconfig(&self.text("ca.crt"), OTHER_API_PORT, &self.client("admin"));
        self.write_settings(OTHER_ADMIN, &admin)?;
        let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"];
        let addresses =
            [Ipv4Addr::LOCALHOST, OUTSIDE_ADDRESS, API_SERVICE].map(|address| address.to_string());
        let names = names.map(str::to_owned).into_iter().chain(addresses).collect();
        pki.issue("apiserver", &Identity { user: "kube-apiserver".to_owned(), group: None, names })?;
        for node in NodeNumber::ALL {
            self.write_node(&pki, node, mode)?;
        }
        Ok(())
    }

    fn write_node(&self, pki: &Pki, node: NodeNumber, mode: ProxyMode) -> Result<(), ClusterError> {
        let name = node.host_name();
        make_directory(&self.path(&name))?;
        let identity = Identity {
            user: format!("system:node:{name}"),
            group: Some("system:nodes"),
            names: vec![name.clone(), node.address().to_string()],
        };
        pki.issue(&format!("{name}/kubelet"), &identity)?;
        self.write_kubeconfig(&format!("{name}/kubelet"), &format!("{name}/kubelet"))?;
        self.write_kubelet(node, None)?;
        self.write_settings(&format!("{name}/proxy.yaml"), &self.proxy(&name, mode))
    }

    /// Writes the settings of a node's kubelet, which reads them when it starts. It registers a node that is not known yet with
    /// this taint: its key and effect.
    pub(crate) fn write_kubelet(
        &self,
        node: NodeNumber,
        taint: Option<(&str, &str)>,
    ) -> Result<(), ClusterError> {
        let name = node.host_name();
        let mut settings = self.kubelet(&name);
        if let Some((key, effect)) = taint {
            settings["registerWithTaints"] = json!([{ "key": key, "effect": effect }]);
        }
        self.write_settings(&format!("{name}/kubelet.yaml"), &settings)
    }

    fn kubelet(&self, node: &str) -> Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
            // The nodes have no systemd.
            "cgroupDriver": "cgroupfs",
            "failSwapOn": false,
            "staticPodPath": STATIC_PODS,
            "clusterDomain": "cluster.local",
            "clusterDNS": [OUTSIDE_ADDRESS],
            "resolvConf": "/etc/resolv.conf",
            "authentication": {
                "anonymous": { "enabled": false },
                "webhook": { "enabled": true },
                "x509": { "clientCAFile": self.text("ca.crt") },
            },
            "authorization": { "mode": "Webhook" },
            "tlsCertFile": self.text(&format!("{node}/kubelet.crt")),
            "tlsPrivateKeyFile": self.text(&format!("{node}/kubelet.key")),
        })
    }

    fn proxy(&self, node: &str, mode: ProxyMode) -> Value {
        json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": { "kubeconfig": self.text("proxy.kubeconfig") },
            "hostnameOverride": node,
            "mode": mode.to_string(),
            // Pods are behind interfaces that the plugin named, as with Calico and Terway.
            "detectLocalMode": "InterfaceNamePrefix",
            "detectLocal": { "interfaceNamePrefix": "cali" },
            // An emulated node may not raise the limit that it shares with nobody.
            "conntrack": { "maxPerCore": 0 },
        })
    }

    fn write_kubeconfig(&self, name: &str, certificate: &str) -> Result<(), ClusterError> {
        let config = kubeconfig(&self.text("ca.crt"), API_PORT, &self.client(certificate));
        self.write_settings(&format!("{name}.kubeconfig"), &config)
    }

    fn client(&self, certificate: &str) -> Value {
        json!({
            "client-certificate": self.text(&format!("{certificate}.crt")),
            "client-key": self.text(&format!("{certificate}.key")),
        })
    }

    /// JSON is YAML.
    fn write_settings(&self, name: &str, settings: &Value) -> Result<(), ClusterError> {
        let path = self.path(name);
        fs::write(&path, format!("{settings:#}\n")).map_err(ClusterError::file("write", path))
    }
}

fn kubeconfig(authority: &str, port: u16, user: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "rig", "cluster": {
            "server": format!("https://{OUTSIDE_ADDRESS}:{port}"),
            "certificate-authority": authority,
        } }],
        "users": [{ "name": "user", "user": user }],
        "contexts": [{ "name": "rig", "context": { "cluster": "rig", "user": "user" } }],
        "current-context": "rig",
    })
}

fn make_directory(path: &Path) -> Result<(), ClusterError> {
    fs::create_dir_all(path).map_err(ClusterError::file("make the directory", path))
}

#[cfg(test)]
mod tests;
