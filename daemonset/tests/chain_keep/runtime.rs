//! What the container runtime says of the chain.

use super::*;

/// A runtime that reads the list when told, as containerd does.
#[derive(Clone)]
struct FakeRuntime {
    conf_dir: PathBuf,
    bin_dir: Arc<Mutex<PathBuf>>,
    loaded: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl FakeRuntime {
    fn of(node: &TestNode) -> Self {
        Self {
            conf_dir: node.conf_dir(),
            bin_dir: Arc::new(Mutex::new(node.bin_dir())),
            loaded: Arc::default(),
            asked: Arc::default(),
        }
    }
}

impl Runtime for FakeRuntime {
    async fn loaded_chain(&self) -> Result<LoadedChain, RuntimeError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let plugin =
            |plugin_type: &str, source: String| LoadedPlugin { plugin_type: plugin_type.into(), source };
        let mut plugins = vec![plugin("terway", r#"{"type":"terway"}"#.into())];
        if self.loaded.load(Ordering::Relaxed) {
            plugins.push(plugin("smc-cni", conflist::drop_in(&Entry::default())));
        }
        let networks = vec![LoadedNetwork { name: "terway-chainer".into(), plugins }];
        let bin_dirs = vec![self.bin_dir.lock().unwrap().clone()];
        Ok(LoadedChain { conf_dir: self.conf_dir.clone(), bin_dirs, networks, load_error: None })
    }
}

#[test]
fn a_runtime_that_does_not_load_the_entry_is_nudged_once_and_then_reported() {
    use notify::event::RemoveKind;
    use notify::{EventKind, RecursiveMode, Watcher as _};
    let node = TestNode::new();
    fs::write(node.list(), list(1)).unwrap();
    let nudges = Arc::new(AtomicUsize::new(0));
    let counter = nudges.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let event = event.unwrap();
        let removed = event.kind == EventKind::Remove(RemoveKind::File);
        if removed && event.paths[0].file_name().unwrap().to_str().unwrap().starts_with(".nudge") {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    })
    .unwrap();
    watcher.watch(&node.conf_dir(), RecursiveMode::NonRecursive).unwrap();

    let runtime = FakeRuntime::of(&node);
    let chain = keep(node.options(Mode::Auto), runtime.clone());
    let status = wait_for_status(&chain, |status| status.problem.is_some());
    let problem = status.problem.clone().unwrap();
    assert_eq!(problem.name, "NotLoaded");
    assert!(problem.message.contains("restart the container runtime"), "{}", problem.message);
    assert!(matches!(&status.runtime, Loaded::No { why } if why.contains("without smc-cni")), "{status:?}");
    assert!(status.present.is_some());
    wait(|| if nudges.load(Ordering::Relaxed) == 1 { Ok(()) } else { Err("no nudge was seen".to_owned()) });
    chain.stop();

    runtime.loaded.store(true, Ordering::Relaxed);
    let chain = keep(node.options(Mode::Auto), runtime.clone());
    let status = wait_for_status(&chain, |status| status.runtime == Loaded::Yes);
    assert!(status.present.is_some());
    assert_eq!((status.problem, status.insertions), (None, 0), "it was there already");
    chain.stop();
    assert_eq!(nudges.load(Ordering::Relaxed), 1);
}

#[test]
fn where_the_runtime_would_not_find_the_program_nothing_is_written_and_its_directory_is_named() {
    let node = TestNode::new();
    fs::write(node.list(), list(1)).unwrap();
    let runtime = FakeRuntime::of(&node);
    *runtime.bin_dir.lock().unwrap() = "/var/lib/k3s/bin".into();
    let chain = keep(node.options(Mode::Auto), runtime.clone());
    let problem = wait_for_status(&chain, |status| status.problem.is_some()).problem.unwrap();
    assert_eq!(problem.name, "OtherBinDir");
    assert!(problem.message.contains("in /var/lib/k3s/bin, and"), "{}", problem.message);
    chain.stop();
    assert_eq!(fs::read_to_string(node.list()).unwrap(), list(1));
    assert!(!node.bin_dir().exists() && node.names() == ["10-terway.conflist"], "{:?}", node.names());

    *runtime.bin_dir.lock().unwrap() = node.bin_dir();
    let chain = keep(node.options(Mode::Auto), runtime);
    wait_for_content(&node.list(), &with_entry(&list(1)));
    chain.stop();
}
