use super::*;

#[test]
fn a_device_that_is_not_there_is_unknown_and_no_failure() {
    for name in ["no_such_device", "", "\0", "../../etc/passwd"] {
        let DeviceLimits::Unknown(reason) = device_limits(name) else { panic!("{name:?} is known") };
        assert!(matches!(reason, Unknown::NoSuchDevice | Unknown::NoRdma(_)), "{reason:?}");
    }
}

#[test]
fn asking_again_and_again_leaves_no_descriptor_open() {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    device_limits("warm-up");
    let before = open();
    for _ in 0..50 {
        device_limits("no_such_device");
    }
    // Other tests of this process open and close some, too.
    assert!(open() < before + 25);
}

#[test]
fn a_reason_says_what_stood_in_the_way() {
    let reason = Unknown::NoDeviceAccess(Errno::EPERM);
    assert_eq!(reason.to_string(), "no device access (EPERM: Operation not permitted)");
    assert!(Unknown::NoSuchDevice.to_string().contains("/dev/infiniband"));
}
