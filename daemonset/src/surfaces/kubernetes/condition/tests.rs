use super::*;

const ON: MeshSwitch = MeshSwitch { on: true, repair: true, why: Why::SmcEnabled };

#[test]
fn a_node_without_obstacles_and_with_the_mesh_on_is_ready() {
    for chain in [Chain::Unmanaged, Chain::Loaded, Chain::Unknown, Chain::Untold] {
        assert_eq!(condition(None, &chain, ON).reason, "Ready", "{chain:?}");
    }
}

#[test]
fn what_stays_longest_is_told_first() {
    let lost = Chain::NotLoaded { why: "the entry is gone".to_owned() };
    let off = MeshSwitch { on: false, repair: true, why: Why::CniDisabled };
    let switched_off = Reason::SwitchedOff { why: "the node was told".to_owned() };
    let reasons = [
        condition(Some(&Reason::NoRdmaDevice), &lost, off),
        condition(None, &lost, off),
        condition(None, &Chain::Loaded, off),
        condition(None, &Chain::Loaded, MeshSwitch::NOT_KNOWN_YET),
        condition(Some(&switched_off), &Chain::Loaded, MeshSwitch { why: Why::NoResource, ..off }),
    ];
    assert_eq!(
        reasons.each_ref().map(|c| c.reason),
        ["NoRdmaDevice", "PluginNotLoaded", "MeshOff", "MeshNotKnown", "MeshResourceMissing"]
    );
    assert!(reasons.iter().all(|c| !c.ready));
    assert!(reasons[0].message.contains("To do: attach"), "{}", reasons[0].message);
    assert!(reasons[1].message.contains("the entry is gone"));
    assert!(reasons[2].message.contains("enabled: false"));
    assert!(reasons[4].message.contains("SMC_AGENT_MESH=enabled"), "{}", reasons[4].message);
}

#[test]
fn the_transition_time_moves_only_with_the_status() {
    let first = Since::after(None, true, 100);
    assert_eq!(first, Since { ready: true, since: 100 });
    assert_eq!(Since::after(Some(first), true, 200), first);
    assert_eq!(Since::after(Some(first), false, 300), Since { ready: false, since: 300 });
}

#[test]
fn the_patch_holds_one_label_and_one_condition() {
    let patch = patch(&condition(None, &Chain::Loaded, ON), Since { ready: true, since: 60 }, 120);
    let expected = json!({
        "metadata": {"labels": {"smc.asm.alibabacloud.com/ready": "true"}},
        "status": {"conditions": [{
            "type": "SMCReady", "status": "True", "reason": "Ready",
            "message": "annotated pods of this node can use SMC-R",
            "lastHeartbeatTime": "1970-01-01T00:02:00Z", "lastTransitionTime": "1970-01-01T00:01:00Z",
        }]},
    });
    assert_eq!(patch, expected);
}
