//! containerd in a node: its settings, its CNI chain and its images.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{GuestError, init, make_directory, run, write_file};
use crate::layout::{BootWords, CONTAINERD_SOCKET, IMAGES_FILE, PAUSE_IMAGE, POD_LOGS, REQUESTED_ADDRESSES};

/// A copy of the running program in the node's memory: the file it was started from may be rebuilt at any time.
pub const GUEST_PROGRAM: &str = "/run/rig/rig-guest";
const CONTAINERD_CONFIGURATION: &str = "/run/rig/containerd.toml";
const CONTAINERD_LOG: &str = "/var/log/containerd.log";
const CNI_BINARIES: &str = "/opt/cni/bin";
const CNI_CONFIGURATION: &str = "/etc/cni/net.d";
/// Debian's containernetworking-plugins; containerd itself needs `loopback`.
const DISTRIBUTION_CNI_BINARIES: &str = "/usr/lib/cni";

/// Shaped like the file Terway writes; see `terway-cli cni` in Terway's own repository.
const TERWAY_CONFLIST: &str = include_str!("../../../guest/10-terway.conflist");
const CONTAINERD_TOML: &str = include_str!("../../../guest/containerd.toml");

/// Writes containerd's configuration and fills the CNI directories.
pub fn write_configuration(_words: &BootWords) -> Result<(), GuestError> {
    for directory in [REQUESTED_ADDRESSES, POD_LOGS, CNI_BINARIES, CNI_CONFIGURATION] {
        make_directory(directory)?;
    }
    let copy_error = |source| GuestError::File { action: "write", path: GUEST_PROGRAM.into(), source };
    fs::copy("/proc/self/exe", GUEST_PROGRAM).map_err(copy_error)?;
    link(Path::new(GUEST_PROGRAM), &Path::new(CNI_BINARIES).join("terway"))?;
    for entry in fs::read_dir(DISTRIBUTION_CNI_BINARIES).into_iter().flatten().flatten() {
        link(&entry.path(), &Path::new(CNI_BINARIES).join(entry.file_name()))?;
    }
    write_file(Path::new(CNI_CONFIGURATION).join("10-terway.conflist"), TERWAY_CONFLIST)?;
    let configuration = CONTAINERD_TOML
        .replace("@SOCKET@", CONTAINERD_SOCKET)
        .replace("@PAUSE_IMAGE@", PAUSE_IMAGE)
        .replace("@CNI_BINARIES@", CNI_BINARIES)
        .replace("@CNI_CONFIGURATION@", CNI_CONFIGURATION);
    write_file(CONTAINERD_CONFIGURATION, configuration)
}

/// Starts containerd and does not wait for it.
pub fn start_containerd() -> Result<(), GuestError> {
    let log_error = |source| GuestError::File { action: "write", path: CONTAINERD_LOG.into(), source };
    let log = fs::File::create(CONTAINERD_LOG).map_err(log_error)?;
    let error_log = log.try_clone().map_err(log_error)?;
    let child = Command::new("containerd")
        .args(["--config", CONTAINERD_CONFIGURATION])
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(error_log)
        .spawn();
    child.map(drop).map_err(|source| GuestError::Start { program: "containerd".to_owned(), source })
}

/// Imports the rig's images as soon as containerd listens and the images are there.
pub fn import_images() -> Result<(), GuestError> {
    let images = init::boot_words()?.state.join(IMAGES_FILE);
    let end = Instant::now() + Duration::from_secs(120);
    while Instant::now() < end && !(images.exists() && UnixStream::connect(CONTAINERD_SOCKET).is_ok()) {
        sleep(Duration::from_millis(50));
    }
    let images = images.display().to_string();
    run(
        "ctr",
        &[
            "--address",
            CONTAINERD_SOCKET,
            "--namespace",
            "k8s.io",
            "images",
            "import",
            "--snapshotter",
            "native",
            &images,
        ],
        "",
    )
    .map(drop)
}

fn link(original: &Path, name: &Path) -> Result<(), GuestError> {
    symlink(original, name).map_err(|source| GuestError::File {
        action: "link",
        path: name.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conflist_has_the_name_version_and_file_shape_that_terway_gives_it() {
        let list: serde_json::Value = serde_json::from_str(TERWAY_CONFLIST).unwrap();
        assert_eq!(list["name"], "terway-chainer");
        assert_eq!(list["cniVersion"], "0.4.0");
        assert_eq!(list["plugins"][0]["type"], "terway");
        assert_eq!(list["plugins"][0]["eniip_virtual_type"], "veth");
    }
}
