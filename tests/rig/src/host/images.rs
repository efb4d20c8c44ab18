//! The images of the rig. Two are made here: a pause container, and directories for the node's own programs.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::RigError;
use super::state::{StateDirectory, repository};
use crate::layout::{IMAGES_COMPLETE, IMAGES_DIRECTORY, NODE_IMAGE, PAUSE_IMAGE};

/// Where the node's programs appear, and places that programs write to.
const DIRECTORIES: [&str; 21] = [
    "dev",
    "etc",
    "home",
    "mnt",
    "opt",
    "proc",
    "root",
    "run",
    "run/lock",
    "sys",
    "tmp",
    "usr",
    "var",
    "var/cache",
    "var/lib",
    "var/lib/nginx",
    "var/log",
    "var/log/nginx",
    "var/spool",
    "var/tmp",
    "var/www",
];
/// As Debian has them.
const LINKS: [(&str, &str); 6] = [
    ("bin", "usr/bin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
    ("sbin", "usr/sbin"),
    ("var/lock", "/run/lock"),
    ("var/run", "/run"),
];
const SEARCH_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Directories of the node that every container sees, read-only.
pub(crate) const SHARED: [&str; 4] = ["/usr", "/etc", "/opt", "/var/www"];

const OWN_ARCHIVE: &str = "0-rig.tar";

/// Compiles the pause program, and writes both images and links to `others` into the rig's state directory. Archives are
/// in a format that `ctr images import` takes, such as that of `docker save`.
pub(crate) fn write(state: &StateDirectory, others: &[PathBuf]) -> Result<(), RigError> {
    let directory = state.path().join(IMAGES_DIRECTORY);
    fs::create_dir_all(&directory).map_err(RigError::file("make the directory", &directory))?;
    for other in others {
        let link = directory.join(other.file_name().unwrap_or_default());
        let original = fs::canonicalize(other).map_err(RigError::file("find", other))?;
        symlink(original, &link).map_err(RigError::file("link", link))?;
    }
    let source = repository().join("hack/guest/pause.c");
    let program = state.path().join("pause");
    let output = Command::new("gcc").args(["-static", "-Os", "-s", "-o"]).arg(&program).arg(&source).output();
    let output = output.map_err(|source| RigError::Start { program: "gcc".to_owned(), source })?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(RigError::Program { program: "gcc".to_owned(), stderr });
    }
    let pause = fs::read(&program).map_err(RigError::file("read", &program))?;
    fs::remove_file(&program).map_err(RigError::file("remove", &program))?;

    let path = directory.join(OWN_ARCHIVE);
    let archive = archive(&pause).map_err(RigError::file("make", &path))?;
    fs::write(&path, archive).map_err(RigError::file("write", &path))?;
    let complete = state.path().join(IMAGES_COMPLETE);
    fs::write(&complete, "").map_err(RigError::file("write", complete))
}

fn archive(pause: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    let images = [
        ("pause", PAUSE_IMAGE, pause_layer(pause)?, json!(["/pause"])),
        ("node", NODE_IMAGE, node_layer()?, Value::Null),
    ];
    let mut manifest = Vec::new();
    for (name, reference, layer, entrypoint) in images {
        let configuration = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": { "Entrypoint": entrypoint, "Env": [SEARCH_PATH] },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{:x}", Sha256::digest(&layer))] },
        });
        let (layer_name, configuration_name) = (format!("{name}/layer.tar"), format!("{name}.json"));
        add_file(&mut archive, &layer_name, 0o644, &layer)?;
        add_file(&mut archive, &configuration_name, 0o644, configuration.to_string().as_bytes())?;
        manifest
            .push(json!({ "Config": configuration_name, "RepoTags": [reference], "Layers": [layer_name] }));
    }
    add_file(&mut archive, "manifest.json", 0o644, Value::from(manifest).to_string().as_bytes())?;
    archive.into_inner()
}

fn pause_layer(pause: &[u8]) -> io::Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::new());
    add_file(&mut layer, "pause", 0o755, pause)?;
    layer.into_inner()
}

fn node_layer() -> io::Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::new());
    for directory in DIRECTORIES {
        let mode = if directory.ends_with("tmp") { 0o1777 } else { 0o755 };
        let mut header = header(EntryType::Directory, mode, 0);
        layer.append_data(&mut header, Path::new(directory), io::empty())?;
    }
    for (name, target) in LINKS {
        layer.append_link(&mut header(EntryType::Symlink, 0o777, 0), name, target)?;
    }
    layer.into_inner()
}

fn add_file(archive: &mut Builder<Vec<u8>>, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut header = header(EntryType::Regular, mode, content.len() as u64);
    archive.append_data(&mut header, name, content)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests;
