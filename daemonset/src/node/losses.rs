//! What the node lost between two looks: taken away by somebody, and made again by the later look.

use smc_model::{Anchor, Conversion, Guard, NodeFacts, Reason};

/// What was put back that the earlier look had found or left in place; `restored` is what the later one made. What comes
/// for the first time, such as the PNETID of a port that was plugged in, was not lost.
pub fn losses(before: &NodeFacts, now: &NodeFacts, restored: Vec<Reason>) -> Vec<Reason> {
    let was_there = |reason: &Reason| match reason {
        Reason::NoUeid => !before.ueids.is_empty(),
        Reason::PnetidMissing { port } => {
            before.ports.iter().any(|known| known.pnetid.is_some() && known.to_string() == *port)
        }
        Reason::NoConversion { .. } => !matches!(before.conversion, Conversion::None { .. }),
        Reason::SameNodeGuardMissing { .. } => before.guard == Guard::Ready,
        Reason::PeerFilterMissing { .. } => before.guard_pins.is_some(),
        Reason::SourceAnchorMissing { .. } => matches!(before.anchor, Anchor::Ready { .. }),
        _ => false,
    };
    let mut lost: Vec<Reason> = restored.into_iter().filter(was_there).collect();
    // A link that was made anew has another index.
    if let (Anchor::Ready { index: then }, Anchor::Ready { index }) = (&before.anchor, &now.anchor)
        && then != index
    {
        lost.push(Reason::SourceAnchorMissing { why: "the link kubesmc0 was removed".to_owned() });
    }
    lost
}

/// Ports to which somebody else gave another PNETID. Those in `restored` have theirs from the agent.
pub fn renamed_ports(before: &NodeFacts, now: &NodeFacts, restored: &[Reason]) -> Vec<Reason> {
    let mut renamed = Vec::new();
    for now in &now.ports {
        let port = now.to_string();
        let by_us = |reason: &Reason| matches!(reason, Reason::PnetidMissing { port: ours } if *ours == port);
        let then = before.ports.iter().find(|then| then.device == now.device && then.port == now.port);
        let (Some(had), Some(pnetid)) = (then.and_then(|then| then.pnetid.clone()), now.pnetid.clone())
        else {
            continue;
        };
        if had != pnetid && !restored.iter().any(by_us) {
            renamed.push(Reason::ForeignPnetid { port, pnetid, had });
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use smc_model::RdmaPort;

    use super::*;
    use crate::testing::test_values;

    fn port(device: &str, pnetid: Option<&str>) -> RdmaPort {
        let pnetid = pnetid.map(|id| id.parse().unwrap());
        RdmaPort { device: device.into(), port: 1, active: true, pnetid, netdev: None, pods: 0 }
    }

    fn facts() -> NodeFacts {
        test_values::node(vec![port("rxe0", Some("A"))])
    }

    fn all() -> Vec<Reason> {
        let text = String::new;
        vec![
            Reason::NoUeid,
            Reason::PnetidMissing { port: "rxe0/1".into() },
            Reason::NoConversion { kernel: text(), why: text() },
            Reason::SameNodeGuardMissing { why: text() },
            Reason::SourceAnchorMissing { why: text() },
        ]
    }

    #[test]
    fn what_was_in_place_and_had_to_be_made_again_was_lost() {
        assert_eq!(losses(&facts(), &facts(), all()), all());
        let anew = NodeFacts { anchor: Anchor::Ready { index: 9 }, ..facts() };
        let names: Vec<_> = losses(&facts(), &anew, Vec::new()).iter().map(Reason::name).collect();
        assert_eq!(names, ["SourceAnchorMissing"]);
    }

    #[test]
    fn what_is_made_for_the_first_time_was_not_lost() {
        let why = String::new();
        let bare = NodeFacts {
            ueids: Vec::new(),
            ports: vec![port("rxe0", None)],
            conversion: Conversion::None { why: why.clone() },
            guard: Guard::Missing { why: why.clone() },
            anchor: Anchor::Missing { why },
            ..facts()
        };
        assert_eq!(losses(&bare, &facts(), all()), []);
        let plugged_in = Reason::PnetidMissing { port: "rxe1/1".into() };
        assert_eq!(losses(&facts(), &facts(), vec![plugged_in]), []);
    }

    #[test]
    fn a_port_that_somebody_else_named_anew_is_told() {
        let other = NodeFacts { ports: vec![port("rxe0", Some("B"))], ..facts() };
        let [pnetid, had] = ["B", "A"].map(|id| id.parse().unwrap());
        let foreign = Reason::ForeignPnetid { port: "rxe0/1".into(), pnetid, had };
        assert_eq!(renamed_ports(&facts(), &other, &[]), [foreign]);
        let put_back = Reason::PnetidMissing { port: "rxe0/1".into() };
        assert_eq!(renamed_ports(&facts(), &other, &[put_back]), []);
        let gone = NodeFacts { ports: vec![port("rxe0", None)], ..facts() };
        assert_eq!(renamed_ports(&facts(), &gone, &[]), []);
        assert_eq!(renamed_ports(&gone, &facts(), &[]), []);
    }
}
