//! Remove what is ours beside the lists.

use std::fs;
use std::io;
use std::path::Path;

use super::Problem;
use super::provenance::Ours;
use crate::chain::replace;

/// Removes a drop-in, and its directory when it was made for it and nobody else uses it.
pub(super) fn remove_drop_in(path: &Path, made_directory: bool) -> Result<(), Problem> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Problem::io("remove", path)(error));
        }
        _ => {}
    }
    let Some(dir) = path.parent().filter(|_| made_directory) else { return Ok(()) };
    replace::sweep(dir).map_err(Problem::io("clean up", dir))?;
    match fs::remove_dir(dir) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
            Err(Problem::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}

/// Removes temporary files from the configuration directory and those of our drop-ins.
pub(super) fn sweep_confs(conf_dir: &Path, ours: &Ours) -> Result<usize, Problem> {
    let beside = ours.drop_ins.keys().filter_map(|path| Some(conf_dir.join(path.parent()?)));
    let mut swept = 0;
    for dir in [conf_dir.to_owned()].into_iter().chain(beside) {
        swept += replace::sweep(&dir).map_err(Problem::io("clean up", &dir))?;
    }
    Ok(swept)
}
