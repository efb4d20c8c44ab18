//! The chain's keeper beside writers with the habits of real ones, on real files.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[allow(dead_code, reason = "each test file uses its part")]
#[path = "support/chain.rs"]
mod chain;
#[path = "support/terway.rs"]
mod terway;

#[path = "chain_keep/operators.rs"]
mod operators;
#[path = "chain_keep/runtime.rs"]
mod runtime;

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use chain::{PLUGIN, TestNode, has_entry, keep, names, wait, wait_for_content, wait_for_status, with_entry};
use cni_spec::conflist::{self, Entry};
use smc_agent::chain::{
    FightLimits, Loaded, LoadedChain, LoadedNetwork, LoadedPlugin, Mode, Owner, Placement, Runtime,
    RuntimeError, RuntimeVersion, remove,
};
use terway::{list, rewrite};

/// Nothing is a fight: the tests' writers are quicker than real ones.
const NO_FIGHT: FightLimits = FightLimits {
    reaction: Duration::ZERO,
    tolerated: 5,
    first_wait: Duration::from_secs(1),
    longest_wait: Duration::from_secs(300),
};

#[test]
fn after_each_of_fifty_rewrites_the_list_is_the_writers_last_content_plus_our_entry() {
    let node = TestNode::new();
    rewrite(&node.list(), &list(0), 1, Duration::ZERO);
    let mut options = node.options(Mode::Auto);
    options.fight = NO_FIGHT;
    let chain = keep(options, smc_agent::chain::NoRuntime);
    wait_for_content(&node.list(), &with_entry(&list(0)));
    for generation in 1..=50 {
        rewrite(&node.list(), &list(generation), generation % 9 + 1, Duration::from_millis(4));
        wait_for_content(&node.list(), &with_entry(&list(generation)));
    }
    let status = wait_for_status(&chain, |status| status.insertions == 51);
    assert_eq!((status.placement, status.owner), (Some(Placement::Inject), Some(Owner::Agent)));
    assert_eq!((status.problem, status.exposed_since), (None, None));
    assert!(status.exposed > Duration::ZERO);
    chain.stop();
    assert_eq!(node.names(), ["10-terway.conflist"], "no temporary file stays");
    assert_eq!(fs::metadata(node.list()).unwrap().permissions().mode() & 0o777, 0o600);

    let removed = remove(&node.conf_dir(), &node.provenance_dir()).unwrap();
    assert_eq!((removed.files.as_slice(), removed.problems.len()), ([node.list()].as_slice(), 0));
    assert_eq!(fs::read_to_string(node.list()).unwrap(), list(50));
    assert!(!node.provenance_dir().exists());
}

#[test]
fn what_the_owner_writes_after_its_file_was_replaced_is_not_lost() {
    let node = TestNode::new();
    let chain = node.keep(Mode::Inject);
    let mut owner = File::create(node.list()).unwrap();
    owner.write_all(list(1).trim_end().as_bytes()).unwrap();
    // It can be parsed, so the entry goes in, into another file than the owner writes to.
    wait_for_content(&node.list(), &with_entry(list(1).trim_end()));
    owner.write_all(b"\n").unwrap();
    wait_for_content(&node.list(), &with_entry(&list(1)));
    // Now it starts again, in the file without a name.
    owner.set_len(0).unwrap();
    owner.rewind().unwrap();
    owner.write_all(&list(2).as_bytes()[..50]).unwrap();
    sleep(Duration::from_millis(100));
    assert_eq!(
        fs::read_to_string(node.list()).unwrap(),
        with_entry(&list(1)),
        "half a list replaces nothing"
    );
    owner.write_all(&list(2).as_bytes()[50..]).unwrap();
    wait_for_content(&node.list(), &with_entry(&list(2)));
    let status = wait_for_status(&chain, |status| status.exposed_since.is_none());
    assert_eq!(status.insertions, 1, "the entry was never lost");
    chain.stop();
    assert_eq!(node.names(), ["10-terway.conflist"]);
}

