//! The link that carries the source anchors.
//!
//! On mainline kernels a server finds its RDMA device only when the host has a route *from* the pod's address
//! (net/smc/smc_ib.c, `smc_ib_find_route`). Pods' addresses therefore stand on a dummy link of the host; it stays
//! down, so nothing is ever sent by it.

use std::net::Ipv4Addr;

use rtnetlink::packet_route::route::{RouteScope, RouteType};
use rtnetlink::{Handle, LinkDummy, RouteMessageBuilder};
use smc_host::route::{ANCHOR_LINK, anchor_link};

/// An address of TEST-NET-1 (RFC 5737): nobody's.
const NOBODYS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// `RT_TABLE_LOCAL`.
const TABLE_LOCAL: u32 = 255;
/// Index of the loopback device, the first of every namespace.
const LOOPBACK: u32 = 1;

/// Why the anchor link could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// No connection to the kernel.
    #[error("cannot open an rtnetlink connection")]
    Connect(#[source] std::io::Error),
    /// The kernel refused.
    #[error("cannot {attempt}")]
    Refused {
        /// What was attempted.
        attempt: &'static str,
        /// What the kernel answered.
        source: rtnetlink::Error,
    },
    /// It was made, and is not there.
    #[error("the link {ANCHOR_LINK} was made, but is not there")]
    NotReadBack,
}

/// Makes sure that the anchor link is there and returns its index; also that the kernel checks the sources of packets
/// by routes instead of its shortcut, which would call packets from anchored pods martian.
///
/// The shortcut is taken while a namespace has never had a custom rule or local route (net/ipv4/fib_frontend.c,
/// `fib_validate_source`); adding one and taking it away again ends that until the next boot.
pub async fn ensure() -> Result<u32, AnchorError> {
    if let Some(index) = anchor_link() {
        return Ok(index);
    }
    let (connection, handle, _) = rtnetlink::new_connection().map_err(AnchorError::Connect)?;
    let driver = tokio::spawn(connection);
    let made = make(&handle).await;
    driver.abort();
    made?;
    anchor_link().ok_or(AnchorError::NotReadBack)
}

/// Removes the anchor link, and with it every address on it; returns whether it was there.
pub async fn remove() -> Result<bool, AnchorError> {
    let Some(index) = anchor_link() else { return Ok(false) };
    let (connection, handle, _) = rtnetlink::new_connection().map_err(AnchorError::Connect)?;
    let driver = tokio::spawn(connection);
    let removed = handle.link().del(index).execute().await;
    driver.abort();
    let refused = |source| AnchorError::Refused { attempt: "remove the dummy link kubesmc0", source };
    removed.map(|()| true).map_err(refused)
}

async fn make(handle: &Handle) -> Result<(), AnchorError> {
    let refused = |attempt| move |source| AnchorError::Refused { attempt, source };
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(NOBODYS, 32)
        .output_interface(LOOPBACK)
        .table_id(TABLE_LOCAL)
        .kind(RouteType::Local)
        .scope(RouteScope::Host)
        .build();
    handle
        .route()
        .add(route.clone())
        .replace()
        .execute()
        .await
        .map_err(refused("add a local route, so that packets' sources are checked by routes"))?;
    handle.route().del(route).execute().await.map_err(refused("remove that local route again"))?;
    handle
        .link()
        .add(LinkDummy::new(ANCHOR_LINK).build())
        .execute()
        .await
        .map_err(refused("make the dummy link kubesmc0"))
}
