//! containerd in a node: its settings, its CNI chain and its images.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::init;
use super::services::Service;
use super::{GuestError, make_directory, run, write_file};
use crate::layout::{
    BootWords, CONTAINERD_SOCKET, GUEST_PROGRAM, IMAGES_COMPLETE, IMAGES_DIRECTORY, PAUSE_IMAGE, POD_LOGS,
    REQUESTED_ADDRESSES, SNAPSHOTTER,
};

const CONTAINERD_CONFIGURATION: &str = "/run/rig/containerd.toml";
/// Where the stand-in for Kata's shim is: runc's, which is all that nodes without nested virtualization can run.
const STAND_IN_SHIMS: &str = "/run/rig/shims";
/// On the node's disk: which archives containerd has imported.
const IMPORTED: &str = "/var/lib/containerd/imported-by-rig";
const CNI_BINARIES: &str = "/opt/cni/bin";
const CNI_CONFIGURATION: &str = "/etc/cni/net.d";
/// Debian's containernetworking-plugins; containerd itself needs `loopback`.
const DISTRIBUTION_CNI_BINARIES: &str = "/usr/lib/cni";

/// Shaped like the file Terway writes; see `terway-cli cni` in Terway's own repository.
const TERWAY_CONFLIST: &str = include_str!("../../../../hack/guest/10-terway.conflist");
/// For Debian's containerd 1.6.
const CONTAINERD_TOML: &str = include_str!("../../../../hack/guest/containerd.toml");
/// For containerd 2.
const CONTAINERD_2_TOML: &str = include_str!("../../../../hack/guest/containerd-2.toml");

/// Writes containerd's configuration and fills the CNI directories.
pub fn write_configuration(words: &BootWords) -> Result<(), GuestError> {
    for directory in [REQUESTED_ADDRESSES, POD_LOGS, CNI_BINARIES, CNI_CONFIGURATION] {
        make_directory(directory)?;
    }
    let copy_error = |source| GuestError::File { action: "write", path: GUEST_PROGRAM.into(), source };
    fs::copy("/proc/self/exe", GUEST_PROGRAM).map_err(copy_error)?;
    link(Path::new(GUEST_PROGRAM), &Path::new(CNI_BINARIES).join("terway"))?;
    for entry in fs::read_dir(DISTRIBUTION_CNI_BINARIES).into_iter().flatten().flatten() {
        link(&entry.path(), &Path::new(CNI_BINARIES).join(entry.file_name()))?;
    }
    // One that is there from before a reboot is Terway's business, not the machine's.
    let list = Path::new(CNI_CONFIGURATION).join("10-terway.conflist");
    if !list.exists() {
        write_file(list, TERWAY_CONFLIST)?;
    }
    let template = if words.containerd.is_some() { CONTAINERD_2_TOML } else { CONTAINERD_TOML };
    let configuration = template
        .replace("@SOCKET@", CONTAINERD_SOCKET)
        .replace("@SNAPSHOTTER@", SNAPSHOTTER)
        .replace("@PAUSE_IMAGE@", PAUSE_IMAGE)
        .replace("@CNI_BINARIES@", CNI_BINARIES)
        .replace("@CNI_CONFIGURATION@", CNI_CONFIGURATION);
    make_directory(STAND_IN_SHIMS)?;
    let shims = words.containerd.as_deref().unwrap_or(Path::new("/usr/bin"));
    link(&shims.join("containerd-shim-runc-v2"), &Path::new(STAND_IN_SHIMS).join("containerd-shim-kata-v2"))?;
    write_file(CONTAINERD_CONFIGURATION, configuration)
}

/// containerd, as an init system's unit would start it.
pub fn containerd(words: &BootWords) -> Service {
    let directory = words.containerd.as_deref().unwrap_or(Path::new("/usr/bin"));
    // It looks for its shims on its path.
    let path = format!("PATH={}:{STAND_IN_SHIMS}:/usr/sbin:/usr/bin:/sbin:/bin", directory.display());
    let program = directory.join("containerd").display().to_string();
    Service::new("containerd", &["env", &path, &program, "--config", CONTAINERD_CONFIGURATION])
}

/// Imports all images as soon as containerd listens and they are there; those that the node's disk has are left out.
pub fn import_images() -> Result<(), GuestError> {
    let state = init::boot_words()?.state;
    let complete = state.join(IMAGES_COMPLETE);
    let end = Instant::now() + Duration::from_secs(120);
    while Instant::now() < end && !(complete.exists() && UnixStream::connect(CONTAINERD_SOCKET).is_ok()) {
        sleep(Duration::from_millis(50));
    }
    let imported = fs::read_to_string(IMPORTED).unwrap_or_default();
    let mut known: Vec<String> = imported.lines().map(str::to_owned).collect();
    let directory = state.join(IMAGES_DIRECTORY);
    let list_error = |source| GuestError::File { action: "list", path: directory.clone(), source };
    let mut archives: Vec<_> =
        fs::read_dir(&directory).map_err(list_error)?.flatten().map(|entry| entry.path()).collect();
    archives.retain(|path| path.extension().is_some_and(|extension| extension == "tar"));
    archives.sort();
    for archive in archives {
        let line = identity(&archive)?;
        if !known.contains(&line) {
            import(&archive)?;
            known.push(line);
        }
    }
    write_file(IMPORTED, known.join("\n"))
}

/// What tells an archive from another of the same name.
fn identity(archive: &Path) -> Result<String, GuestError> {
    let metadata = fs::metadata(archive).map_err(|source| GuestError::File {
        action: "look at",
        path: archive.to_owned(),
        source,
    })?;
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!("{name} {} {}.{:09}", metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

/// By the machine's own `ctr`, also into containerd 2: that one's own asks it to unpack by its own rules.
fn import(archive: &Path) -> Result<(), GuestError> {
    let archive = archive.display().to_string();
    let import = ["--namespace", "k8s.io", "images", "import", "--snapshotter", SNAPSHOTTER, &archive];
    run("ctr", &[&["--address", CONTAINERD_SOCKET], import.as_slice()].concat(), "").map(drop)
}

fn link(original: &Path, name: &Path) -> Result<(), GuestError> {
    // It may be there from before a reboot.
    let _ = fs::remove_file(name);
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