#[test]
fn a_list_that_was_replaced_meanwhile_is_not_overwritten_with_an_older_writers_bytes() {
    let node = TestNode::new();
    let chain = node.keep(Mode::Inject);
    let mut older = File::create(node.list()).unwrap();
    older.write_all(list(1).as_bytes()).unwrap();
    wait_for_content(&node.list(), &with_entry(&list(1)));
    fs::write(node.conf_dir().join("new"), list(2)).unwrap();
    fs::rename(node.conf_dir().join("new"), node.list()).unwrap();
    wait_for_content(&node.list(), &with_entry(&list(2)));
    older.write_all(b"\n\n").unwrap();
    sleep(Duration::from_millis(200));
    assert_eq!(fs::read_to_string(node.list()).unwrap(), with_entry(&list(2)));
    chain.stop();
}

#[test]
fn the_keeper_waits_for_directory_and_list_and_says_what_it_waits_for() {
    let node = TestNode::new();
    fs::remove_dir(node.conf_dir()).unwrap();
    let chain = node.keep(Mode::Auto);
    let status = wait_for_status(&chain, |status| status.problem.is_some());
    assert_eq!(status.problem.unwrap().name, "NoDirectory");
    fs::create_dir(node.conf_dir()).unwrap();
    let status = wait_for_status(&chain, |status| {
        status.problem.as_ref().is_some_and(|problem| problem.name == "NoConfiguration")
    });
    assert_eq!((status.present, status.exposed_since), (None, None));
    rewrite(&node.list(), &list(1), 4, Duration::from_millis(50));
    wait_for_content(&node.list(), &with_entry(&list(1)));
    wait_for_status(&chain, |status| status.problem.is_none() && status.present == Some(node.list()));

    // The whole directory is swapped for another one.
    fs::rename(node.conf_dir(), node.dir.path().join("old")).unwrap();
    fs::create_dir(node.conf_dir()).unwrap();
    fs::write(node.list(), list(2)).unwrap();
    wait_for_content(&node.list(), &with_entry(&list(2)));
    rewrite(&node.list(), &list(3), 2, Duration::from_millis(5));
    wait_for_content(&node.list(), &with_entry(&list(3)));
    chain.stop();
}

#[test]
fn a_list_that_stays_half_written_is_a_problem_until_it_is_whole() {
    let node = TestNode::new();
    fs::write(node.list(), &list(1)[..80]).unwrap();
    let chain = node.keep(Mode::Inject);
    let status = wait_for_status(&chain, |status| status.problem.is_some());
    assert_eq!(status.problem.unwrap().name, "Unfinished");
    assert!(status.exposed_since.is_some(), "the list is in use without the entry");
    assert_eq!(fs::read_to_string(node.list()).unwrap(), list(1)[..80]);
    fs::write(node.list(), list(1)).unwrap();
    wait_for_content(&node.list(), &with_entry(&list(1)));
    wait_for_status(&chain, |status| status.problem.is_none() && status.exposed_since.is_none());
    chain.stop();
}

