use super::Role;
use crate::genl::{dump, nest};
use crate::{DecodeError, Request};

const SMC_NETLINK_GET_FBACK_STATS: u8 = 8;
const SMC_GEN_FBACK_STATS: u16 = 8;

/// How often one side's connections of this namespace became TCP for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackStats {
    /// The side of the connections counted here.
    pub role: Role,
    /// All server fallbacks; in the first message only.
    pub total_server: Option<u64>,
    /// All client fallbacks; in the first message only.
    pub total_client: Option<u64>,
    /// Reason code, see [`crate::fallback`].
    pub reason: u32,
    /// Fallbacks for that reason, modulo 65,536.
    pub count: u16,
}

/// Asks for the fallback counters, one message per role and reason; none when nothing fell back. At most
/// 36 reasons per role are kept.
pub fn fallback_stats(family: u16) -> Request {
    dump(family, SMC_NETLINK_GET_FBACK_STATS)
}

/// Reads one message of the answer to [`fallback_stats`].
pub fn parse_fallback_stats(body: &[u8]) -> Result<FallbackStats, DecodeError> {
    let (mut role, mut reason, mut count) = (None, None, 0);
    let (mut total_server, mut total_client) = (None, None);
    for attribute in nest(body, SMC_GEN_FBACK_STATS, "SMC_GEN_FBACK_STATS")? {
        let attribute = attribute?;
        match attribute.kind {
            1 => {
                let what = "SMC_NLA_FBACK_STATS_TYPE";
                role = Some(Role::from_number(attribute.u8(what)?, what)?);
            }
            2 => total_server = Some(attribute.u64("SMC_NLA_FBACK_STATS_SRV_CNT")?),
            3 => total_client = Some(attribute.u64("SMC_NLA_FBACK_STATS_CLNT_CNT")?),
            4 => reason = Some(attribute.u32("SMC_NLA_FBACK_STATS_RSN_CODE")?),
            5 => count = attribute.u16("SMC_NLA_FBACK_STATS_RSN_CNT")?,
            _ => {}
        }
    }
    Ok(FallbackStats {
        role: role.ok_or(DecodeError::Missing { what: "SMC_NLA_FBACK_STATS_TYPE" })?,
        total_server,
        total_client,
        reason: reason.ok_or(DecodeError::Missing { what: "SMC_NLA_FBACK_STATS_RSN_CODE" })?,
        count,
    })
}
