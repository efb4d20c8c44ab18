use std::fmt;
use std::fs::{self, OpenOptions};
use std::path::Path;

use nix::errno::Errno;

use crate::ffi::DeviceList;

/// What is known of a device's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceLimits {
    /// The device answered.
    Known(Limits),
    /// It could not be asked.
    Unknown(Unknown),
}

/// A device's limits as its driver reports them (`struct ibv_device_attr`, `ibv_query_device(3)`): upper bounds that
/// all users of the device share, of which some are taken already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Queue pairs. An SMC-R link takes one on each side.
    pub max_qp: u32,
    /// Work requests outstanding on a queue pair's one queue.
    pub max_qp_wr: u32,
    /// Scatter/gather entries of a work request.
    pub max_sge: u32,
    /// Completion queues.
    pub max_cq: u32,
    /// Entries of a completion queue.
    pub max_cqe: u32,
    /// Memory regions. SMC-R takes one for each buffer of each link.
    pub max_mr: u32,
    /// Size of a memory region, in bytes.
    pub max_mr_size: u64,
    /// Protection domains. An SMC-R link takes one.
    pub max_pd: u32,
    /// Ports.
    pub ports: u8,
}

/// Why a device's limits are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// The devices cannot be listed: no RDMA in this kernel, or none visible here.
    NoRdma(Errno),
    /// libibverbs lists no device of this name: it leaves out those whose file in `/dev/infiniband` is not there, as in
    /// most containers, and those whose driver it has no provider for.
    NoSuchDevice,
    /// The device cannot be opened. EPERM and EACCES come from the device cgroup and the device file's mode.
    NoDeviceAccess(Errno),
    /// The opened device did not answer.
    NoAnswer(Errno),
}

impl fmt::Display for Unknown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRdma(errno) => write!(formatter, "RDMA devices cannot be listed ({errno})"),
            Self::NoSuchDevice => formatter.write_str(
                "libibverbs shows no such device: it needs the device's file in /dev/infiniband and a provider",
            ),
            Self::NoDeviceAccess(errno) => write!(formatter, "no device access ({errno})"),
            Self::NoAnswer(errno) => write!(formatter, "the device did not answer ({errno})"),
        }
    }
}

/// Asks the RDMA device of this name, such as `erdma_0`. The device is closed again before this returns.
///
/// Blocks for as long as the driver takes, usually well under a millisecond.
pub fn device_limits(device: &str) -> DeviceLimits {
    match query(device) {
        Ok(limits) => DeviceLimits::Known(limits),
        Err(reason) => DeviceLimits::Unknown(reason),
    }
}

fn query(name: &str) -> Result<Limits, Unknown> {
    let devices = DeviceList::new().map_err(Unknown::NoRdma)?;
    let device = devices
        .iter()
        .find(|device| device.name().is_some_and(|found| found.to_bytes() == name.as_bytes()))
        .ok_or(Unknown::NoSuchDevice)?;
    let opened = device.open().map_err(|errno| Unknown::NoDeviceAccess(refusal(name).unwrap_or(errno)))?;
    opened.query().map_err(Unknown::NoAnswer)
}

/// What the kernel says to opening the device's file. libibverbs tries other ways after it, and ends with the errno of
/// the last of them.
fn refusal(name: &str) -> Option<Errno> {
    let entries = fs::read_dir("/sys/class/infiniband_verbs").ok()?;
    let entry = entries.flatten().find(|entry| {
        fs::read_to_string(entry.path().join("ibdev")).is_ok_and(|device| device.trim_end() == name)
    })?;
    let file = Path::new("/dev/infiniband").join(entry.file_name());
    let error = OpenOptions::new().read(true).write(true).open(file).err()?;
    error.raw_os_error().map(Errno::from_raw)
}

#[cfg(test)]
mod tests;
