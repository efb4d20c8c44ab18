//! The pairs of pods.

use crate::Expected;
use rig::host::{ContainerSpec, PodSpec};

const ANNOTATION: &str = smc_model::ANNOTATION;
/// Where pods find the files that nginx serves and the programs' configurations.
pub(crate) const FILES: &str = "/demo";

/// A server and a client, and what their connections must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Names the pods and the row.
    pub name: &'static str,
    /// What the row says of it.
    pub about: &'static str,
    /// What the connections must be.
    pub expected: Expected,
    /// The client's node; the server's is 1.
    pub client_node: u8,
    server_annotated: bool,
    client_annotated: bool,
    proxies: bool,
}

/// The five pairs.
pub fn pairs() -> [Pair; 5] {
    let pair = |name, about, expected| Pair {
        name,
        about,
        expected,
        client_node: 2,
        server_annotated: true,
        client_annotated: true,
        proxies: false,
    };
    [
        pair("both", "both annotated, on two nodes", Expected::SmcR),
        Pair {
            server_annotated: false,
            ..pair("client-only", "only the client annotated", Expected::PeerWithoutSmc)
        },
        Pair {
            server_annotated: false,
            client_annotated: false,
            ..pair("none", "neither annotated", Expected::Tcp)
        },
        Pair { client_node: 1, ..pair("same-node", "both annotated, on one node", Expected::SameNode) },
        Pair {
            proxies: true,
            ..pair("sidecars", "both annotated, a proxy before each program", Expected::SmcRBetweenProxies)
        },
    ]
}

impl Pair {
    /// Whether each pod has a proxy before its program.
    pub fn has_proxies(&self) -> bool {
        self.proxies
    }

    /// The server's pod: nginx.
    pub fn server(&self, files: &str) -> PodSpec {
        let nginx = ["nginx", "-c", "/demo/nginx.conf"];
        self.pod("server", self.server_annotated, &nginx, files)
    }

    /// The client's pod; its programs, curl and wrk, are run in it later.
    pub fn client(&self, files: &str) -> PodSpec {
        self.pod("client", self.client_annotated, &["sleep", "infinity"], files)
    }

    fn pod(&self, role: &str, annotated: bool, command: &[&str], files: &str) -> PodSpec {
        let mut spec = PodSpec::new(&format!("{}-{role}", self.name), command).mount(files, FILES);
        if annotated {
            spec = spec.annotate(ANNOTATION, "true");
        }
        spec
    }

    /// The proxy beside the program, if this pair has them: all TCP in and out of the pod goes through it.
    pub fn proxy(&self, files: &str) -> Option<ContainerSpec> {
        let command = ["sh", "/demo/proxy.sh"];
        self.proxies.then(|| {
            ContainerSpec::new("proxy", &command)
                .mount(files, FILES)
                .capability("NET_ADMIN")
                .capability("NET_RAW")
        })
    }
}
