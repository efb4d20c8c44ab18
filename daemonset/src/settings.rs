//! Settings that may change while the agent runs: a directory with a file each, as kubelet mounts a ConfigMap.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use smc_model::{Inbound, NodeFacts, PeerRanges, PeerRangesError, Switch};
use smc_surfaces::Subject;
use thiserror::Error;

use crate::board::Board;
use crate::mesh::MeshSwitch;
use crate::pods::records::Watch;

/// Where the manifests mount the ConfigMap `smc-settings`.
pub const DEFAULT_SETTINGS_DIR: &str = "/etc/kube-smc";
/// Who may speak SMC with accelerated pods.
const INBOUND_PEERS: &str = "inbound-peers";
/// What becomes of pods where the kernel's SMC has known defects.
const KNOWN_DEFECTS: &str = "known-defects";
/// The directory that kubelet replaces as a whole when a ConfigMap changes.
const DATA: &str = "..data";
/// How often a directory is read again that is replaced while it is read.
const TRIES: usize = 3;
/// More than all ranges that may be given take.
const MAX_BYTES: u64 = 1 << 16;

/// What is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Who may speak SMC with accelerated pods; everybody, where that is not said.
    pub inbound_peers: Option<PeerRanges>,
    /// Whether a kernel whose SMC has known defects is refused.
    pub refuse_defects: bool,
}

/// What is wanted of the node, by settings and switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// Whether pods are to be accelerated.
    pub switch: Switch,
    /// Who may speak SMC with them; `None` while nobody knows.
    pub inbound: Option<Inbound>,
    /// Whether a kernel whose SMC has known defects is refused.
    pub refuse_defects: bool,
}

/// Why the settings cannot be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not a setting's name.
    #[error("there is no setting {0:?}; there are {INBOUND_PEERS} and {KNOWN_DEFECTS}")]
    Unknown(String),
    /// Not a list of ranges.
    #[error("{INBOUND_PEERS}: {0}")]
    InboundPeers(PeerRangesError),
    /// Not a word for it.
    #[error("{KNOWN_DEFECTS} is {0:?}, which is neither `tell` nor `refuse`")]
    KnownDefects(String),
}

impl Settings {
    /// Reads the settings' texts by their names, all or none.
    ///
    /// # Errors
    /// Where one cannot be understood.
    pub fn parse(texts: &BTreeMap<String, String>) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        for (name, text) in texts {
            match (name.as_str(), text.trim()) {
                // Said to be nothing, as a setting is that is not there.
                (INBOUND_PEERS | KNOWN_DEFECTS, "") | (KNOWN_DEFECTS, "tell") => {}
                (INBOUND_PEERS, text) => {
                    settings.inbound_peers = Some(text.parse().map_err(SettingsError::InboundPeers)?);
                }
                (KNOWN_DEFECTS, "refuse") => settings.refuse_defects = true,
                (KNOWN_DEFECTS, other) => return Err(SettingsError::KnownDefects(other.to_owned())),
                _ => return Err(SettingsError::Unknown(name.clone())),
            }
        }
        Ok(settings)
    }

    /// What an agent of this boot had in force, as far as what it published tells: that everybody may may also be published by one that
    /// knew no settings.
    fn of_facts(facts: &NodeFacts) -> Option<Self> {
        let refuse_defects = !facts.refused_defects.is_empty();
        match &facts.inbound {
            Inbound::Only(ranges) => Some(Self { inbound_peers: Some(ranges.clone()), refuse_defects }),
            Inbound::Any | Inbound::Nobody { .. } => None,
        }
    }
}

/// What is wanted of the node: `settings` are `None` where no good ones were ever seen.
fn wishes(settings: Option<&Settings>, switch: MeshSwitch) -> Wishes {
    let inbound = match (settings, switch) {
        (_, switch) if !switch.is_known() => None,
        (_, MeshSwitch { on: false, .. }) => {
            Some(Inbound::Nobody { why: "acceleration is switched off".to_owned() })
        }
        // Whoever meant to keep some out would let in all.
        (None, _) => Some(Inbound::Nobody { why: "the settings cannot be read".to_owned() }),
        (Some(Settings { inbound_peers: Some(ranges), .. }), _) => Some(Inbound::Only(ranges.clone())),
        (Some(_), _) => Some(Inbound::Any),
    };
    // Who meant to refuse would accelerate pods with them.
    Wishes {
        switch: switch.into(),
        inbound,
        refuse_defects: settings.is_none_or(|settings| settings.refuse_defects),
    }
}

