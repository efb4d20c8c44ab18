//! What Terway, Alibaba Cloud's CNI plugin, tells about a node.
//!
//! Its daemon keeps an INI file with all keys in the unnamed section (Terway's `pkg/utils/nodecap`).

use thiserror::Error;

/// Where Terway keeps the file on the node.
pub const NODE_CAPABILITIES_FILE: &str = "/var/run/eni/node_capabilities";

/// Terway's facts about a node. What the file does not say is as in an empty file: `false`, [`Datapath::Veth`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "the file's own independent switches")]
pub struct NodeCapabilities {
    /// `erdma`: Terway itself manages the node's eRDMA devices.
    pub erdma: bool,
    /// `cni_exclusive_eni`: each pod has a network interface (ENI) of its own.
    pub exclusive_eni: bool,
    /// `cni_ipv6_stack`: pods have IPv6 addresses.
    pub ipv6: bool,
    /// `datapath`: how pods that share an ENI are joined to it.
    pub datapath: Datapath,
    /// `network_policy_provider`: `iptables`, `ebpf`, or nothing.
    pub network_policy_provider: Option<String>,
    /// `has_cilium_chainer`: cilium-cni runs after Terway.
    pub has_cilium_chainer: bool,
    /// `kube_proxy_replacement`: services are done by eBPF.
    pub kube_proxy_replacement: bool,
}

/// Terway's `eniip_virtual_type`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Datapath {
    /// veth pairs and policy routing; the default.
    #[default]
    Veth,
    /// ipvlan on the ENI.
    Ipvlan,
    /// veth pairs with eBPF redirection between them and the ENI.
    DatapathV2,
    /// One that is not known here.
    Other(String),
}

/// Why the file could not be understood.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {line} of Terway's node capabilities is no `key = value`: {text:?}")]
pub struct NodeCapabilitiesError {
    /// From 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

impl NodeCapabilities {
    /// Reads the file's text. Unknown keys and named sections are skipped; of a repeated key the last one counts.
    pub fn parse(text: &str) -> Result<Self, NodeCapabilitiesError> {
        let mut capabilities = Self::default();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if line.starts_with('[') {
                break;
            }
            let Some((key, value)) = line.split_once('=') else {
                return Err(NodeCapabilitiesError { line: index + 1, text: line.to_owned() });
            };
            capabilities.set(key.trim(), unquoted(value));
        }
        Ok(capabilities)
    }

    /// Whether packets between pods of this node may go past the host's netfilter, so that the same-node guard cannot
    /// see them: ipvlan, eBPF redirection, ENIs inside pods, and any datapath not known here.
    pub fn bypasses_host_netfilter(&self) -> bool {
        self.exclusive_eni || self.datapath != Datapath::Veth
    }

    /// The datapath in words, for messages.
    pub fn datapath_name(&self) -> String {
        let exclusive = if self.exclusive_eni { "exclusive ENI" } else { "" };
        match (&self.datapath, exclusive) {
            (Datapath::Veth, "") => "veth".to_owned(),
            (Datapath::Veth, exclusive) => exclusive.to_owned(),
            (Datapath::Ipvlan, _) => "ipvlan".to_owned(),
            (Datapath::DatapathV2, _) => "datapathv2".to_owned(),
            (Datapath::Other(name), _) => name.clone(),
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        match key {
            "erdma" => self.erdma = value == "true",
            // Terway's only value for "yes"; nodes with shared ENIs say `default` or nothing.
            "cni_exclusive_eni" => self.exclusive_eni = value == "eniOnly",
            "cni_ipv6_stack" => self.ipv6 = value == "true",
            "datapath" => self.datapath = Datapath::from_terway(value),
            "network_policy_provider" => {
                self.network_policy_provider = (!value.is_empty()).then(|| value.to_owned());
            }
            "has_cilium_chainer" => self.has_cilium_chainer = value == "true",
            "kube_proxy_replacement" => self.kube_proxy_replacement = value == "true",
            _ => {}
        }
    }
}

impl Datapath {
    fn from_terway(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "" | "veth" => Self::Veth,
            "ipvlan" => Self::Ipvlan,
            "datapathv2" => Self::DatapathV2,
            _ => Self::Other(name.to_owned()),
        }
    }
}

/// Takes off the spaces, comments and quotes that the INI library Terway writes with puts around values.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    for quote in ['`', '"', '\''] {
        if let Some((inner, _)) = value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return inner;
        }
    }
    let comment = [" #", " ;"].iter().filter_map(|mark| value.find(mark)).min();
    comment.map_or(value, |at| value[..at].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datapath_v2_node_is_read_in_full() {
        let text = "\
erdma                   = true
cni_exclusive_eni       = default
cni_ipv6_stack          = false
datapath                = datapathv2
network_policy_provider = ebpf
has_cilium_chainer      = true
kube_proxy_replacement  = true
";
        let expected = NodeCapabilities {
            erdma: true,
            exclusive_eni: false,
            ipv6: false,
            datapath: Datapath::DatapathV2,
            network_policy_provider: Some("ebpf".into()),
            has_cilium_chainer: true,
            kube_proxy_replacement: true,
        };
        assert_eq!(NodeCapabilities::parse(text), Ok(expected));
    }

    #[test]
    fn an_empty_file_is_a_veth_node_whose_traffic_the_guard_sees() {
        let capabilities = NodeCapabilities::parse("").unwrap();
        assert_eq!(capabilities, NodeCapabilities::default());
        assert!(!capabilities.bypasses_host_netfilter());
    }

    #[test]
    fn only_the_veth_datapath_passes_the_hosts_netfilter() {
        let bypasses = |text| NodeCapabilities::parse(text).unwrap().bypasses_host_netfilter();
        assert!(!bypasses("datapath = veth"));
        assert!(!bypasses("datapath ="));
        assert!(bypasses("datapath = ipvlan"));
        assert!(bypasses("datapath = IPVlan"));
        assert!(bypasses("datapath = datapathv2"));
        assert!(bypasses("datapath = something-new"));
        assert!(bypasses("cni_exclusive_eni = eniOnly\ndatapath = veth"));
    }

    #[test]
    fn comments_quotes_and_other_sections_do_not_disturb() {
        let text = "\u{feff}# made by terway\n; too\n\ndatapath=`ipvlan` \nerdma = \"true\" ; yes\ncni_ipv6_stack = true # dual\n[other]\nerdma = false\nnonsense";
        let capabilities = NodeCapabilities::parse(text).unwrap();
        assert_eq!(capabilities.datapath, Datapath::Ipvlan);
        assert!(capabilities.erdma && capabilities.ipv6);
    }

    #[test]
    fn an_unknown_datapath_keeps_its_name() {
        let capabilities = NodeCapabilities::parse("datapath = Maglev\nfuture_key = 7").unwrap();
        assert_eq!(capabilities.datapath, Datapath::Other("Maglev".into()));
    }

    #[test]
    fn a_line_without_an_equals_sign_is_an_error_with_its_number() {
        let error = NodeCapabilities::parse("erdma = true\n\ngarbage\n").unwrap_err();
        assert_eq!(error, NodeCapabilitiesError { line: 3, text: "garbage".into() });
    }
}
