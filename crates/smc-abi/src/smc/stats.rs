use crate::attribute::Attributes;
use crate::genl::{dump, nest};
use crate::{DecodeError, Request};

const SMC_NETLINK_GET_STATS: u8 = 7;
const SMC_GEN_STATS: u16 = 7;

/// SMC's counters of one network namespace, since the namespace or the module came to be. They include no
/// fallbacks: see [`super::FallbackStats`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// SMC-R.
    pub smcr: TechStats,
    /// SMC-D.
    pub smcd: TechStats,
    /// Client handshakes that ended in an error, without even TCP.
    pub client_handshake_errors: u64,
    /// Server handshakes that ended in an error, without even TCP.
    pub server_handshake_errors: u64,
}

/// Counters of SMC-R or SMC-D (`SMC_NLA_STATS_T_*`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TechStats {
    /// Successful client handshakes, SMC version 1.
    pub client_v1: u64,
    /// Successful client handshakes, SMC version 2.
    pub client_v2: u64,
    /// Successful server handshakes, SMC version 1.
    pub server_v1: u64,
    /// Successful server handshakes, SMC version 2.
    pub server_v2: u64,
    /// Payload bytes received.
    pub rx_bytes: u64,
    /// Payload bytes sent.
    pub tx_bytes: u64,
    /// Receive calls.
    pub rx_calls: u64,
    /// Send calls.
    pub tx_calls: u64,
    /// Splice calls.
    pub splice_calls: u64,
    /// Times TCP_CORK was set.
    pub cork_calls: u64,
    /// Times TCP_NODELAY was set on a connected socket.
    pub nodelay_calls: u64,
    /// Urgent bytes.
    pub urgent_data: u64,
    /// Receive calls by length.
    pub rx_call_sizes: SizeClasses,
    /// Send calls by length.
    pub tx_call_sizes: SizeClasses,
    /// Receive buffers by size.
    pub rx_buffer_sizes: SizeClasses,
    /// Send buffers by size.
    pub tx_buffer_sizes: SizeClasses,
    /// What happened to receive buffers.
    pub rx_buffers: BufferStats,
    /// What happened to send buffers.
    pub tx_buffers: BufferStats,
    /// Bytes of receive buffers in use (kernel 6.12).
    pub rx_buffer_bytes: Option<u64>,
    /// Bytes of send buffers in use (kernel 6.12).
    pub tx_buffer_bytes: Option<u64>,
}

/// Counts by size: up to 8, 16, 32, 64, 128, 256, 512, 1024 KiB, and above (`SMC_NLA_STATS_PLOAD_*`).
pub type SizeClasses = [u64; 9];

/// Counters of buffers of one direction (`SMC_NLA_STATS_RMB_*`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BufferStats {
    /// The peer's buffer was too small for a send.
    pub peer_too_small: u64,
    /// The own buffer was too small for a send.
    pub too_small: u64,
    /// The peer's buffer was full.
    pub peer_full: u64,
    /// The own buffer was full.
    pub full: u64,
    /// Buffers used again.
    pub reused: u64,
    /// Buffers allocated.
    pub allocated: u64,
    /// Buffers smaller than wanted.
    pub downgraded: u64,
}

/// Asks for the counters of the socket's namespace; one message answers.
pub fn stats(family: u16) -> Request {
    dump(family, SMC_NETLINK_GET_STATS)
}

/// Reads the answer to [`stats`].
pub fn parse_stats(body: &[u8]) -> Result<Stats, DecodeError> {
    let mut stats = Stats::default();
    for attribute in nest(body, SMC_GEN_STATS, "SMC_GEN_STATS")? {
        let attribute = attribute?;
        match attribute.kind {
            1 => stats.smcd = tech(attribute.nested())?,
            2 => stats.smcr = tech(attribute.nested())?,
            3 => stats.client_handshake_errors = attribute.u64("SMC_NLA_STATS_CLNT_HS_ERR_CNT")?,
            4 => stats.server_handshake_errors = attribute.u64("SMC_NLA_STATS_SRV_HS_ERR_CNT")?,
            _ => {}
        }
    }
    Ok(stats)
}

