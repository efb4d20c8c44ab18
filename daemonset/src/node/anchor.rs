//! The link that carries the source anchors ([`smc_host::anchor`] says what for). It stays down, so nothing is ever sent by it.

use std::net::Ipv4Addr;

use rtnetlink::packet_route::route::{RouteScope, RouteType};
use rtnetlink::{Handle, LinkDummy, RouteMessageBuilder};
use smc_host::anchor::{LINK, delete_address, link_index, unhold};
use smc_host::netlink::{Connection, Protocol};
use smc_host::{HostError, route};

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
    #[error("the link {LINK} was made, but is not there")]
    NotReadBack,
    /// What is on it, or held for it, cannot be released.
    #[error("the link {LINK} cannot be emptied")]
    Release(#[source] HostError),
}

/// Makes the anchor link, down; and has the kernel check the sources of packets by routes instead of its shortcut, which would
/// call packets from anchored pods martian.
///
/// The shortcut is taken while a namespace has never had a custom rule or local route (net/ipv4/fib_frontend.c,
/// `fib_validate_source`); adding one and taking it away again ends that until the next boot.
pub async fn make() -> Result<(), AnchorError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(AnchorError::Connect)?;
    let driver = tokio::spawn(connection);
    let made = make_by(&handle).await;
    driver.abort();
    made?;
    link_index().map(drop).ok_or(AnchorError::NotReadBack)
}

/// Removes the anchor link with every address on it, and every route that holds a pod's packets, also of pods that no record tells
/// of; returns whether the link was there.
pub async fn remove() -> Result<bool, AnchorError> {
    let index = link_index();
    release_all(index).map_err(AnchorError::Release)?;
    let Some(index) = index else { return Ok(false) };
    let (connection, handle, _) = rtnetlink::new_connection().map_err(AnchorError::Connect)?;
    let driver = tokio::spawn(connection);
    let removed = handle.link().del(index).execute().await;
    driver.abort();
    let refused = |source| AnchorError::Refused { attempt: "remove the dummy link kubesmc0", source };
    removed.map(|()| true).map_err(refused)
}

/// First the addresses, so that the host never takes a held one for its own.
fn release_all(link: Option<u32>) -> Result<(), HostError> {
    let mut host = Connection::open(Protocol::Route)?;
    let addresses = route::addresses(&mut host)?;
    for (on, net) in addresses.into_iter().filter(|(on, _)| link == Some(*on)) {
        delete_address(&mut host, net.address(), on)?;
    }
    for route in route::host_routes(&mut host)?.into_iter().filter(|route| route.held) {
        unhold(&mut host, route.address, Some(route.interface))?;
    }
    Ok(())
}

async fn make_by(handle: &Handle) -> Result<(), AnchorError> {
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
        .add(LinkDummy::new(LINK).build())
        .execute()
        .await
        .map_err(refused("make the dummy link kubesmc0"))
}
