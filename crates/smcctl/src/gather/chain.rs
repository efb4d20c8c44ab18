//! The CNI configuration on disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cni_spec::PLUGIN_TYPE;
use cni_spec::conflist::{self, ConflistError};

use smc_surfaces::facts::ChainFacts;

pub(super) fn look(conf_dir: &Path, bin_dir: &Path) -> ChainFacts {
    let program = fs::metadata(bin_dir.join(PLUGIN_TYPE))
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    let chain = ChainFacts { program, ..ChainFacts::default() };
    match list(conf_dir) {
        Err(problem) => ChainFacts { problem: Some(problem), ..chain },
        Ok(None) => chain,
        Ok(Some(list)) => match entry(conf_dir, &list) {
            Ok(entry) => ChainFacts { list: Some(list.display().to_string()), entry, ..chain },
            Err(problem) => ChainFacts { problem: Some(problem), ..chain },
        },
    }
}

/// The configuration that runtimes take: the first by name.
fn list(conf_dir: &Path) -> Result<Option<PathBuf>, String> {
    let entries =
        fs::read_dir(conf_dir).map_err(|error| format!("cannot list {}: {error}", conf_dir.display()))?;
    let files = entries.flatten().map(|entry| entry.path()).filter(|path| !path.is_dir());
    Ok(files.filter(|path| conflist::is_configuration(path)).min())
}

/// Where our entry stands.
fn entry(conf_dir: &Path, list: &Path) -> Result<Option<String>, String> {
    let bytes = fs::read(list).map_err(|error| format!("cannot read {}: {error}", list.display()))?;
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", list.display());
    let description = conflist::describe(&bytes).map_err(|error| told(&error))?;
    let found = match conflist::find(&bytes, PLUGIN_TYPE) {
        // Which of several is meant, the agent does not know either, and says so.
        Err(ConflistError::Duplicate { .. }) => true,
        found => found.map_err(|error| told(&error))?.is_some(),
    };
    if found {
        return Ok(Some(list.display().to_string()));
    }
    let Some(beside) = description.drop_in_directory() else { return Ok(None) };
    let files = fs::read_dir(conf_dir.join(beside)).into_iter().flatten().flatten();
    let mut ours = files.map(|file| file.path()).filter(|path| {
        path.extension().is_some_and(|ending| ending == "conf")
            && fs::read(path).is_ok_and(|bytes| conflist::is_drop_in(&bytes))
    });
    Ok(ours.next().map(|path| path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_is_found_in_the_first_list_or_beside_it() {
        let (conf, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(look(conf.path(), bin.path()), ChainFacts::default());
        let list = conf.path().join("10-a.conflist");
        fs::write(&list, r#"{"name":"n","plugins":[{"type":"terway"}]}"#).unwrap();
        fs::write(conf.path().join("20-b.conflist"), r#"{"name":"m","plugins":[{"type":"smc-cni"}]}"#)
            .unwrap();
        let seen = look(conf.path(), bin.path());
        assert_eq!((seen.list, seen.entry), (Some(list.display().to_string()), None));
        fs::create_dir(conf.path().join("n")).unwrap();
        let beside = conf.path().join("n/50-smc.conf");
        fs::write(&beside, r#"{"type":"smc-cni"}"#).unwrap();
        assert_eq!(look(conf.path(), bin.path()).entry, Some(beside.display().to_string()));
        fs::write(&list, r#"{"name":"n","plugins":[{"type":"terway"},{"type":"smc-cni"}]}"#).unwrap();
        assert_eq!(look(conf.path(), bin.path()).entry, Some(list.display().to_string()));
        let twice = r#"{"name":"n","plugins":[{"type":"terway"},{"type":"smc-cni"},{"type":"smc-cni"}]}"#;
        fs::write(&list, twice).unwrap();
        assert_eq!(look(conf.path(), bin.path()).entry, Some(list.display().to_string()));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert!(look(&dir.path().join("absent"), dir.path()).problem.unwrap().contains("absent"));
        fs::write(dir.path().join("10-a.conflist"), "{").unwrap();
        assert!(look(dir.path(), dir.path()).problem.unwrap().contains("10-a.conflist"));
    }
}
