//! The plugin's program on the node.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cni_spec::PLUGIN_TYPE;
use thiserror::Error;

use crate::replace::{Access, replace, sweep};

const MODE: u32 = 0o755;

/// Keeps the plugin's program in the node's directory of CNI plugins.
#[derive(Debug)]
pub struct PluginBinary {
    source: PathBuf,
    directory: PathBuf,
    /// What source and target were when they were last found equal.
    equal: Option<(Stamp, Stamp)>,
}

/// Tells a file that was not touched without reading it.
type Stamp = (u64, u64, u64, i64, i64);

impl PluginBinary {
    /// `source` is the program; `directory` where runtimes look for plugins.
    pub fn new(source: PathBuf, directory: PathBuf) -> Self {
        Self { source, directory, equal: None }
    }

    /// Where the program is for the runtime.
    pub fn target(&self) -> PathBuf {
        self.directory.join(PLUGIN_TYPE)
    }

    /// Removes what a killed process of ours left.
    pub fn sweep(&self) -> Result<usize, PluginBinaryError> {
        sweep(&self.directory).map_err(io("clean up", &self.directory))
    }

    /// Copies the program unless an equal one is there; says whether it did. A program that runs meanwhile is not
    /// disturbed: its file lives on without a name.
    pub fn ensure(&mut self) -> Result<bool, PluginBinaryError> {
        let target = self.target();
        let stamps = || Some((stamp(&self.source).ok()?, stamp(&target).ok()?));
        if self.equal.is_some() && self.equal == stamps() {
            return Ok(false);
        }
        self.equal = None;
        let content = fs::read(&self.source).map_err(io("read", &self.source))?;
        fs::create_dir_all(&self.directory).map_err(io("make", &self.directory))?;
        let same = fs::read(&target).is_ok_and(|present| present == content)
            && fs::metadata(&target).is_ok_and(|file| file.mode() & 0o7777 == MODE);
        if !same {
            replace(&target, &content, Access::own(MODE)).map_err(io("write", &target))?;
        }
        self.equal = stamps();
        Ok(!same)
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let file = fs::metadata(path)?;
    Ok((file.dev(), file.ino(), file.len(), file.ctime(), file.ctime_nsec()))
}

fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> PluginBinaryError + 'a {
    move |source| PluginBinaryError { action, path: path.to_owned(), source }
}

/// Why the program is not in place.
#[derive(Debug, Error)]
#[error("cannot {action} {path}, which is needed to install the plugin: {source}")]
pub struct PluginBinaryError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_program_is_copied_when_it_differs_and_only_then() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("plugin");
        fs::write(&source, "one").unwrap();
        let mut binary = PluginBinary::new(source.clone(), dir.path().join("bin"));
        assert!(binary.ensure().unwrap());
        assert!(!binary.ensure().unwrap());
        fs::write(&source, "two!").unwrap();
        assert!(binary.ensure().unwrap());
        assert_eq!(fs::read_to_string(binary.target()).unwrap(), "two!");
        fs::set_permissions(binary.target(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(binary.ensure().unwrap());
        assert_eq!(fs::metadata(binary.target()).unwrap().mode() & 0o7777, 0o755);
        fs::remove_file(binary.target()).unwrap();
        assert!(binary.ensure().unwrap());
        assert!(!PluginBinary::new(source, dir.path().join("bin")).ensure().unwrap());
    }

    #[test]
    fn a_program_that_runs_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("plugin");
        let mut binary = PluginBinary::new(source.clone(), dir.path().join("bin"));
        fs::copy("/bin/sleep", &source).unwrap();
        binary.ensure().unwrap();
        let mut running = std::process::Command::new(binary.target()).arg("60").spawn().unwrap();
        fs::write(&source, "another").unwrap();
        let replaced = binary.ensure();
        running.kill().unwrap();
        running.wait().unwrap();
        assert!(replaced.unwrap());
    }

    #[test]
    fn a_missing_source_is_an_error_that_names_it_and_leaves_the_target() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("plugin");
        fs::write(&source, "one").unwrap();
        let mut binary = PluginBinary::new(source.clone(), dir.path().join("bin"));
        binary.ensure().unwrap();
        fs::remove_file(&source).unwrap();
        let error = binary.ensure().unwrap_err().to_string();
        assert!(error.contains(&source.display().to_string()), "{error}");
        assert_eq!(fs::read_to_string(binary.target()).unwrap(), "one");
    }
}