/// The settings' texts by their names, as they were at one moment. A directory that is not there sets nothing.
fn read(directory: &Path) -> Result<BTreeMap<String, String>, SettingsError> {
    let mut tried = 0;
    loop {
        tried += 1;
        let data = fs::canonicalize(directory.join(DATA)).unwrap_or_else(|_| directory.to_owned());
        match read_from(&data) {
            // Replaced meanwhile.
            Err(SettingsError::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound && data != directory && tried < TRIES => {}
            texts => return texts,
        }
    }
}

fn read_from(data: &Path) -> Result<BTreeMap<String, String>, SettingsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SettingsError::Read { path, source }
    };
    let entries = match fs::read_dir(data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !data.ends_with(DATA) => {
            return Ok(BTreeMap::new());
        }
        entries => entries.map_err(failed(data))?,
    };
    let mut texts = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(failed(data))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // kubelet's own, and editors' leavings.
        if name.starts_with('.') {
            continue;
        }
        let size = fs::metadata(&path).map_err(failed(&path))?.len();
        if size > MAX_BYTES {
            let source =
                io::Error::other(format!("it has {size} bytes, more than the {MAX_BYTES} of any setting"));
            return Err(SettingsError::Read { path, source });
        }
        let text = fs::read_to_string(&path).map_err(failed(&path))?;
        texts.insert(name, text);
    }
    Ok(texts)
}

/// What the settings in a directory wish for, at this moment; as without any where they cannot be used.
pub fn wishes_of(directory: &Path, switch: MeshSwitch) -> Wishes {
    let settings = read(directory).and_then(|texts| Settings::parse(&texts));
    let settings = settings.inspect_err(|error| tracing::warn!("the settings cannot be used: {error}"));
    wishes(settings.ok().as_ref(), switch)
}

/// The settings as they are in force, and a look-out for changes.
#[derive(Debug)]
pub struct SettingsWatch {
    directory: PathBuf,
    watch: Watch,
    /// The last good ones.
    in_force: Option<Settings>,
    /// Whether anything was read yet.
    looked: bool,
}

impl SettingsWatch {
    /// Nothing is read yet; `before` is what an agent before this one published since the node's boot.
    pub fn new(directory: PathBuf, before: Option<&NodeFacts>) -> Self {
        let watch = Watch::new(&directory);
        Self { directory, watch, in_force: before.and_then(Settings::of_facts), looked: false }
    }

    /// Reads the settings, and says whether others are in force now. What is wrong with them is a problem on the board, and
    /// leaves the last good ones in force.
    pub fn look(&mut self, board: &Board) -> bool {
        // Before reading, so that no change is missed in between.
        let watched = if self.directory.is_dir() { self.watch.begin() } else { Ok(()) };
        let settings = read(&self.directory).and_then(|texts| Settings::parse(&texts));
        let first = !std::mem::replace(&mut self.looked, true);
        match settings {
            Ok(settings) => {
                board.problem(Subject::Settings, watched.err());
                let changed = self.in_force.as_ref() != Some(&settings);
                if changed || first {
                    tell(&settings, first);
                }
                self.in_force = Some(settings);
                changed
            }
            Err(error) => {
                let instead = match &self.in_force {
                    Some(_) => "those before stay in force",
                    None => "there were none before, so nobody may speak SMC with this node's pods",
                };
                let directory = self.directory.display();
                board.problem(Subject::Settings, Some(format!("the settings in {directory} (ConfigMap smc-settings) cannot be used: {error}; {instead}")));
                false
            }
        }
    }

    /// What is wanted of the node now.
    pub fn wishes(&self, switch: MeshSwitch) -> Wishes {
        wishes(self.in_force.as_ref(), switch)
    }

    /// Waits until it is time for a look. A directory that is not there is looked for by whoever looks anyway.
    pub async fn changed(&mut self) {
        if !self.directory.is_dir() {
            return std::future::pending().await;
        }
        self.watch.changed().await;
    }
}

fn tell(settings: &Settings, first: bool) {
    let peers = settings.inbound_peers.as_ref().map_or("any".to_owned(), ToString::to_string);
    let defects = if settings.refuse_defects { "refuse" } else { "tell" };
    // The usual ones need no word at each start.
    if !first || *settings != Settings::default() {
        tracing::info!(inbound_peers = peers, known_defects = defects, "settings in force");
    }
}

#[cfg(test)]
mod tests;
