use std::collections::BTreeSet;
use std::path::Path;

use smc_model::Inbound;

use super::*;
use crate::node::test_nodes::{asked, bare, prepared, ueids};

fn said(seen: &Observed) -> String {
    let ueids = ueids();
    let asked = asked(&ueids);
    let facts = facts(seen, &asked, &Inbound::Any, Path::new("/pins"), &Failures::default());
    words(seen, &plan(seen, &asked, &BTreeSet::new()), &facts)
}

#[test]
fn what_would_be_done_is_told_in_order_with_what_stands_in_the_way() {
    let bare = said(&bare());
    assert!(bare.contains("would   1 load the kernel module smc\n"), "{bare}");
    assert!(bare.contains("More steps may follow once these are done"), "{bare}");
    assert!(bare.contains("stay on TCP as the node is now: SmcNotAvailable"), "{bare}");
    let mut nameless = prepared();
    let smc = nameless.rest.as_mut().unwrap().smc.as_mut().unwrap();
    let port = &mut smc.ports.as_mut().unwrap()[0].facts;
    (port.pnetid, port.netdev) = (None, None);
    let nameless = said(&nameless);
    assert!(nameless.contains("problem   RDMA port rxe0/1 has no network device"), "{nameless}");
    assert!(nameless.contains("do nothing: it cannot help what is wrong here"), "{nameless}");
}

#[test]
fn a_node_that_lacks_nothing_is_told_so() {
    let said = said(&prepared());
    assert!(said.contains("would     do nothing: all is in place\n"), "{said}");
    assert!(said.contains("pods      can use SMC-R as the node is now\n"), "{said}");
}
