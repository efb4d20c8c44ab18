//! The node's file systems: the machine's own root is there already, read-only under a writable overlay.

use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::{GuestError, make_directory, run};
use crate::layout::BootWords;

/// Directories that must not show this machine's own content, and are empty after every boot.
const FRESH: [(&str, &str); 4] =
    [("/run", "mode=755"), ("/tmp", "mode=1777"), ("/dev/shm", "mode=1777"), ("/mnt", "mode=755")];

/// Directories that must not show this machine's own content, and outlive a reboot.
const LASTING: [&str; 7] = [
    "/var/log",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/lib/kube-smc",
    "/etc/cni",
    "/opt/cni",
];

const DISK_DEVICE: &str = "/dev/vda";
const DISK: &str = "/run/rig/disk";

/// Mounts `/proc`, for the kernel command line.
pub fn mount_proc() -> Result<(), GuestError> {
    make_directory("/proc")?;
    mount_one(None, "proc", Path::new("/proc"), MsFlags::empty(), None)
}

/// Mounts everything else a node's programs expect, and the repository without caching.
pub fn mount_all(words: &BootWords) -> Result<(), GuestError> {
    // As an init system does: container runtimes and DaemonSets rely on mount events propagating.
    let shared = MsFlags::MS_REC | MsFlags::MS_SHARED;
    mount(None::<&str>, "/", None::<&str>, shared, None::<&str>).map_err(|source| GuestError::Mount {
        kind: "shared",
        target: "/".into(),
        source,
    })?;
    let none = MsFlags::empty();
    for (kind, target, options) in [
        ("sysfs", "/sys", None),
        ("devtmpfs", "/dev", None),
        ("devpts", "/dev/pts", Some("mode=620,ptmxmode=666")),
        ("mqueue", "/dev/mqueue", None),
        ("cgroup2", "/sys/fs/cgroup", None),
        ("bpf", "/sys/fs/bpf", Some("mode=700")),
        ("tracefs", "/sys/kernel/tracing", None),
    ] {
        let target = Path::new(target);
        if target.starts_with("/dev") {
            make_directory(target)?;
        }
        mount_one(None, kind, target, none, options)?;
    }
    for (target, options) in FRESH {
        let target = Path::new(target);
        if !words.repository.starts_with(target) && !words.modules.starts_with(target) {
            make_directory(target)?;
            mount_one(None, "tmpfs", target, none, Some(options))?;
        }
    }
    let modules = Path::new("/usr/lib/modules");
    make_directory(modules)?;
    bind(&words.modules, modules)?;
    mount_disk()?;
    // The overlay trusts its lower layer never to change; here, programs are rebuilt while the node runs.
    let options = Some("trans=virtio,version=9p2000.L,msize=512000,cache=mmap");
    mount_one(Some("repository"), "9p", &words.repository, MsFlags::MS_RDONLY, options)
}

/// Mounts the node's disk, and its directories to where they belong. A kernel of somebody's own may have no drivers for it:
/// memory must do then, and nothing outlives a reboot.
fn mount_disk() -> Result<(), GuestError> {
    let disk = Path::new(DISK);
    make_directory(disk)?;
    match run("modprobe", &["-a", "virtio_blk", "ext4"], "") {
        Ok(_) => mount_one(Some(DISK_DEVICE), "ext4", disk, MsFlags::MS_NOATIME, None)?,
        Err(_) => mount_one(None, "tmpfs", disk, MsFlags::empty(), Some("mode=755"))?,
    }
    for target in LASTING {
        let source = disk.join(target.trim_start_matches('/'));
        make_directory(&source)?;
        make_directory(target)?;
        bind(&source, Path::new(target))?;
    }
    Ok(())
}

/// Makes the directory or file at `source` appear at `target`, too.
pub(crate) fn bind(source: &Path, target: &Path) -> Result<(), GuestError> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|source| GuestError::Mount { kind: "bind", target: target.to_owned(), source })
}

fn mount_one(
    source: Option<&'static str>,
    kind: &'static str,
    target: &Path,
    flags: MsFlags,
    options: Option<&str>,
) -> Result<(), GuestError> {
    let result = mount(Some(source.unwrap_or(kind)), target, Some(kind), flags, options);
    result.map_err(|source| GuestError::Mount { kind, target: target.to_owned(), source })
}
