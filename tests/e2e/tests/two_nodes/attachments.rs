//! One pod's set-up and its end: records, and what is in the kernel.

use std::time::Duration;

use e2e::{Kernel, client, eventually, plugin, shell, start, two_nodes};
use rig::host::{Conversion, PodSpec};
use smc_model::{ANNOTATION, Note, Owned};
use smc_state::{AttachmentId, Record};

fn annotated(name: &str) -> PodSpec {
    client(name).annotate(ANNOTATION, "true")
}

#[test]
fn the_same_add_twice_changes_nothing_and_says_the_same() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(1);
    let node = cluster.node(1);
    let pod = start(&node, &annotated("twice"));
    pod.configured();
    let (record, netns) = (pod.record_bytes(), pod.netns_path());
    let kernel = Kernel(&node).snapshot(&[&netns]);

    let output = plugin::add(&pod);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result, plugin::previous_result(&pod));
    assert_eq!(pod.record_bytes(), record);
    assert_eq!(Kernel(&node).snapshot(&[&netns]), kernel);
}

#[test]
fn a_removed_pod_leaves_nothing_in_the_kernel_and_its_record_is_swept() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(2);
    let node = cluster.node(2);
    let mut pod = start(&node, &annotated("removed"));
    let Record { owned, netns, .. } = pod.configured();
    let netns = netns.display().to_string();
    let inode = pod.netns_inode();
    // Anchor, what holds its route, guard and conversion; where the sysctl converts there is no anchor, and it goes with the namespace.
    let expected = if cluster.conversion() == Conversion::Sysctl { 1 } else { 4 };
    assert_eq!(Kernel(&node).holds(&owned).len(), expected, "{owned:?}");
    assert_ne!(Kernel(&node).keepers(&inode), "");

    pod.remove();
    assert_eq!(Kernel(&node).holds(&owned), [""; 0]);
    eventually(Duration::from_secs(15), || {
        pod.record_bytes().map_or(Ok(()), |bytes| Err(format!("{bytes:?}")))
    });
    // Another test's pod may have been given the number of a namespace that is gone; then it has a path of its own.
    let kept = Kernel(&node).keepers(&inode);
    let given_again = kept.contains("/run/netns/") && !kept.contains(&netns);
    assert!(kept.is_empty() || given_again, "{netns}: {kept}");
}

#[test]
fn an_address_that_two_records_own_stays_until_both_are_gone() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(1);
    let node = cluster.node(1);
    let mut pod = start(&node, &annotated("shared"));
    let mut other = pod.configured();
    // As when the address was given again before the first pod's DEL came: another namespace, the same address.
    let container = format!("c0ffee{}", &pod.sandbox_id[6..]);
    other.attachment = AttachmentId::new(&container, "eth0").unwrap();
    other.owned.converted = None;
    let path = pod.record_path().with_file_name(format!("{}.json", other.attachment));
    let path = path.display().to_string();
    node.command(&["tee", &path]).stdin(serde_json::to_vec(&other).unwrap()).check().unwrap();
    let address = Owned { converted: None, ..other.owned.clone() };
    assert_eq!(Kernel(&node).holds(&address).len(), 3, "{address:?}");

    // The route that holds goes with the pod's interface.
    pod.remove();
    assert_eq!(Kernel(&node).holds(&address).len(), 2, "the address is the other record's, too");
    plugin::del(&node, &container);
    assert_eq!(Kernel(&node).holds(&address), [""; 0]);
    eventually(Duration::from_secs(15), || {
        let left = shell(&node, r#"ls "$1" 2>/dev/null || :"#, &[&path]);
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
}

#[test]
fn a_pnetid_that_no_rdma_port_bears_is_replaced_and_noted() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(2);
    let node = cluster.node(2);
    let pod = start(&node, &client("stale"));
    let netns = pod.netns_path();
    Kernel(&node).set_pnetid(&netns, "eth0", "STALE");
    assert_eq!(Kernel(&node).pnet_table(&netns), "netdev eth0 STALE");

    plugin::add(&pod);
    let record = pod.configured();
    let stale = Note::StalePnetidReplaced { interface: "eth0".to_owned(), stale: "STALE".parse().unwrap() };
    assert_eq!(record.plan.notes, [stale]);
    let pnetid = &record.plan.bindings[0].pnetid;
    assert_eq!(Kernel(&node).pnet_table(&netns), format!("netdev eth0 {pnetid}"));
    assert!(Kernel(&node).pnet_table("/proc/1/ns/net").contains(&format!("port rxe0/1 {pnetid}")));
}

#[test]
fn wrong_published_numbers_of_smcs_families_are_looked_up_again() {
    const NODE_FILE: &str = "/run/kube-smc/node.json";
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(1);
    let node = cluster.node(1);
    let pod = start(&node, &client("numbers"));
    let published = shell(&node, r#"cat "$1""#, &[NODE_FILE]);
    let mut wrong: serde_json::Value = serde_json::from_str(&published).unwrap();
    let module = &mut wrong["facts"]["smc_module"];
    assert!(module["inode"].is_u64(), "the agent published no numbers: {published}");
    // Numbers that no family ever gets (GENL_MAX_ID is 1023).
    module["pnetid"] = 2000.into();
    module["smc"] = 2001.into();
    let write = |text: &str| node.command(&["tee", NODE_FILE]).stdin(text).check().unwrap();

    write(&wrong.to_string());
    plugin::add(&pod);
    write(&published);
    pod.configured();
}
