//! The veth pair of a pod, as Terway's policy-route datapath builds it.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::guest::{GuestError, run, write_file};

/// Every pod's gateway. No interface has it: the pod knows its hardware address by a permanent neighbour entry.
pub const GATEWAY: &str = "169.254.1.1";

/// The same of IPv6.
pub const GATEWAY_V6: &str = "fe80::1";

/// A pod's interface and the host's end of it.
#[derive(Debug)]
pub struct Veth {
    host_name: String,
    host_mac: String,
    pod_name: String,
    pod_mac: String,
    address: Ipv4Addr,
    second: Option<Ipv6Addr>,
}

impl Veth {
    /// Names and hardware addresses follow from the container's id, so that DEL finds what ADD made.
    pub fn new(container: &str, interface: &str, address: Ipv4Addr, second: Option<Ipv6Addr>) -> Self {
        let mut hasher = DefaultHasher::new();
        (container, interface).hash(&mut hasher);
        let hash = hasher.finish();
        let mac = |first: u8| {
            let bytes = hash.to_be_bytes().into_iter().take(5);
            bytes.fold(format!("{first:02x}"), |mac, byte| format!("{mac}:{byte:02x}"))
        };
        Self {
            host_name: format!("cali{:011x}", hash >> 20),
            // Locally administered unicast addresses.
            host_mac: mac(0x0a),
            pod_name: interface.to_owned(),
            pod_mac: mac(0x0e),
            address,
            second,
        }
    }

    /// Builds the pair between this network namespace and the one at `netns`.
    pub fn add(&self, netns: &Path) -> Result<(), GuestError> {
        run("ip", &["-batch", "-"], &self.host_batch(netns))?;
        // Answers for every address, should the pod lose its neighbour entry.
        write_file(format!("/proc/sys/net/ipv4/conf/{}/proxy_arp", self.host_name), "1")?;
        run("nsenter", &[&format!("--net={}", netns.display()), "ip", "-batch", "-"], &self.pod_batch())?;
        Ok(())
    }

    /// Removes the pair, when it is still there: it dies with the pod's network namespace, too.
    pub fn delete(&self) {
        if Path::new("/sys/class/net").join(&self.host_name).exists() {
            // The namespace may be going away at this moment and take the pair along.
            let _ = run("ip", &["link", "delete", &self.host_name], "");
        }
    }

    fn host_batch(&self, netns: &Path) -> String {
        let Self { host_name, host_mac, pod_name, pod_mac, address, second } = self;
        let mut lines = format!(
            "link add dev {host_name} address {host_mac} mtu 1500 type veth \
             peer name {pod_name} address {pod_mac} mtu 1500 netns {}\n",
            netns.display()
        );
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "link set {host_name} up");
        let _ = writeln!(lines, "route add {address}/32 dev {host_name} scope link");
        if let Some(second) = second {
            let _ = writeln!(lines, "route add {second}/128 dev {host_name}");
        }
        lines
    }

    fn pod_batch(&self) -> String {
        let Self { host_mac, pod_name, address, second, .. } = self;
        let mut lines = format!(
            "link set {pod_name} up\n\
             address add {address}/32 dev {pod_name}\n\
             route add {GATEWAY} dev {pod_name} scope link\n\
             route add default via {GATEWAY} dev {pod_name} onlink\n\
             neighbour add {GATEWAY} lladdr {host_mac} dev {pod_name} nud permanent\n"
        );
        if let Some(second) = second {
            // Writing to a String cannot fail.
            let _ = write!(
                lines,
                "address add {second}/128 dev {pod_name} nodad\n\
                 route add default via {GATEWAY_V6} dev {pod_name} onlink\n\
                 neighbour add {GATEWAY_V6} lladdr {host_mac} dev {pod_name} nud permanent\n"
            );
        }
        lines
    }
}

#[cfg(test)]
mod tests;
