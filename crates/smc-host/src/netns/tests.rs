use super::*;

#[test]
fn a_file_that_is_no_namespace_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Netns::open(file.path()).unwrap_err();
    assert!(error.with_cause().contains("not a namespace"), "{}", error.with_cause());
}

#[test]
fn a_namespace_of_another_kind_is_refused() {
    let error = Netns::open(Path::new("/proc/self/ns/mnt")).unwrap_err();
    assert!(error.with_cause().contains("not a network namespace"), "{}", error.with_cause());
}

#[test]
fn a_fifo_in_the_namespaces_place_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || sender.send(Netns::open(&path).map(drop).map_err(|error| error.with_cause())));
    let answer = receiver.recv_timeout(std::time::Duration::from_secs(5)).unwrap();
    assert!(answer.unwrap_err().contains("not a namespace"));
}

#[test]
fn a_path_that_is_gone_is_named_in_the_error() {
    let error = Netns::open(Path::new("/run/netns/that-is-gone")).unwrap_err();
    assert!(error.with_cause().contains("/run/netns/that-is-gone"));
    assert_eq!(error.errno(), Some(libc::ENOENT));
}

#[test]
fn the_current_namespace_has_a_stable_identity() {
    assert_eq!(Netns::current().unwrap().id(), Netns::current().unwrap().id());
}

#[test]
fn a_connections_namespace_is_the_one_it_was_opened_in() {
    let route = Connection::open(Protocol::Route).unwrap();
    match Netns::of(&route) {
        Ok(netns) => assert_eq!(netns.id(), Netns::current().unwrap().id()),
        Err(error) => assert_eq!(error.errno(), Some(libc::EPERM), "{}", error.with_cause()),
    }
}
