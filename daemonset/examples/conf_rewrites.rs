//! How soon the entry is back: a writer with Terway's habits rewrites the list again and again beside the keeper.
//!
//! `cargo run --release -p smc-agent --example conf_rewrites -- [rewrites]`, 1,000 unless told otherwise. The pauses
//! between rewrites are shorter than what the agent takes for a fight, so that is switched off here.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for people")]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/support/chain.rs"]
mod chain;
#[path = "../tests/support/terway.rs"]
mod terway;

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use chain::{PATIENCE, TestNode, wait_for_content, with_entry};
use smc_agent::chain::{ChainThread, Mode, NoRuntime, remove};
use terway::{list, rewrite};

fn main() {
    let rewrites: usize = std::env::args().nth(1).map_or(1000, |count| count.parse().unwrap());
    let node = TestNode::new();
    let mut options = node.options(Mode::Inject);
    options.fight.reaction = Duration::ZERO;
    rewrite(&node.list(), &list(0), 1, Duration::ZERO);
    let keeper = ChainThread::start(options, NoRuntime).unwrap();
    wait_for_content(&node.list(), &with_entry(&list(0)));

    let (mut since_written, mut since_truncated) = (Vec::new(), Vec::new());
    for generation in 1..=rewrites {
        // Different each time, the same in each run.
        let chunks = generation % 12 + 1;
        let pause = Duration::from_millis((generation % 7) as u64);
        let expected = with_entry(&list(generation));
        let truncated = Instant::now();
        rewrite(&node.list(), &list(generation), chunks, pause);
        let written = Instant::now();
        while fs::read_to_string(node.list()).unwrap() != expected {
            assert!(written.elapsed() < PATIENCE, "rewrite {generation}: the entry is not back");
            sleep(Duration::from_micros(500));
        }
        since_written.push(written.elapsed());
        since_truncated.push(truncated.elapsed());
        sleep(Duration::from_millis((generation % 40) as u64));
    }
    let status = keeper.status().borrow().clone();
    keeper.stop();
    assert_eq!(fs::read_to_string(node.list()).unwrap(), with_entry(&list(rewrites)));
    remove(&node.conf_dir(), &node.provenance_dir()).unwrap();
    assert_eq!(fs::read_to_string(node.list()).unwrap(), list(rewrites));

    println!(
        "{rewrites} rewrites; the final file is the writer's last content plus the entry; removed: equal"
    );
    for (name, times) in [("list written", &mut since_written), ("list truncated", &mut since_truncated)] {
        times.sort();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        println!(
            "entry back after the {name:14}: p50 {:>9.1?}  p99 {:>9.1?}  max {:>9.1?}",
            at(50),
            at(99),
            at(100)
        );
    }
    println!("insertions {}, exposed in all {:.1?}", status.insertions, status.exposed);
}
