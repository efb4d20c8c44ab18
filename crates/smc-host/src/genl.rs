//! Generic netlink families.

use smc_abi::genl;
use smc_model::SmcModule;

use crate::HostError;
use crate::netlink::Connection;

/// The number of the family called `name`; `None` where the kernel has none.
///
/// The kernel tries to load a module for a family that is not there (net/netlink/genetlink.c, `ctrl_getfamily`), so
/// whoever must not load anything looks at [`crate::kernel::module_is_loaded`] first.
pub fn family(generic: &mut Connection, name: &str) -> Result<Option<u16>, HostError> {
    let attempt = format_args!("look up the generic netlink family {name}");
    match generic.request(&attempt, &genl::family(name).without_ack()) {
        Ok(answers) => answers
            .first()
            .map(|answer| genl::parse_family(&answer.body).map(|family| family.id))
            .transpose()
            .map_err(HostError::at(attempt)),
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The numbers of SMC's two families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmcFamilies {
    /// `SMC_PNETID`.
    pub pnetid: u16,
    /// `SMC_GEN_NETLINK`.
    pub smc: u16,
}

impl From<SmcModule> for SmcFamilies {
    fn from(SmcModule { inode: _, pnetid, smc }: SmcModule) -> Self {
        Self { pnetid, smc }
    }
}

impl SmcFamilies {
    /// Looks both up; `None` where the kernel has no SMC. May load the smc module.
    pub fn find(generic: &mut Connection) -> Result<Option<Self>, HostError> {
        let pnetid = family(generic, smc_abi::pnetid::FAMILY)?;
        let smc = family(generic, smc_abi::smc::FAMILY)?;
        Ok(pnetid.zip(smc).map(|(pnetid, smc)| Self { pnetid, smc }))
    }
}
