use std::os::unix::fs::symlink;

use super::*;
use crate::testing::test_values::board;

const ON: MeshSwitch = MeshSwitch { on: true, repair: true, why: crate::mesh::Why::Fixed };

fn parse(texts: &[(&str, &str)]) -> Result<Settings, String> {
    let texts = texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Settings::parse(&texts).map_err(|error| error.to_string())
}

/// As kubelet does it: a directory of its own for each version, and a link that is replaced.
fn mount(directory: &Path, version: &str, texts: &[(&str, &str)]) {
    let data = directory.join(format!("..{version}"));
    fs::create_dir(&data).unwrap();
    for (name, text) in texts {
        fs::write(data.join(name), text).unwrap();
        let _ = symlink(Path::new(DATA).join(name), directory.join(name));
    }
    symlink(format!("..{version}"), directory.join("..data_tmp")).unwrap();
    fs::rename(directory.join("..data_tmp"), directory.join(DATA)).unwrap();
}

#[test]
fn settings_are_read_as_a_whole_and_what_is_wrong_is_named() {
    assert_eq!(parse(&[]).unwrap(), Settings::default());
    assert_eq!(parse(&[("inbound-peers", "\n"), ("known-defects", "tell\n")]).unwrap(), Settings::default());
    let set = parse(&[("inbound-peers", "10.0.0.0/8\nfd00::/8\n"), ("known-defects", "refuse")]).unwrap();
    assert_eq!(set.inbound_peers.unwrap().to_string(), "10.0.0.0/8, fd00::/8");
    assert!(set.refuse_defects);
    for (texts, said) in [
        (&[("inbound-peer", "10.0.0.0/8")][..], "no setting \"inbound-peer\""),
        (&[("inbound-peers", "10.0.0.5/8")], "10.0.0.0/8"),
        (&[("inbound-peers", "# later")], "names no range"),
        (&[("inbound-peers", "10.0.0.0/8"), ("known-defects", "yes")], "neither `tell` nor `refuse`"),
    ] {
        let error = parse(texts).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn nothing_is_set_as_shipped_and_every_setting_is_explained() {
    let text = include_str!("../../manifests/base/settings.yaml");
    let shipped: serde_json::Value = serde_saphyr::from_str(text).unwrap();
    assert!(shipped.get("data").is_none(), "applying it again would take away what somebody set");
    for name in [INBOUND_PEERS, KNOWN_DEFECTS] {
        assert!(text.contains(&format!("# {name} ")), "{name}");
    }
}

#[test]
fn a_mounted_config_map_is_read_and_what_cannot_be_used_leaves_what_was_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let board = board();
    let mut watch = SettingsWatch::new(dir.path().join("settings"), None);
    assert!(watch.look(&board), "no directory sets nothing");
    assert_eq!(watch.wishes(ON).inbound, Some(Inbound::Any));
    let directory = dir.path().join("settings");
    fs::create_dir(&directory).unwrap();
    mount(&directory, "1", &[("inbound-peers", "10.0.0.0/8")]);
    assert!(watch.look(&board) && !watch.look(&board));
    let only = watch.wishes(ON).inbound;
    assert!(matches!(&only, Some(Inbound::Only(ranges)) if ranges.to_string() == "10.0.0.0/8"), "{only:?}");
    mount(&directory, "2", &[("inbound-peers", "10.0.0.0/88")]);
    assert!(!watch.look(&board));
    assert_eq!(watch.wishes(ON).inbound, only);
    let problems =
        || board.read(|view| view.problems.iter().map(|(_, said)| said.to_owned()).collect::<Vec<_>>());
    assert!(problems().iter().any(|problem| problem.contains("10.0.0.0/88")), "{:?}", problems());
    mount(&directory, "3", &[]);
    assert!(watch.look(&board));
    assert_eq!(watch.wishes(ON).inbound, Some(Inbound::Any));
    assert_eq!(problems(), [""; 0]);
}

#[test]
fn without_any_good_settings_nobody_is_let_in_and_those_of_an_agent_before_count() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("inbound-peers"), "nonsense").unwrap();
    let mut watch = SettingsWatch::new(dir.path().to_owned(), None);
    assert!(!watch.look(&board()));
    assert!(matches!(watch.wishes(ON).inbound, Some(Inbound::Nobody { .. })));
    let ranges = "10.0.0.0/8".parse().unwrap();
    let before =
        NodeFacts { inbound: Inbound::Only(ranges), ..crate::testing::test_values::node(Vec::new()) };
    let mut watch = SettingsWatch::new(dir.path().to_owned(), Some(&before));
    assert!(!watch.look(&board()));
    assert_eq!(watch.wishes(ON).inbound, Some(before.inbound));
    // Everybody may by facts of an agent that knew no settings, too.
    let before = crate::testing::test_values::node(Vec::new());
    let mut watch = SettingsWatch::new(dir.path().to_owned(), Some(&before));
    assert!(!watch.look(&board()));
    let wishes = watch.wishes(ON);
    assert!(matches!(wishes.inbound, Some(Inbound::Nobody { .. })) && wishes.refuse_defects);
}

#[test]
fn while_the_feature_is_off_nobody_is_let_in_and_while_that_is_not_known_all_stays_as_it_is() {
    let set = Settings { inbound_peers: "10.0.0.0/8".parse().ok(), refuse_defects: false };
    let off = MeshSwitch { on: false, ..ON };
    assert!(matches!(wishes(Some(&set), off).inbound, Some(Inbound::Nobody { .. })));
    assert_eq!(wishes(Some(&set), MeshSwitch::NOT_KNOWN_YET).inbound, None);
    assert!(matches!(wishes(Some(&set), ON).inbound, Some(Inbound::Only(_))));
}

#[tokio::test]
async fn a_change_of_the_mounted_config_map_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    mount(dir.path(), "1", &[("inbound-peers", "10.0.0.0/8")]);
    let board = board();
    let mut watch = SettingsWatch::new(dir.path().to_owned(), None);
    watch.look(&board);
    watch.changed().await;
    watch.look(&board);
    mount(dir.path(), "2", &[("inbound-peers", "10.0.0.0/9")]);
    watch.changed().await;
    assert!(watch.look(&board));
}
