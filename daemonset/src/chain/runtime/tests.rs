//! Where the recordings are from:
//!
//! - `containerd-1.6.20-*`: Debian's containerd, asked over its CRI socket on a machine of ours, with the list of
//!   `hack/guest` and our entry, and with a broken list before it. Only paths were changed.
//! - `containerd-1.7.0-no-network`: the output of `crictl info` in containerd's own guide to crictl.
//! - `containerd-2-no-network`: a node that was just set up (go1.24.4, that is containerd 2.x), `crictl info` published
//!   by its administrator. This shape leaves out empty objects that 1.6 writes.
//!
//! Where containerd 2.1 appends a drop-in (`Plugins` has it, `Source` has not) no recording was at hand: that case is
//! the recording of 1.6 with the entry taken out of `Source`.

use cni_spec::Policy;

use super::*;

const LOADED: &str = include_str!("recorded/containerd-1.6.20-loaded.json");
const BROKEN: &str = include_str!("recorded/containerd-1.6.20-broken.json");
const EMPTY_1_7: &str = include_str!("recorded/containerd-1.7.0-no-network.json");
const EMPTY_2: &str = include_str!("recorded/containerd-2-no-network.json");

fn info(recorded: &str) -> BTreeMap<String, String> {
    serde_json::from_str(recorded).unwrap()
}

fn chain(recorded: &str) -> LoadedChain {
    LoadedChain::from_status(&info(recorded)).unwrap()
}

fn why(loaded: Loaded) -> String {
    match loaded {
        Loaded::No { why } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_loaded_chain_is_read_with_its_plugins_in_order() {
    let chain = chain(LOADED);
    assert_eq!(chain.conf_dir, PathBuf::from("/etc/cni/net.d"));
    let networks: Vec<(&str, Vec<&str>)> = chain
        .networks
        .iter()
        .map(|network| {
            let plugins = network.plugins.iter().map(|plugin| plugin.plugin_type.as_str());
            (network.name.as_str(), plugins.collect())
        })
        .collect();
    assert_eq!(networks, [("cni-loopback", vec!["loopback"]), ("terway-chainer", vec!["terway", "smc-cni"])]);
    assert_eq!(chain.load_error, None);
    assert_eq!(chain.has("terway-chainer", &Entry::default()), Loaded::Yes);
}

#[test]
fn a_runtime_that_looks_in_other_directories_is_told_from_one_that_looks_in_ours() {
    let (conf, bin) = (Path::new("/etc/cni/net.d"), Path::new("/opt/cni/bin"));
    for recorded in [LOADED, BROKEN, EMPTY_1_7, EMPTY_2] {
        assert!(chain(recorded).looks_elsewhere(conf, bin).is_none(), "{recorded}");
        assert!(chain(recorded).looks_elsewhere(Path::new("/etc/cni/net.d/"), bin).is_none());
    }
    let k3s = LoadedChain {
        conf_dir: "/var/lib/rancher/k3s/agent/etc/cni/net.d".into(),
        bin_dirs: vec!["/var/lib/rancher/k3s/data/cni".into(), "/opt/cni/other".into()],
        ..chain(LOADED)
    };
    let told = |conf, bin| k3s.looks_elsewhere(conf, bin).unwrap();
    let problem = told(conf, bin);
    assert!(matches!(problem, Problem::OtherConfDir { .. }), "{problem}");
    assert!(problem.to_string().contains("from /var/lib/rancher/k3s/agent/etc/cni/net.d, and"), "{problem}");
    let problem = told(&k3s.conf_dir.clone(), bin);
    assert!(matches!(problem, Problem::OtherBinDir { .. }), "{problem}");
    let words = "in /var/lib/rancher/k3s/data/cni and /opt/cni/other, and";
    assert!(problem.to_string().contains(words), "{problem}");
    assert!(k3s.looks_elsewhere(&k3s.conf_dir.clone(), Path::new("/opt/cni/other")).is_none());
    // One that does not tell is believed to look in ours.
    assert!(LoadedChain { bin_dirs: Vec::new(), ..chain(LOADED) }.looks_elsewhere(conf, bin).is_none());
}

#[test]
fn an_entry_with_other_settings_is_not_the_one_that_was_loaded() {
    let required = Entry { policy: Policy::Required, ..Entry::default() };
    assert!(why(chain(LOADED).has("terway-chainer", &required)).contains("other settings"));
}

#[test]
fn a_drop_in_counts_although_the_lists_source_does_not_show_it() {
    let mut info = info(LOADED);
    let mut cniconfig: serde_json::Value = serde_json::from_str(&info["cniconfig"]).unwrap();
    cniconfig["Networks"][1]["Config"]["Source"] =
        r#"{"name":"terway-chainer","plugins":[{"type":"terway"}]}"#.into();
    info.insert("cniconfig".to_owned(), cniconfig.to_string());
    let chain = LoadedChain::from_status(&info).unwrap();
    assert_eq!(chain.has("terway-chainer", &Entry::default()), Loaded::Yes);
}

#[test]
fn a_chain_without_our_plugin_or_with_two_of_it_is_not_ours() {
    let mut chain = chain(LOADED);
    let ours = chain.networks[1].plugins.pop().unwrap();
    assert!(why(chain.has("terway-chainer", &Entry::default())).contains("without smc-cni"));
    chain.networks[1].plugins.extend([ours.clone(), ours]);
    assert!(why(chain.has("terway-chainer", &Entry::default())).contains("more than once"));
}

#[test]
fn a_load_that_failed_is_told_in_the_runtimes_own_words() {
    let why = why(chain(BROKEN).has("terway-chainer", &Entry::default()));
    assert!(why.contains("unexpected end of JSON input"), "{why}");
}

#[test]
fn a_runtime_without_networks_is_understood() {
    let chain_1_7 = chain(EMPTY_1_7);
    assert!(why(chain_1_7.has("terway-chainer", &Entry::default())).contains("has nothing instead of"));
    let chain_2 = chain(EMPTY_2);
    assert_eq!(chain_2.networks[0].plugins[0].plugin_type, "loopback");
    assert!(chain_2.load_error.is_some_and(|error| error.contains("no network config found")));
    // Before the first load Go's slice is nil.
    let nil =
        BTreeMap::from([("cniconfig".to_owned(), r#"{"PluginConfDir":"/x","Networks":null}"#.to_owned())]);
    assert!(LoadedChain::from_status(&nil).unwrap().networks.is_empty());
}

#[test]
fn what_is_no_answer_is_an_error() {
    assert!(matches!(LoadedChain::from_status(&BTreeMap::new()), Err(RuntimeError::Silent)));
    for text in ["", "[]", r#"{"Networks":[{}]}"#, r#"{"Networks":7}"#] {
        let info = BTreeMap::from([("cniconfig".to_owned(), text.to_owned())]);
        let error = LoadedChain::from_status(&info).unwrap_err();
        assert!(matches!(error, RuntimeError::Malformed { .. }), "{text}: {error}");
    }
}
