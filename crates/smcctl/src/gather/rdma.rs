//! RDMA devices, and what SMC knows of them.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv6Addr;
use std::path::Path;

use smc_abi::rdma::{PortState, RdmaDevice};
use smc_host::genl::SmcFamilies;
use smc_host::netlink::{Connection, Protocol};
use smc_host::{HostError, observe, rdma, smc};
use smc_model::RdmaNetnsMode;

use super::{families, text};
use smc_surfaces::facts::{Device, DevicePort, SmcPort};

const SYS: &str = "/sys";

/// Connections of the host's namespace to SMC.
#[derive(Debug)]
pub(crate) struct Smc {
    /// For SMC's families.
    pub(crate) generic: Connection,
    /// For links, addresses and routes.
    pub(crate) route: Connection,
    /// The families' numbers.
    pub(crate) families: SmcFamilies,
}

impl Smc {
    /// Only while SMC's module is there: asking would load it.
    pub(crate) fn connect() -> Result<Self, String> {
        let told = |error: HostError| error.with_cause();
        let mut generic = Connection::open(Protocol::Generic).map_err(told)?;
        let families = families(&mut generic)?;
        Ok(Self { generic, route: Connection::open(Protocol::Route).map_err(told)?, families })
    }
}

/// The devices, and whether pods may use them.
pub(super) fn devices() -> (Result<Vec<Device>, String>, Result<RdmaNetnsMode, String>) {
    let told = |error: HostError| error.with_cause();
    let mut connection = match Connection::open(Protocol::Rdma) {
        Ok(connection) => connection,
        // A kernel without RDMA has no devices.
        Err(error) if error.errno() == Some(nix::libc::EPROTONOSUPPORT) => {
            return (Ok(Vec::new()), Ok(RdmaNetnsMode::Shared));
        }
        Err(error) => return (Err(error.with_cause()), Err(error.with_cause())),
    };
    let devices = rdma::devices(&mut connection)
        .and_then(|devices| devices.iter().map(|found| device(&mut connection, found)).collect())
        .map_err(told);
    (devices, rdma::netns_mode(&mut connection).map_err(told))
}

fn device(connection: &mut Connection, found: &RdmaDevice) -> Result<Device, HostError> {
    let ports = rdma::ports(connection, found)?;
    let port = |port: &smc_abi::rdma::RdmaPort| {
        let number = u8::try_from(port.port).unwrap_or_default();
        let gids = rdma::gids(Path::new(SYS), &found.name, number);
        let ipv4 = gids.iter().filter(|gid| gid.kind == "RoCE v2");
        let ipv4 = ipv4.filter_map(|gid| gid.gid.parse::<Ipv6Addr>().ok()?.to_ipv4_mapped()).collect();
        let kinds: BTreeSet<String> = gids.iter().map(|gid| gid.kind.clone()).collect();
        let net = |what: &str| {
            let netdev = port.netdev_name.as_ref()?;
            text(Path::new(SYS).join("class/net").join(netdev).join(what))
        };
        DevicePort {
            port: port.port,
            active: port.state == PortState::Active,
            netdev: port.netdev_name.clone(),
            netdev_up: net("operstate").map(|state| state == "up"),
            netdev_mtu: net("mtu").and_then(|mtu| mtu.parse().ok()),
            gid_kinds: kinds.into_iter().collect(),
            ipv4_gids: Some(ipv4),
        }
    };
    let link = Path::new(SYS).join("class/infiniband").join(&found.name).join("device/driver");
    let driver = fs::read_link(link).ok().and_then(|to| Some(to.file_name()?.to_string_lossy().into_owned()));
    Ok(Device {
        name: found.name.clone(),
        protocol: found.protocol.clone().unwrap_or_else(|| "unknown".to_owned()),
        driver,
        ports: ports.iter().map(port).collect(),
    })
}

/// SMC's ports, with who set their PNETIDs.
pub(super) fn ports(smc: &mut Smc) -> Result<Vec<SmcPort>, HostError> {
    let named = observe::named_ports(&mut smc.route, &mut smc.generic, smc.families)?;
    let devices = smc::devices(&mut smc.generic, smc.families.smc)?;
    let told = named.into_iter().map(|port| {
        let device = devices.iter().find(|device| device.name == port.device);
        let raw = device.and_then(|device| device.ports.get(usize::from(port.port) - 1));
        SmcPort {
            active: port.active,
            pnetid: port.pnetid,
            user_defined: raw.is_some_and(|raw| raw.pnetid_is_user_defined),
            links: raw.map_or(0, |raw| raw.link_count),
            addresses: port.netdev.as_ref().map(|netdev| netdev.addresses.clone()).unwrap_or_default(),
            netdev: port.netdev.map(|netdev| netdev.name),
            device: port.device,
            port: port.port,
        }
    });
    Ok(told.collect())
}
