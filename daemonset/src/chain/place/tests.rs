use super::*;

fn chain(conf_dir: &str, bin_dir: &str) -> LoadedChain {
    LoadedChain {
        conf_dir: conf_dir.into(),
        bin_dirs: vec![bin_dir.into()],
        networks: Vec::new(),
        load_error: None,
    }
}

fn place(start: Instant) -> Place {
    Place::new(Path::new("/etc/cni/net.d"), Path::new("/opt/cni/bin"), start)
}

#[test]
fn nothing_may_be_written_until_the_runtime_has_said_that_it_looks_there() {
    let start = Instant::now();
    let mut place = place(start);
    assert!(place.closed_until(start).is_some());
    assert_eq!(place.next_ask(), Some(start));
    place.answered(&Ok(chain("/etc/cni/net.d", "/opt/cni/bin")), start);
    assert_eq!((place.closed_until(start), place.next_ask()), (None, None));
}

#[test]
fn a_runtime_that_looks_elsewhere_closes_until_it_does_not_any_more() {
    let start = Instant::now();
    let mut place = place(start);
    place.answered(&Ok(chain("/etc/cni/net.d", "/var/lib/k3s/bin")), start);
    assert!(matches!(place.problem(), Some(Problem::OtherBinDir { .. })));
    let later = start + LATER;
    assert_eq!((place.closed_until(start), place.next_ask()), (Some(later), Some(later)));
    // It restarts, and does not answer meanwhile.
    place.answered(&Err(RuntimeError::Call("connection refused".to_owned())), later);
    assert!(place.problem().is_some() && place.closed_until(later).is_some());
    place.answered(&Ok(chain("/etc/cni/net.d", "/opt/cni/bin")), later + LATER);
    assert!(place.problem().is_none() && place.closed_until(later + LATER).is_none());
    // And the other way about.
    place.answered(&Ok(chain("/etc/other", "/opt/cni/bin")), later + LATER);
    assert!(matches!(place.problem(), Some(Problem::OtherConfDir { .. })));
}

#[test]
fn one_that_cannot_be_asked_is_waited_for_and_then_what_was_given_is_believed() {
    let start = Instant::now();
    let mut place = place(start);
    let refused = || Err(RuntimeError::Call("connection refused".to_owned()));
    place.answered(&refused(), start);
    assert_eq!(place.next_ask(), Some(start + SOON));
    assert_eq!(place.closed_until(start + SOON), Some(start + FIRST_ANSWER));
    assert_eq!(place.closed_until(start + FIRST_ANSWER), None);
    place.answered(&refused(), start + FIRST_ANSWER);
    assert_eq!(place.next_ask(), None);
    for told in [RuntimeError::Silent, RuntimeError::Nobody] {
        let mut place = self::place(start);
        place.answered(&Err(told), start);
        assert_eq!(place.closed_until(start), None);
    }
}
