//! The chain's keeper on file systems that are full or read-only.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[allow(dead_code, reason = "each test file uses its part")]
#[path = "support/chain.rs"]
mod chain;
#[allow(dead_code, reason = "each test file uses its part")]
#[path = "support/terway.rs"]
mod terway;

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use chain::{TestNode, wait_for_content, wait_for_status, with_entry};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use smc_agent::chain::{Mode, Placement};
use terway::list;

/// A tiny file system of its own on a directory.
struct TinyFileSystem(PathBuf);

impl TinyFileSystem {
    fn on(node: &TestNode) -> Option<Self> {
        Self::at(node.conf_dir())
    }

    fn at(dir: PathBuf) -> Option<Self> {
        let mounted =
            mount(Some("tmpfs"), &dir, Some("tmpfs"), MsFlags::empty(), Some("size=64k,nr_inodes=64"));
        if mounted == Err(Errno::EPERM) {
            test_support::cannot_run("mounting a file system is not permitted");
            return None;
        }
        mounted.unwrap();
        Some(Self(dir))
    }

    fn remount(&self, flags: MsFlags) {
        mount(None::<&str>, &self.0, None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>).unwrap();
    }
}

impl Drop for TinyFileSystem {
    fn drop(&mut self) {
        // Also while a failing test unwinds, with the keeper still at work.
        let unmounted = umount2(&self.0, MntFlags::MNT_DETACH);
        assert!(unmounted.is_ok() || std::thread::panicking(), "{unmounted:?}");
    }
}

#[test]
fn a_full_disk_loses_nothing_and_the_entry_goes_in_when_there_is_space() {
    let node = TestNode::new();
    let Some(_file_system) = TinyFileSystem::on(&node) else { return };
    fs::write(node.list(), list(1)).unwrap();
    let filler = node.conf_dir().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}

    let chain = node.keep(Mode::Auto);
    let status = wait_for_status(&chain, |status| status.problem.is_some());
    let problem = status.problem.unwrap();
    assert_eq!(problem.name, "Io");
    assert!(
        problem.message.contains("No space left") && problem.message.contains("free some space"),
        "{problem:?}"
    );
    assert_eq!(fs::read_to_string(node.list()).unwrap(), list(1));
    assert_eq!(node.names(), ["10-terway.conflist", "filler"]);
    fs::remove_file(&filler).unwrap();
    drop(file);
    wait_for_content(&node.list(), &with_entry(&list(1)));
    wait_for_status(&chain, |status| status.problem.is_none());
    chain.stop();
}

#[test]
fn in_a_read_only_directory_the_chain_is_only_watched_and_that_is_said() {
    let node = TestNode::new();
    let Some(file_system) = TinyFileSystem::on(&node) else { return };
    fs::write(node.list(), list(1)).unwrap();
    file_system.remount(MsFlags::MS_RDONLY);

    let chain = node.keep(Mode::Auto);
    let status = wait_for_status(&chain, |status| status.problem.is_some());
    assert_eq!(status.placement, Some(Placement::Managed));
    let message = status.problem.unwrap().message;
    assert!(message.contains("read-only") && message.contains("eni-config"), "{message}");
    chain.stop();

    let chain = node.keep(Mode::Inject);
    let message = wait_for_status(&chain, |status| status.problem.is_some()).problem.unwrap().message;
    assert!(message.contains("mount the directory writable"), "{message}");
    assert_eq!(fs::read_to_string(node.list()).unwrap(), list(1));
    file_system.remount(MsFlags::empty());
    wait_for_content(&node.list(), &with_entry(&list(1)));
    wait_for_status(&chain, |status| status.problem.is_none());
    chain.stop();
}

#[test]
fn a_list_that_is_a_mount_point_of_its_own_is_left_alone_and_that_is_said() {
    let node = TestNode::new();
    let Some(_file_system) = TinyFileSystem::on(&node) else { return };
    fs::write(node.list(), "").unwrap();
    let source = node.dir.path().join("source");
    fs::write(&source, list(1)).unwrap();
    mount(Some(&source), &node.list(), None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    let _mount = TinyFileSystem(node.list());
    let chain = node.keep(Mode::Inject);
    let problem = wait_for_status(&chain, |status| status.problem.is_some()).problem.unwrap();
    chain.stop();
    assert_eq!(problem.name, "Io");
    assert!(problem.message.contains("a mount point of its own"), "{}", problem.message);
    assert_eq!(fs::read_to_string(node.list()).unwrap(), list(1));
    assert_eq!(node.names(), ["10-terway.conflist"]);
}

#[test]
fn where_the_plugins_directory_is_mounted_noexec_no_entry_is_written_and_the_program_is_named() {
    let node = TestNode::new();
    fs::create_dir(node.bin_dir()).unwrap();
    let Some(file_system) = TinyFileSystem::at(node.bin_dir()) else { return };
    file_system.remount(MsFlags::MS_NOEXEC);
    fs::write(node.list(), list(1)).unwrap();
    let chain = node.keep(Mode::Auto);
    let problem = wait_for_status(&chain, |status| status.problem.is_some()).problem.unwrap();
    assert_eq!(problem.name, "Binary");
    assert!(
        problem.message.contains("cannot run") && problem.message.contains("Permission denied"),
        "{problem:?}"
    );
    assert_eq!(fs::read_to_string(node.list()).unwrap(), list(1));
    file_system.remount(MsFlags::empty());
    wait_for_content(&node.list(), &with_entry(&list(1)));
    wait_for_status(&chain, |status| status.problem.is_none());
    chain.stop();
}
