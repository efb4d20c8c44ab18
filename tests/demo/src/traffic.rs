//! The programs in the pods, none of them aware of SMC, and the requests between them.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::Pair;
use rig::host::Pod;

/// Bytes of the file that is fetched: more than SMC's default buffers of 64 KiB.
const FILE_BYTES: u32 = 133_333;
/// How often it is fetched, each time over a new connection.
const FETCHES: u32 = 6;
/// How long a program may take until it listens.
const LISTENER_START: Duration = Duration::from_secs(60);

const NGINX: &str = "\
daemon off;
pid /tmp/nginx.pid;
error_log stderr;
worker_processes 1;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  server { listen 80; root /demo/www; }
}
";

/// Like a mesh's sidecar: redirected traffic, each connection carried on to where it was going. What the proxy sends
/// itself is told by its source ports: on mainline kernels the TCP socket inside an SMC socket has no owner until the
/// handshake is over, so a rule by user id, as meshes have, would redirect the proxy to itself for ever.
const HAPROXY: &str = "\
defaults
  mode tcp
  timeout connect 20s
  timeout client 60s
  timeout server 60s
listen inbound
  bind 0.0.0.0:15006
  server program 127.0.0.1:80
listen outbound
  bind 0.0.0.0:15001
  server original 0.0.0.0 source \"${POD_IP}:20000-29999\"
";

const PROXY: &str = "\
set -e
iptables -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 15006
iptables -t nat -A OUTPUT -p tcp --dport 80 ! --sport 20000:29999 ! -d 127.0.0.0/8 -j REDIRECT --to-ports 15001
POD_IP=$(ip -4 -o address show dev eth0 | awk '{ sub(\"/.*\", \"\", $4); print $4 }')
export POD_IP
exec haproxy -db -f /demo/haproxy.cfg
";

/// What the programs themselves say about their requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Requests that were answered.
    pub requests: u64,
    /// Requests that were not, or with an error.
    pub failed: u64,
    /// Files fetched, each over a connection of its own.
    pub files: u32,
    /// Files that arrived as they were sent, byte for byte.
    pub files_right: u32,
}

/// Writes what the pods need into `dir`: configurations, and a file whose every byte will be compared.
pub fn prepare_files(dir: &Path) -> Result<()> {
    let www = dir.join("www");
    fs::create_dir_all(&www).with_context(|| format!("make {}", www.display()))?;
    let write = |name: &str, content: &[u8]| {
        fs::write(dir.join(name), content).with_context(|| format!("write {name} into {}", dir.display()))
    };
    write("nginx.conf", NGINX.as_bytes())?;
    write("haproxy.cfg", HAPROXY.as_bytes())?;
    write("proxy.sh", PROXY.as_bytes())?;
    write("www/small", b"hello\n")?;
    write("www/file", &pattern())
}

/// Bytes without a short period, so that lost, doubled or shifted ones show.
fn pattern() -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    (0..FILE_BYTES)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8
        })
        .collect()
}

/// Waits until a pair's programs listen, so that no refused connection is counted, then lets `measure` look before
/// and after the requests.
pub fn run<T>(
    pair: &Pair,
    client: &Pod<'_>,
    server: &Pod<'_>,
    measure: impl Fn() -> Result<T>,
) -> Result<(T, T, Traffic)> {
    wait_for_listeners(server, if pair.has_proxies() { &[80, 15006] } else { &[80] })?;
    if pair.has_proxies() {
        wait_for_listeners(client, &[15001])?;
    }
    let before = measure()?;
    let traffic = send(client, &server.ip)?;
    let after = measure()?;
    Ok((before, after, traffic))
}

/// Looks at the pod's sockets; a connection to them would be counted.
fn wait_for_listeners(pod: &Pod<'_>, ports: &[u16]) -> Result<()> {
    let deadline = Instant::now() + LISTENER_START;
    let netns = pod.netns.display().to_string();
    loop {
        let output = pod.node().command(&["nsenter", &format!("--net={netns}"), "ss", "-tlnH"]).check()?;
        let listening = String::from_utf8_lossy(&output.stdout).into_owned();
        if ports.iter().all(|port| listening.contains(&format!("0.0.0.0:{port} "))) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let logs = pod.logs(rig::host::MAIN_CONTAINER)?;
            let stderr = String::from_utf8_lossy(&logs.stderr).into_owned();
            bail!("{} does not listen on {ports:?}: {listening}{stderr}", pod.name);
        }
        thread::sleep(Duration::from_millis(300));
    }
}

/// Fetches the file by curl, each time over a new connection, and compares it byte for byte; then small requests by
/// wrk over a few lasting connections. In one go: starting a process in a pod is slow under emulation.
fn send(client: &Pod<'_>, server: &str) -> Result<Traffic> {
    let script = format!(
        "mkdir -p /tmp/got && cd /tmp/got && curl -sS -m 60 -H 'Connection: close' -o 'file#1' \
         'http://{server}/file?[1-{FETCHES}]'; n=0; \
         for f in /tmp/got/*; do cmp -s $f /demo/www/file && n=$((n+1)); done; echo $n files right; \
         wrk -t1 -c4 -d2s --timeout 20s http://{server}/small"
    );
    let output = client.exec(&["sh", "-c", &script])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let files = text.lines().find_map(|line| line.strip_suffix(" files right")?.parse().ok());
    let (Some(files), Some((answered, failed))) = (files, parse_wrk(&text)) else {
        bail!("curl and wrk in {}: {text}{}", client.name, String::from_utf8_lossy(&output.stderr));
    };
    Ok(Traffic {
        requests: u64::from(files) + answered,
        failed: u64::from(FETCHES - files) + failed,
        files: FETCHES,
        files_right: files,
    })
}

/// Requests served and failed in wrk's summary. wrk counts requests that were under way when its time was up as
/// timeouts only after `--timeout`, so they do not appear.
fn parse_wrk(text: &str) -> Option<(u64, u64)> {
    let served = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())?;
    let numbers = |line: &str| -> u64 {
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<u64>().ok()).sum()
    };
    let errors =
        text.lines().filter(|line| line.contains("Socket errors:") || line.contains("Non-2xx or 3xx"));
    // "Non-2xx or 3xx responses: 7": the digits of the words are not counts.
    Some((served, errors.map(|line| numbers(line.split_once(':').map_or("", |(_, counts)| counts))).sum()))
}

#[cfg(test)]
mod tests;