fn tech(attributes: Attributes<'_>) -> Result<TechStats, DecodeError> {
    let mut stats = TechStats::default();
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            1 => stats.tx_buffer_sizes = sizes(attribute.nested())?,
            2 => stats.rx_buffer_sizes = sizes(attribute.nested())?,
            3 => stats.tx_call_sizes = sizes(attribute.nested())?,
            4 => stats.rx_call_sizes = sizes(attribute.nested())?,
            5 => stats.tx_buffers = buffers(attribute.nested())?,
            6 => stats.rx_buffers = buffers(attribute.nested())?,
            7 => stats.client_v1 = attribute.u64("SMC_NLA_STATS_T_CLNT_V1_SUCC")?,
            8 => stats.client_v2 = attribute.u64("SMC_NLA_STATS_T_CLNT_V2_SUCC")?,
            9 => stats.server_v1 = attribute.u64("SMC_NLA_STATS_T_SRV_V1_SUCC")?,
            10 => stats.server_v2 = attribute.u64("SMC_NLA_STATS_T_SRV_V2_SUCC")?,
            12 => stats.splice_calls = attribute.u64("SMC_NLA_STATS_T_SPLICE_CNT")?,
            13 => stats.cork_calls = attribute.u64("SMC_NLA_STATS_T_CORK_CNT")?,
            14 => stats.nodelay_calls = attribute.u64("SMC_NLA_STATS_T_NDLY_CNT")?,
            15 => stats.urgent_data = attribute.u64("SMC_NLA_STATS_T_URG_DATA_CNT")?,
            16 => stats.rx_bytes = attribute.u64("SMC_NLA_STATS_T_RX_BYTES")?,
            17 => stats.tx_bytes = attribute.u64("SMC_NLA_STATS_T_TX_BYTES")?,
            18 => stats.rx_calls = attribute.u64("SMC_NLA_STATS_T_RX_CNT")?,
            19 => stats.tx_calls = attribute.u64("SMC_NLA_STATS_T_TX_CNT")?,
            20 => stats.rx_buffer_bytes = Some(attribute.uint("SMC_NLA_STATS_T_RX_RMB_USAGE")?),
            21 => stats.tx_buffer_bytes = Some(attribute.uint("SMC_NLA_STATS_T_TX_RMB_USAGE")?),
            _ => {}
        }
    }
    Ok(stats)
}

fn sizes(attributes: Attributes<'_>) -> Result<SizeClasses, DecodeError> {
    let mut classes = SizeClasses::default();
    for attribute in attributes {
        let attribute = attribute?;
        // Type 0 is padding, so class n has type n + 1.
        let class = usize::from(attribute.kind).checked_sub(1).and_then(|class| classes.get_mut(class));
        if let Some(class) = class {
            *class = attribute.u64("SMC_NLA_STATS_PLOAD")?;
        }
    }
    Ok(classes)
}

fn buffers(attributes: Attributes<'_>) -> Result<BufferStats, DecodeError> {
    let mut stats = BufferStats::default();
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            1 => stats.peer_too_small = attribute.u64("SMC_NLA_STATS_RMB_SIZE_SM_PEER_CNT")?,
            2 => stats.too_small = attribute.u64("SMC_NLA_STATS_RMB_SIZE_SM_CNT")?,
            3 => stats.peer_full = attribute.u64("SMC_NLA_STATS_RMB_FULL_PEER_CNT")?,
            4 => stats.full = attribute.u64("SMC_NLA_STATS_RMB_FULL_CNT")?,
            5 => stats.reused = attribute.u64("SMC_NLA_STATS_RMB_REUSE_CNT")?,
            6 => stats.allocated = attribute.u64("SMC_NLA_STATS_RMB_ALLOC_CNT")?,
            7 => stats.downgraded = attribute.u64("SMC_NLA_STATS_RMB_DGRADE_CNT")?,
            _ => {}
        }
    }
    Ok(stats)
}
