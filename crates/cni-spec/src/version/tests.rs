use super::*;

#[test]
fn every_version_reads_back_from_its_text() {
    for version in Version::ALL {
        assert_eq!(version.to_string().parse(), Ok(version));
    }
}

#[test]
fn versions_are_listed_from_old_to_new() {
    assert!(Version::ALL.is_sorted());
    assert_eq!(Version::ALL.last(), Some(&Version::LATEST));
}

#[test]
fn other_texts_are_not_versions() {
    for text in ["", "0.2.0", "0.4", "0.4.0 ", "v1.0.0", "1.2.0", "1.1.0-rc1"] {
        assert_eq!(text.parse::<Version>(), Err(UnsupportedVersion(text.to_owned())));
    }
}

#[test]
fn commands_appear_in_the_version_that_brought_them() {
    let check = Version::ALL.map(Version::supports_check);
    assert_eq!(check, [false, false, true, true, true]);
    let gc_and_status = Version::ALL.map(Version::supports_gc_and_status);
    assert_eq!(gc_and_status, [false, false, false, false, true]);
}

#[test]
fn a_version_request_is_answered_in_its_own_version() {
    assert_eq!(
        version_result(Some("0.4.0")),
        r#"{"cniVersion":"0.4.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}"#
    );
    assert!(version_result(Some("9.9.9")).starts_with(r#"{"cniVersion":"9.9.9","#));
    assert!(version_result(Some("a\"b")).starts_with(r#"{"cniVersion":"a\"b","#));
    assert!(version_result(None).starts_with(r#"{"cniVersion":"1.1.0","#));
}

#[test]
fn the_requested_version_is_read_when_it_can_be() {
    assert_eq!(requested_version(br#"{"cniVersion":"0.4.0","x":[1]}"#).as_deref(), Some("0.4.0"));
    for stdin in [&b""[..], b"{", b"{}", br#"{"cniVersion":4}"#, b"\xff"] {
        assert_eq!(requested_version(stdin), None);
    }
}
