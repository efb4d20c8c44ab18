//! What a problem of the agent's is about.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a problem of the agent's is about; at most one of each stands. The names are an interface, also as a metric's label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Subject {
    /// The plugin's entry in the CNI chain.
    Chain,
    /// Events on pods.
    Events,
    /// The log's level, where somebody asked for another one.
    LogLevel,
    /// ASM's object, which cannot be understood.
    MeshObject,
    /// The API server that has ASM's object.
    MeshServer,
    /// The file in which the last known switch is kept.
    MeshFile,
    /// The addresses of the cluster's nodes.
    NodeAddresses,
    /// The node's condition and label.
    NodeCondition,
    /// The port for metrics, health and status.
    Port,
    /// Setting up pods that were missed.
    Repair,
    /// The pods' records.
    Records,
    /// The settings that may change while the agent runs.
    Settings,
    /// The socket by which `smcctl` asks the agent.
    Socket,
    /// The startup taint.
    StartupTaint,
    /// The state directory.
    State,
    /// The file with what came of pods' traffic.
    TrafficFile,
    /// One that this version does not know.
    Other(String),
}

impl Subject {
    /// All that this version knows.
    const KNOWN: [Self; 16] = [
        Self::Chain,
        Self::Events,
        Self::LogLevel,
        Self::MeshObject,
        Self::MeshServer,
        Self::MeshFile,
        Self::NodeAddresses,
        Self::NodeCondition,
        Self::Port,
        Self::Repair,
        Self::Records,
        Self::Settings,
        Self::Socket,
        Self::StartupTaint,
        Self::State,
        Self::TrafficFile,
    ];

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Chain => "chain",
            Self::Events => "events",
            Self::LogLevel => "log level",
            Self::MeshObject => "mesh object",
            Self::MeshServer => "mesh API server",
            Self::MeshFile => "mesh file",
            Self::NodeAddresses => "node addresses",
            Self::NodeCondition => "node condition",
            Self::Port => "port",
            Self::Repair => "repair",
            Self::Records => "records",
            Self::Settings => "settings",
            Self::Socket => "socket",
            Self::StartupTaint => "startup taint",
            Self::State => "state",
            Self::TrafficFile => "traffic file",
            Self::Other(name) => name,
        }
    }

    /// Whether others are merely not told something, so that no pod is kept from SMC-R.
    pub fn is_about_telling(&self) -> bool {
        matches!(self, Self::Events | Self::NodeCondition | Self::Port)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<String> for Subject {
    fn from(name: String) -> Self {
        Self::KNOWN.into_iter().find(|subject| subject.name() == name).unwrap_or(Self::Other(name))
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Other(name) => name,
            known => known.name().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_is_read_by_its_own_name_and_one_of_another_version_keeps_its_name() {
        for subject in Subject::KNOWN {
            assert_eq!(Subject::from(subject.name().to_owned()), subject);
        }
        let later: Subject = serde_json::from_str(r#""moon""#).unwrap();
        assert_eq!(serde_json::to_string(&later).unwrap(), r#""moon""#);
    }
}