#[test]
fn what_is_no_list_is_reported_and_left_alone() {
    for (name, content, problem) in [
        ("00-foreign.conflist", "apiVersion: v1\n", "Unusable"),
        ("00-single.conf", r#"{"cniVersion":"0.4.0","name":"n","type":"bridge"}"#, "SinglePlugin"),
    ] {
        let node = TestNode::new();
        let foreign = node.conf_dir().join(name);
        fs::write(&foreign, content).unwrap();
        fs::write(node.list(), list(1)).unwrap();
        let chain = node.keep(Mode::Auto);
        let status = wait_for_status(&chain, |status| status.problem.is_some());
        let told = status.problem.unwrap();
        assert_eq!(told.name, problem);
        assert!(told.message.contains(name) && told.message.contains("first by name"), "{}", told.message);
        assert_eq!(fs::read_to_string(&foreign).unwrap(), content);
        assert_eq!(fs::read_to_string(node.list()).unwrap(), list(1), "it is not in use");
        fs::remove_file(&foreign).unwrap();
        wait_for_content(&node.list(), &with_entry(&list(1)));
        chain.stop();
    }
}

#[test]
fn another_list_with_an_earlier_name_gets_the_entry_and_both_are_cleaned_up() {
    let node = TestNode::new();
    fs::write(node.list(), list(1)).unwrap();
    let chain = node.keep(Mode::Auto);
    wait_for_content(&node.list(), &with_entry(&list(1)));
    let earlier = node.conf_dir().join("05-other.conflist");
    let other = r#"{"cniVersion":"0.4.0","name":"other","plugins":[{"type":"bridge"}]}"#;
    fs::write(&earlier, other).unwrap();
    wait_for_content(&earlier, &with_entry(other));
    wait_for_status(&chain, |status| status.list == Some(earlier.clone()) && status.present.is_some());
    fs::remove_file(node.list()).unwrap();
    let third = node.conf_dir().join("01-third.conflist");
    fs::write(&third, list(3)).unwrap();
    wait_for_content(&third, &with_entry(&list(3)));
    chain.stop();
    let removed = remove(&node.conf_dir(), &node.provenance_dir()).unwrap();
    assert_eq!((removed.files, removed.problems.len()), (vec![third.clone(), earlier.clone()], 0));
    assert_eq!(fs::read_to_string(&earlier).unwrap(), other);
    assert_eq!(fs::read_to_string(&third).unwrap(), list(3));
    assert_eq!(node.names(), ["01-third.conflist", "05-other.conflist"]);
}

#[test]
fn a_list_behind_a_symbolic_link_is_edited_where_it_is() {
    let node = TestNode::new();
    let real = node.dir.path().join("real");
    fs::create_dir(&real).unwrap();
    fs::write(real.join("list"), list(1)).unwrap();
    symlink(real.join("list"), node.list()).unwrap();
    let chain = node.keep(Mode::Inject);
    wait_for_content(&node.list(), &with_entry(&list(1)));
    assert!(fs::symlink_metadata(node.list()).unwrap().is_symlink());
    rewrite(&real.join("list"), &list(2), 3, Duration::from_millis(3));
    wait_for_content(&node.list(), &with_entry(&list(2)));
    chain.stop();
    assert_eq!(
        (names(&real), node.names()),
        (vec!["list".to_owned()], vec!["10-terway.conflist".to_owned()])
    );
    remove(&node.conf_dir(), &node.provenance_dir()).unwrap();
    assert_eq!(fs::read_to_string(real.join("list")).unwrap(), list(2));
}

#[test]
fn a_drop_in_stays_when_the_list_is_written_anew_and_comes_back_when_it_is_lost() {
    let node = TestNode::new();
    let mut options = node.options(Mode::Auto);
    options.runtime = RuntimeVersion::parse("containerd", "v2.1.5");
    // The entry in the list counts as ours: an agent put it there before the runtime was upgraded.
    fs::write(node.list(), list(1)).unwrap();
    smc_agent::chain::install_once(node.options(Mode::Inject)).unwrap();
    assert!(has_entry(&node.list()));

    let chain = keep(options, smc_agent::chain::NoRuntime);
    let drop_in = node.conf_dir().join("terway-chainer/90-smc-cni.conf");
    wait_for_content(&drop_in, &conflist::drop_in(&Entry::default()));
    wait_for_content(&node.list(), &list(1));
    rewrite(&node.list(), &list(2), 3, Duration::from_millis(3));
    let status = wait_for_status(&chain, |status| status.present == Some(drop_in.clone()));
    assert_eq!(status.placement, Some(Placement::DropIn));
    fs::remove_file(&drop_in).unwrap();
    wait_for_content(&drop_in, &conflist::drop_in(&Entry::default()));
    chain.stop();
    assert_eq!(fs::read_to_string(node.list()).unwrap(), list(2));
    // A command that does not know the runtime leaves it at that.
    let again = smc_agent::chain::install_once(node.options(Mode::Auto)).unwrap();
    assert_eq!((again.file, again.changed), (Some(drop_in.clone()), false));
    let removed = remove(&node.conf_dir(), &node.provenance_dir()).unwrap();
    assert_eq!((removed.files, removed.problems.len()), (vec![drop_in], 0));
    assert_eq!(node.names(), ["10-terway.conflist"]);
}

#[test]
fn a_drop_in_directory_that_others_use_stays() {
    let node = TestNode::new();
    fs::write(node.list(), list(1)).unwrap();
    let beside = node.conf_dir().join("terway-chainer");
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join("50-tuning.conf"), r#"{"type":"tuning"}"#).unwrap();
    smc_agent::chain::install_once(node.options(Mode::DropIn)).unwrap();
    assert_eq!(names(&beside), ["50-tuning.conf", "90-smc-cni.conf"]);
    remove(&node.conf_dir(), &node.provenance_dir()).unwrap();
    assert_eq!(names(&beside), ["50-tuning.conf"]);
}

#[test]
fn another_writer_that_takes_the_entry_out_each_time_is_reported_and_given_way_to() {
    let node = TestNode::new();
    fs::write(node.list(), list(1)).unwrap();
    let mut options = node.options(Mode::Inject);
    options.fight.first_wait = Duration::from_secs(600);
    options.fight.longest_wait = Duration::from_secs(600);
    options.fight.reaction = Duration::from_secs(600);
    let chain = keep(options, smc_agent::chain::NoRuntime);
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !end.load(Ordering::Relaxed) {
                if has_entry(&node.list()) {
                    fs::write(node.list(), list(1)).unwrap();
                }
                sleep(Duration::from_millis(1));
            }
        });
        // Also when the wait fails: the scope ends with its threads.
        let status =
            catch_unwind(AssertUnwindSafe(|| wait_for_status(&chain, |status| status.problem.is_some())));
        end.store(true, Ordering::Relaxed);
        let status = status.unwrap();
        let problem = status.problem.unwrap();
        assert_eq!(problem.name, "Fought");
        assert!(problem.message.contains("5 times in a row"), "{}", problem.message);
        assert_eq!(status.insertions, 5);
        assert!(status.exposed_since.is_some());
    });
    chain.stop();
}

