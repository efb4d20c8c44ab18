use super::*;
use crate::recorded::{alibaba, golden_outcome, rig};

#[test]
fn pods_times_peers_take_a_link_group_each_and_more_with_many_connections() {
    let question = |pods, peers, connections| Some(Question { pods, peers, connections });
    let plan = reckon(&rig(), question(30, 8, 1)).plan.unwrap();
    assert_eq!((plan.link_groups, plan.queue_pairs, plan.fits), (240, 240, None));
    assert_eq!(reckon(&rig(), question(1, 1, 255)).plan.unwrap().link_groups, 1);
    assert_eq!(reckon(&rig(), question(1, 1, 256)).plan.unwrap().link_groups, 2);
    let plan = reckon(&alibaba(), question(100, 50, 33)).plan.unwrap();
    assert_eq!((plan.link_groups, plan.fits), (10_000, Some(false)), "32 connections each, and 4096 in all");
}

#[test]
fn what_is_left_of_a_known_limit_is_told_and_an_unknown_one_is_said_to_be_unknown() {
    let device = &reckon(&alibaba(), None).devices[0];
    let left = device.queue_pairs_max.unwrap() - device.queue_pairs;
    assert_eq!((device.more_peers, device.more_connections), (Some(left), Some(left * 32)));
    let outcome = capacity(&rig(), None, Paint::PLAIN).unwrap();
    assert!(outcome.text.contains("only the device tells"), "{}", outcome.text);
    assert_eq!(outcome.status, Status::Fine);
}

#[test]
fn a_node_with_a_known_limit_is_told_as_committed() {
    let question = Some(Question { pods: 30, peers: 8, connections: 1 });
    golden_outcome("capacity-alibaba", &capacity(&alibaba(), question, Paint::PLAIN).unwrap());
}

#[test]
fn two_ports_of_one_pnetid_take_two_queue_pairs_for_each_link_group() {
    let mut facts = rig();
    let mut second = facts.ports.as_ref().unwrap()[0].clone();
    second.device = "rxe1".to_owned();
    facts.ports.as_mut().unwrap().push(second);
    let question = Some(Question { pods: 2, peers: 3, connections: 1 });
    let capacity = reckon(&facts, question);
    assert_eq!((capacity.links_per_link_group, capacity.plan.unwrap().queue_pairs), (2, 12));
}
