//! What the agent made on the node and others could have made as well: `made.json`, so that uninstalling undoes this and
//! nothing else.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use smc_model::{PnetId, Ueid};

use crate::{Document, StateError, Store};

/// Written when something was made. The kernel forgets it at a reboot, and so does the state directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Made {
    /// PNETIDs given to RDMA ports.
    pub ports: BTreeSet<BoundPort>,
    /// Enterprise ids added.
    pub ueids: BTreeSet<Ueid>,
}

/// An RDMA port and the PNETID that the agent gave it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BoundPort {
    /// The device.
    pub device: String,
    /// Its port, from 1.
    pub port: u8,
    /// The id.
    pub pnetid: PnetId,
}

impl Document for Made {
    const FILE: &'static str = "made.json";
    const WHAT: &'static str = "list of what the agent made";
    const VERSION: u32 = 1;
}

impl Made {
    /// Adds what else was made.
    pub fn extend(&mut self, more: Self) {
        self.ports.extend(more.ports);
        self.ueids.extend(more.ueids);
    }

    /// Adds to what is on record.
    pub fn remember(&self, store: &Store) -> Result<(), StateError> {
        if *self == Self::default() {
            return Ok(());
        }
        let mut all: Self = store.read_document()?.unwrap_or_default();
        all.extend(self.clone());
        store.write_document(&all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_earlier_stays_on_record() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let port =
            |device: &str| BoundPort { device: device.into(), port: 1, pnetid: "NET1".parse().unwrap() };
        let made = |device: &str| Made { ports: [port(device)].into(), ..Made::default() };
        made("rxe0").remember(&store).unwrap();
        Made::default().remember(&store).unwrap();
        made("rxe1").remember(&store).unwrap();
        let all: Made = store.read_document().unwrap().unwrap();
        assert_eq!(all.ports, [port("rxe0"), port("rxe1")].into());
    }
}
