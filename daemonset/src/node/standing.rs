//! Whether something of ours is on the node, to be kept.

use std::path::Path;
use std::sync::Arc;

use smc_model::{Owned, Verdict};
use smc_state::{Made, Record, Store};

use crate::node::bpf::{Pinned, PinnedGuard};

/// Whether an earlier agent or the plugin left something of ours. What cannot be read may be ours, and is kept.
pub(super) fn is_standing(store: &Store, pin_dir: &Path) -> bool {
    let made = store.read_document::<Made>();
    let of_pod = |record: &Arc<Record>| {
        let set_up = record.verdict.as_ref().is_some_and(Verdict::is_set_up);
        let nothing = Owned { peers: record.owned.peers.clone(), ..Owned::default() };
        record.is_live() && (set_up || record.owned != nothing)
    };
    made.map_or(true, |made| made.is_some_and(|made| made != Made::default()))
        || Pinned::look(pin_dir).map_or(true, |pinned| pinned.is_some())
        || PinnedGuard::look(pin_dir).map_or(true, |pinned| pinned.is_some())
        || store.list().records.iter().any(of_pod)
}

#[cfg(test)]
mod tests {
    use smc_model::Reason;
    use smc_state::BoundPort;

    use super::*;
    use crate::testing::test_values::record;

    #[test]
    fn what_an_earlier_agent_or_the_plugin_left_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (store, pins) = (Store::new(dir.path().join("state")), dir.path().join("pins"));
        assert!(!is_standing(&store, &pins));
        store.create().unwrap();
        store.write(&record("web-1", Verdict::refused(Reason::NoRdmaDevice))).unwrap();
        assert!(!is_standing(&store, &pins), "nothing was made for a pod that was refused");
        store.write(&record("web-2", Verdict::Configured)).unwrap();
        assert!(is_standing(&store, &pins));

        let store = Store::new(dir.path().join("other"));
        store.create().unwrap();
        let port = BoundPort { device: "rxe0".to_owned(), port: 1, pnetid: "NET1".parse().unwrap() };
        Made { ports: [port].into(), ..Made::default() }.remember(&store).unwrap();
        assert!(is_standing(&store, &pins));
    }
}
