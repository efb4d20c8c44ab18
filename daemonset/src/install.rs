//! Put the plugin's binary and its chain entry in place, once.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use cni_spec::PLUGIN_TYPE;
use cni_spec::conflist::{self, Change, Entry};

/// Copies the plugin to `bin_dir`, unless it is there already; says whether it did.
pub fn binary(plugin: &Path, bin_dir: &Path) -> Result<bool> {
    let content = fs::read(plugin).with_context(|| format!("cannot read the plugin {}", plugin.display()))?;
    fs::create_dir_all(bin_dir).with_context(|| format!("cannot make {}", bin_dir.display()))?;
    let target = bin_dir.join(PLUGIN_TYPE);
    if fs::read(&target).is_ok_and(|present| present == content) {
        return Ok(false);
    }
    replace(&target, &content, 0o755)?;
    Ok(true)
}

/// Puts our entry into the configuration list `conf`; every other byte stays as it is. Says whether anything changed.
pub fn chain_entry(conf: &Path, entry: &Entry) -> Result<bool> {
    let shown = conf.display();
    let content = fs::read(conf).with_context(|| format!("cannot read {shown}"))?;
    let edited =
        conflist::insert(&content, entry).with_context(|| format!("cannot add {PLUGIN_TYPE} to {shown}"))?;
    if edited.change == Change::Unchanged {
        return Ok(false);
    }
    let mode = fs::metadata(conf).with_context(|| format!("cannot look at {shown}"))?.permissions().mode();
    replace(conf, &edited.bytes, mode & 0o777)?;
    Ok(true)
}

/// The configuration list that the runtime uses: the first by name in `conf_dir`.
pub fn active_list(conf_dir: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(conf_dir).with_context(|| format!("cannot list {}", conf_dir.display()))?;
    let mut confs: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| is_conf(path)).collect();
    confs.sort();
    match confs.into_iter().next() {
        Some(first) if first.extension().is_some_and(|extension| extension == "conflist") => Ok(first),
        Some(first) => bail!(
            "{} is a single plugin's configuration, not a list: nothing can be chained behind it",
            first.display()
        ),
        None => {
            bail!("no network configuration in {}: install the primary CNI plugin first", conf_dir.display())
        }
    }
}

/// What runtimes take for a configuration (libcni, `ConfFiles`).
fn is_conf(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| ["conf", "conflist", "json"].iter().any(|known| extension == *known))
}

/// Replaces a file in one step that also survives a power cut: a temporary file in the same directory (a rename from
/// elsewhere is invisible to containerd) under a name that no runtime reads, synced, renamed, directory synced.
fn replace(target: &Path, content: &[u8], mode: u32) -> Result<()> {
    let dir = target.parent().unwrap_or(Path::new("/"));
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let temporary = dir.join(format!(".{name}.kube-smc-{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, target)?;
        File::open(dir)?.sync_all()
    };
    write()
        .inspect_err(|_| drop(fs::remove_file(&temporary)))
        .with_context(|| format!("cannot write {}", target.display()))
}

#[cfg(test)]
mod tests {
    use cni_spec::Policy;

    use super::*;

    const TERWAY: &str = r#"{"cniVersion":"0.4.0","name":"terway-chainer","plugins":[{"type":"terway"}]}"#;

    fn entry() -> Entry {
        Entry { policy: Policy::Preferred, state_dir: None, log_dir: None }
    }

    #[test]
    fn the_chain_entry_is_added_once_and_keeps_the_files_mode() {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("10-terway.conflist");
        fs::write(&conf, TERWAY).unwrap();
        fs::set_permissions(&conf, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(chain_entry(&conf, &entry()).unwrap());
        assert!(!chain_entry(&conf, &entry()).unwrap());
        let text = fs::read_to_string(&conf).unwrap();
        assert!(text.contains(r#""type":"terway"}"#) && text.contains("smc-cni"), "{text}");
        assert_eq!(fs::metadata(&conf).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_half_written_list_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("10-terway.conflist");
        fs::write(&conf, &TERWAY[..40]).unwrap();
        assert!(chain_entry(&conf, &entry()).is_err());
        assert_eq!(fs::read_to_string(&conf).unwrap(), &TERWAY[..40]);
    }

    #[test]
    fn the_first_configuration_by_name_counts_as_for_the_runtime() {
        let dir = tempfile::tempdir().unwrap();
        assert!(active_list(dir.path()).is_err());
        for name in ["20-b.conflist", "10-a.conflist", "00-README", "05-x.conflist.bak"] {
            fs::write(dir.path().join(name), TERWAY).unwrap();
        }
        assert_eq!(active_list(dir.path()).unwrap(), dir.path().join("10-a.conflist"));
        fs::write(dir.path().join("00-single.conf"), "{}").unwrap();
        assert!(active_list(dir.path()).unwrap_err().to_string().contains("single plugin"));
    }

    #[test]
    fn the_binary_is_copied_only_when_it_differs() {
        let dir = tempfile::tempdir().unwrap();
        let plugin = dir.path().join("plugin");
        fs::write(&plugin, "one").unwrap();
        let bin = dir.path().join("bin");
        assert!(binary(&plugin, &bin).unwrap());
        assert!(!binary(&plugin, &bin).unwrap());
        fs::write(&plugin, "two").unwrap();
        assert!(binary(&plugin, &bin).unwrap());
        assert_eq!(fs::metadata(bin.join(PLUGIN_TYPE)).unwrap().permissions().mode() & 0o777, 0o755);
    }
}