#[test]
fn a_program_that_cannot_be_copied_keeps_the_entry_out() {
    let node = TestNode::new();
    fs::write(node.list(), list(1)).unwrap();
    let plugin = node.dir.path().join("plugin");
    fs::remove_file(&plugin).unwrap();
    let chain = node.keep(Mode::Auto);
    let status = wait_for_status(&chain, |status| status.problem.is_some());
    assert_eq!(status.problem.unwrap().name, "Binary");
    assert_eq!(fs::read_to_string(node.list()).unwrap(), list(1));
    fs::write(&plugin, PLUGIN).unwrap();
    wait_for_content(&node.list(), &with_entry(&list(1)));
    wait_for_status(&chain, |status| status.problem.is_none());
    chain.stop();
}

#[test]
fn leftovers_of_a_killed_agent_are_swept_at_the_start() {
    let node = TestNode::new();
    fs::write(node.list(), list(1)).unwrap();
    fs::create_dir(node.bin_dir()).unwrap();
    fs::write(node.bin_dir().join(".smc-cni.kube-smc-1"), "half").unwrap();
    for name in [".10-terway.conflist.kube-smc-1", ".nudge.kube-smc-1"] {
        fs::write(node.conf_dir().join(name), "half").unwrap();
    }
    let chain = node.keep(Mode::Auto);
    wait_for_content(&node.list(), &with_entry(&list(1)));
    chain.stop();
    assert_eq!(
        (node.names(), names(&node.bin_dir())),
        (vec!["10-terway.conflist".into()], vec!["smc-cni".into()])
    );
}
