//! What one scrape of `/metrics` costs on a node with many annotated pods, in CPU time of this process.
//!
//! A scrape itself enters no namespace: it prints what the agent found at its last looks. So that nothing is left out,
//! a round of looks at every pod is measured in the same turn: each pod is a real network namespace, which is opened,
//! entered and asked over netlink twice. What a kernel with SMC answers is recorded (`crates/smc-abi/tests/golden`),
//! since this machine's kernel need not have SMC; two questions that every kernel answers are asked in its place.
//!
//! `cargo run --release -p smc-agent --example scrape_cost -- [PODS] [ROUNDS]` prints its figures as JSON.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a measuring tool for people")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde_json::json;
use smc_abi::smc::{FallbackStats, Stats, parse_fallback_stats, parse_stats};
use smc_abi::{Reply, messages};
use smc_agent::board::{Board, Chain, PodVerdict, View};
use smc_agent::mesh::{MeshMode, MeshSwitch};
use smc_agent::surfaces::http::{Door, Limits, serve};
use smc_agent::surfaces::metrics::Metrics;
use smc_host::genl;
use smc_host::netlink::{Connection, Protocol};
use smc_host::netns::{Netns, visit};
use smc_model::{LiveVerdict, PeersWithoutSmc, Verdict, fallback_label};
use smc_state::{AttachmentId, FallbackCount, LivePod, PodName};
use tokio::net::TcpListener;

const STATS: &str = include_str!("../../crates/smc-abi/tests/golden/client_smc_stats.hex");
const FALLBACKS: &str = include_str!("../../crates/smc-abi/tests/golden/client_smc_fallback_stats.hex");

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let pods: usize = arguments.next().map_or(Ok(250), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let namespaces = (0..pods).map(|_| Netns::make()).collect::<std::result::Result<Vec<_>, _>>()?;
    let board =
        Board::new(View::new(MeshMode::Enabled, MeshSwitch::NOT_KNOWN_YET, Chain::Loaded, Instant::now()));
    let server = serve_metrics(&board)?;
    let (mut looks, mut scrapes, mut length) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        let begin = cpu()?;
        let seen = visit(|visitor| -> Result<Vec<(Stats, FallbackStats)>> {
            namespaces
                .iter()
                .map(|netns| {
                    visitor.enter(&Netns::open(&netns.path())?)?;
                    ask()
                })
                .collect()
        })??;
        publish(&board, &seen)?;
        let looked = cpu()?;
        length = scrape(server)?.len();
        scrapes.push(cpu()? - looked);
        looks.push(looked - begin);
    }
    let figures = json!({
        "pods": pods, "looks_ms": median(&mut looks), "scrape_ms": median(&mut scrapes), "scrape_bytes": length,
    });
    println!("{figures}");
    Ok(())
}

/// In the calling thread's namespace: two questions to the kernel, and the recorded answers to those that a look asks.
fn ask() -> Result<(Stats, FallbackStats)> {
    let mut generic = Connection::open(Protocol::Generic)?;
    for _ in 0..2 {
        genl::family(&mut generic, "nlctrl")?.ok_or("no generic netlink")?;
    }
    Ok((parse_stats(&recorded(STATS)?)?, parse_fallback_stats(&recorded(FALLBACKS)?)?))
}

/// The body of the first answer that was recorded.
fn recorded(exchange: &str) -> Result<Vec<u8>> {
    let answer = exchange.split("\n< ").nth(1).ok_or("no answer on record")?;
    let digits: String = answer.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16);
    let datagram = (0..digits.len()).step_by(2).map(byte).collect::<std::result::Result<Vec<_>, _>>()?;
    let message = messages(&datagram).next().ok_or("no message on record")??;
    match message.reply()? {
        Reply::Data(message) => Ok(message.body.to_vec()),
        other => Err(format!("not data: {other:?}").into()),
    }
}

/// Every pod with its verdict, its counters and two peers without SMC.
fn publish(board: &Board, seen: &[(Stats, FallbackStats)]) -> Result<()> {
    let mut live = BTreeMap::new();
    for (number, (stats, fallbacks)) in seen.iter().enumerate() {
        let attachment = AttachmentId::new(&format!("{number:064x}"), "eth0")?;
        let name = format!("some-deployment-7d9c6b5f4-{number:05}");
        let pod = PodName { namespace: "some-namespace".to_owned(), name: name.clone(), uid: name.clone() };
        let count = FallbackCount {
            code: fallbacks.reason,
            reason: fallback_label(fallbacks.reason).to_owned(),
            count: fallbacks.count.into(),
        };
        let mut peers_without_smc = PeersWithoutSmc::default();
        for last in [1, 2] {
            peers_without_smc.count(Some([10, 0, 0, last].into()), 5);
        }
        let pod = LivePod {
            attachment: attachment.clone(),
            pod,
            id: name,
            live: LiveVerdict::Active,
            since: 1,
            smcr: stats.smcr.client_v2,
            handshake_errors: 0,
            fallbacks: vec![count],
            peers_without_smc,
            offers_taken_out: BTreeMap::new(),
            syns_dropped: 0,
            unplaced: 0,
        };
        live.insert(attachment, pod);
    }
    board.update(|view| {
        for pod in live.values() {
            let verdict =
                PodVerdict { pod: pod.pod.clone(), id: pod.id.clone(), verdict: Verdict::Configured };
            view.pods.insert(pod.attachment.clone(), verdict);
        }
        view.live = live;
    });
    Ok(())
}

/// The agent's own server, on a thread that ends with the process.
fn serve_metrics(board: &Board) -> Result<SocketAddr> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let (board, metrics) = (board.clone(), Metrics::new(board.clone()));
    let served = serve(Door::Port(listener), board, metrics, Limits::default());
    std::thread::spawn(move || runtime.block_on(served));
    Ok(address)
}

fn scrape(server: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.1 200 ") {
        return Err(format!("the agent's server answered: {answer}").into());
    }
    Ok(answer)
}

/// CPU time of this process, user and system, in milliseconds.
fn cpu() -> Result<f64> {
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    let us = used.user_time().num_microseconds() + used.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(us)?).as_secs_f64() * 1e3)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
