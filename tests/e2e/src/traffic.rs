//! Unmodified programs in pods, and requests between them.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use demo::prepare_files;
use rig::host::{Pod, PodSpec, repository};

use crate::{PATIENCE, eventually};

/// Where pods find the files.
const FILES: &str = "/demo";

/// What came of [`fetch`].
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    /// Files that arrived as they were sent, byte for byte.
    pub right: usize,
    /// How long each connection took to be there, in seconds.
    pub connected: Vec<f64>,
}

/// A pod that runs nginx. Its name ends in this process's id, so that a run never meets another's remains.
pub fn server(name: &str) -> PodSpec {
    running(name, &["nginx", "-c", "/demo/nginx.conf"])
}

/// As [`server`]; connections last as long as the client wants.
pub fn lasting_server(name: &str) -> PodSpec {
    running(name, &["nginx", "-c", "/demo/lasting.conf"])
}

/// A pod in which programs are run later.
pub fn client(name: &str) -> PodSpec {
    running(name, &["sleep", "infinity"])
}

/// A pod that runs this, with the files of [`fetch`] in `/demo/www`.
pub fn running(name: &str, command: &[&str]) -> PodSpec {
    PodSpec::new(&format!("{name}-{}", std::process::id()), command).mount(files(), FILES)
}

/// The files that pods need, written once by this process.
fn files() -> PathBuf {
    static FILES: OnceLock<PathBuf> = OnceLock::new();
    let write = || {
        let files = repository().join("target/rig-tests");
        prepare_files(&files).unwrap();
        let nginx = fs::read_to_string(files.join("nginx.conf")).unwrap();
        let lasting = nginx.replace("access_log off;", "access_log off; keepalive_requests 100000000;");
        assert_ne!(lasting, nginx);
        fs::write(files.join("lasting.conf"), lasting).unwrap();
        files
    };
    FILES.get_or_init(write).clone()
}

/// Waits until the pod's nginx listens, by a look at its sockets: a connection would be counted.
#[track_caller]
pub fn wait_until_served(pod: &Pod<'_>) {
    let netns = format!("--net={}", pod.netns.display());
    eventually(PATIENCE, || {
        let output = pod.node().command(&["nsenter", &netns, "ss", "-tlnH"]).check().unwrap();
        let listening = String::from_utf8_lossy(&output.stdout).into_owned();
        if listening.contains("0.0.0.0:80 ") { Ok(()) } else { Err(format!("nothing serves: {listening}")) }
    });
}

/// Fetches a file of 133,333 bytes `times` times by curl in the client's pod, each over a new connection.
#[track_caller]
pub fn fetch(client: &Pod<'_>, server: &str, times: u32) -> Fetched {
    let script = format!(
        "rm -rf /tmp/got; mkdir /tmp/got; cd /tmp/got; \
         curl -sS -m 60 -H 'Connection: close' -w 'connected %{{time_connect}}\\n' -o 'file#1' \
         'http://{server}/file?[1-{times}]'; \
         for f in /tmp/got/*; do cmp $f /demo/www/file && echo right; done"
    );
    let output = client.exec(&["sh", "-c", &script]).unwrap_or_else(|error| panic!("{error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let connected = text.lines().filter_map(|line| line.strip_prefix("connected ")?.parse().ok());
    let fetched = Fetched {
        right: text.lines().filter(|line| *line == "right").count(),
        connected: connected.collect(),
    };
    assert_eq!(
        (fetched.right, fetched.connected.len()),
        (times as usize, times as usize),
        "from {} to {server}: {text}{}",
        client.name,
        String::from_utf8_lossy(&output.stderr)
    );
    fetched
}
