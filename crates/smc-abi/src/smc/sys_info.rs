use super::unpadded;
use crate::genl::{dump, nest};
use crate::{DecodeError, Request};

const SMC_NETLINK_GET_SYS_INFO: u8 = 1;
const SMC_GEN_SYS_INFO: u16 = 1;

/// What this kernel's SMC can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysInfo {
    /// SMC version, 2 on all kernels that answer.
    pub version: u8,
    /// Release within the version: 1 is "v2.1".
    pub release: u8,
    /// Some device (the loopback device counts) can do SMC-D version 2.
    pub is_ism_v2_capable: bool,
    /// SMC-R version 2 is there (kernel 5.16).
    pub is_smcr_v2_capable: bool,
    /// The host name sent to peers, taken when the module was loaded.
    pub local_host: Option<String>,
    /// The system EID, on s390.
    pub system_eid: Option<String>,
}

/// Asks for the system information; one message answers.
pub fn sys_info(family: u16) -> Request {
    dump(family, SMC_NETLINK_GET_SYS_INFO)
}

/// Reads the answer to [`sys_info`].
pub fn parse_sys_info(body: &[u8]) -> Result<SysInfo, DecodeError> {
    let (mut version, mut release) = (None, 0);
    let (mut is_ism_v2_capable, mut is_smcr_v2_capable) = (false, false);
    let (mut local_host, mut system_eid) = (None, None);
    for attribute in nest(body, SMC_GEN_SYS_INFO, "SMC_GEN_SYS_INFO")? {
        let attribute = attribute?;
        match attribute.kind {
            1 => version = Some(attribute.u8("SMC_NLA_SYS_VER")?),
            2 => release = attribute.u8("SMC_NLA_SYS_REL")?,
            3 => is_ism_v2_capable = attribute.u8("SMC_NLA_SYS_IS_ISM_V2")? != 0,
            4 => local_host = unpadded(attribute, "SMC_NLA_SYS_LOCAL_HOST")?,
            5 => system_eid = unpadded(attribute, "SMC_NLA_SYS_SEID")?,
            6 => is_smcr_v2_capable = attribute.u8("SMC_NLA_SYS_IS_SMCR_V2")? != 0,
            _ => {}
        }
    }
    let version = version.ok_or(DecodeError::Missing { what: "SMC_NLA_SYS_VER" })?;
    Ok(SysInfo { version, release, is_ism_v2_capable, is_smcr_v2_capable, local_host, system_eid })
}
