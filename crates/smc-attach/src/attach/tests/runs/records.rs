//! Records: of earlier runs, of others, and those that cannot be written.

use super::*;

#[test]
fn a_tombstone_that_comes_to_life_again_keeps_what_it_still_owns_until_that_can_be_released() {
    let rig = Rig::new(Fake::alibaba());
    let mut tombstone = rig.attach().record;
    tombstone.phase = Phase::Tombstone;
    let left = std::net::Ipv4Addr::new(10, 0, 0, 99);
    tombstone.owned.guarded.insert(left);
    tombstone.owned.guard_pins = ours().guard_pins;
    rig.store.write(&tombstone).unwrap();
    rig.kernel.0.borrow_mut().guarded.insert(left);
    rig.kernel.0.borrow_mut().refuses = Some("release");
    let again = rig.attach();
    assert!(again.changed && again.record.is_live());
    assert_eq!(again.record.owned, Owned { sysctl: true, guarded: [left].into(), converted: None, ..ours() });
    assert_eq!(again.record.plan.notes, [], "the sysctl was not taken for somebody else's");
    rig.kernel.0.borrow_mut().refuses = None;
    let owned = Owned { sysctl: true, named: ours().named, ..Owned::default() };
    assert_eq!(rig.attach().record.owned, owned);
    assert!(rig.kernel.0.borrow().guarded.is_empty(), "it is on no interface of the pod");
}

#[test]
fn a_sysctl_of_an_earlier_namespace_of_this_name_is_not_ours() {
    let rig = Rig::new(Fake::alibaba());
    let mut earlier = rig.attach().record;
    earlier.cookie = Some(smc_model::NetnsCookie(1));
    rig.store.write(&earlier).unwrap();
    let outcome = rig.attach();
    assert!(outcome.changed && !outcome.record.owned.sysctl);
    assert_eq!(outcome.record.cookie, Some(COOKIE));
}

#[test]
fn a_run_that_changes_nothing_still_records_what_it_found_to_be_ours() {
    let rig = Rig::new(Fake::mainline());
    let mut forgetful = rig.attach().record;
    forgetful.owned = Owned::default();
    rig.store.write(&forgetful).unwrap();
    let outcome = rig.attach();
    assert!(outcome.changed);
    assert_eq!(rig.recorded().owned, found());
}

#[test]
fn a_del_that_could_not_wait_is_carried_out_by_the_add_it_met() {
    let rig = Rig::new(Fake::alibaba());
    let store = rig.store.clone();
    let del = move || {
        let detached = detach(&store, &job("x").attachment, Instant::now());
        assert_eq!(detached.problems.len(), 1, "{detached:?}");
    };
    rig.kernel.0.borrow_mut().then = Some(Box::new(del));
    assert_eq!(rig.attach().record.phase, Phase::Tombstone);
    assert_eq!(rig.recorded().phase, Phase::Tombstone);
    assert!(rig.store.list().deleted.is_empty());
}

#[test]
fn a_mark_of_an_earlier_del_does_not_end_a_later_add() {
    let rig = Rig::new(Fake::alibaba());
    rig.store.mark_deleted(&job("x").attachment).unwrap();
    assert_eq!(rig.attach().record.phase, Phase::Settled);
    assert!(rig.store.list().deleted.is_empty());
}

#[test]
fn an_unreadable_record_is_set_aside_and_made_anew() {
    let rig = Rig::new(Fake::mainline());
    rig.attach();
    let path = rig.store.pods_dir().join("abc-eth0.json");
    fs::write(&path, "{").unwrap();
    assert_eq!(rig.attach().record.owned, found());
    assert!(rig.store.pods_dir().join("abc-eth0.json.unreadable").exists());
}

#[test]
fn when_the_hosts_addresses_stay_locked_the_pod_is_refused_for_want_of_time() {
    let rig = Rig::new(Fake::mainline());
    let held = rig.store.lock_addresses(Instant::now()).unwrap();
    let soon = Budget { deadline: Instant::now() + Duration::from_millis(200), started_ms: 1 };
    let refused = rig.try_attach(Wish::Enabled, soon).unwrap().record;
    drop(held);
    assert_eq!(refused.verdict.unwrap().reason().unwrap().name(), "BudgetExceeded");
    assert!(!rig.converted());
    assert!(rig.kernel.0.borrow().guarded.is_empty());
    assert!(refused.owned.guarded.is_empty(), "what nobody did is nobody's: {:?}", refused.owned);
}

#[test]
fn work_that_was_held_until_its_time_was_up_leaves_what_was_made_of_the_pod_since() {
    let rig = Rig::new(Fake::mainline());
    let later = Budget { started_ms: 20, ..budget() };
    let since = rig.try_attach(Wish::Enabled, later).unwrap().record;
    let held = Budget { deadline: Instant::now(), started_ms: 10 };
    let outcome = rig.try_attach(Wish::Enabled, held).unwrap();
    assert_eq!((outcome.changed, &outcome.record), (false, &since));
    assert!(rig.converted() && rig.recorded() == since);
    // What was made before it began is not that.
    let earlier = Budget { deadline: Instant::now(), started_ms: 30 };
    let refused = rig.try_attach(Wish::Enabled, earlier).unwrap().record;
    assert_eq!(refused.verdict.unwrap().reason().unwrap().name(), "BudgetExceeded");
}

#[test]
fn what_cannot_be_recorded_in_the_end_is_taken_back() {
    let rig = Rig::new(Fake::mainline());
    let dir = rig.store.pods_dir();
    // A record that is a directory can neither be replaced nor written.
    rig.kernel.0.borrow_mut().then = Some(Box::new(move || {
        fs::remove_file(dir.join("abc-eth0.json")).unwrap();
        fs::create_dir_all(dir.join("abc-eth0.json/x")).unwrap();
    }));
    let error = rig.try_attach(Wish::Enabled, budget()).unwrap_err();
    assert!(matches!(error, AttachError::State(_)), "{error}");
    assert!(!rig.converted());
    let kernel = rig.kernel.0.borrow();
    assert!(kernel.pnetid.is_none());
    assert_eq!(kernel.entered, 1);
}

#[test]
fn an_address_taken_back_stays_where_another_living_pod_owns_it() {
    let rig = Rig::new(Fake::mainline());
    let mut other = rig.attach().record;
    other.attachment = AttachmentId::new("other", "eth0").unwrap();
    other.owned = Owned { guarded: [ADDRESS].into(), ..Owned::default() };
    rig.store.write(&other).unwrap();
    rig.store.remove(&job("x").attachment).unwrap();
    {
        let mut kernel = rig.kernel.0.borrow_mut();
        kernel.guarded.clear();
        (kernel.pnetid, kernel.in_map) = (None, false);
        kernel.refuses = Some("/map");
    }
    let refused = rig.attach().record;
    assert_eq!(refused.owned, Owned::default());
    assert!(rig.kernel.0.borrow().guarded.contains(&ADDRESS), "it is the other's");
}
