use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn environment(variables: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
    Environment::from_lookup(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| *value))
}

/// A complete environment with some variables given another value.
fn changed(changes: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
    let mut variables = changes.to_vec();
    variables.extend([
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "ab12"),
        ("CNI_NETNS", "/run/netns/x"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", "K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod"),
        ("CNI_PATH", "/opt/cni/bin"),
    ]);
    environment(&variables)
}

#[test]
fn a_complete_environment_is_read() {
    let read = changed(&[]).unwrap();
    assert_eq!(read.command, Command::Add);
    assert_eq!(read.container_id, "ab12");
    assert_eq!(read.netns.as_deref(), Some(Path::new("/run/netns/x")));
    assert_eq!(read.ifname, "eth0");
    assert_eq!(read.args.pod(), Some(("ns", "pod")));
    assert_eq!(read.path, Some("/opt/cni/bin".into()));
}

#[test]
fn each_command_names_all_it_misses_at_once() {
    let attachment: &[&str] = &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"];
    for (command, needed) in [
        ("ADD", attachment),
        ("CHECK", attachment),
        ("DEL", &["CNI_CONTAINERID", "CNI_IFNAME"]),
        ("VERSION", &[]),
        ("STATUS", &[]),
        ("GC", &[]),
    ] {
        let outcome = environment(&[("CNI_COMMAND", command), ("CNI_NETNS", "")]);
        if needed.is_empty() {
            assert_eq!(outcome.unwrap().netns, None, "{command}");
        } else {
            assert_eq!(outcome, Err(EnvironmentError::Missing { variables: needed.to_vec() }), "{command}");
        }
    }
}

#[test]
fn an_error_names_the_variables_with_code_4() {
    let error = CniError::from(environment(&[("CNI_COMMAND", "ADD"), ("CNI_IFNAME", "eth0")]).unwrap_err());
    assert_eq!(error.code, 4);
    assert_eq!(error.msg, "missing environment variables: CNI_CONTAINERID, CNI_NETNS");
}

#[test]
fn a_second_del_has_an_empty_namespace() {
    assert_eq!(changed(&[("CNI_COMMAND", "DEL"), ("CNI_NETNS", "")]).unwrap().netns, None);
}

#[test]
fn a_missing_or_unknown_command_is_an_error() {
    assert_eq!(environment(&[]), Err(EnvironmentError::Missing { variables: vec!["CNI_COMMAND"] }));
    for command in ["add", "UPDATE", "ADD "] {
        let error = changed(&[("CNI_COMMAND", command)]).unwrap_err();
        assert_eq!(error, EnvironmentError::UnknownCommand { found: command.to_owned() });
    }
}

#[test]
fn commands_without_an_attachment_ignore_one() {
    for command in ["VERSION", "STATUS", "GC"] {
        let read =
            changed(&[("CNI_COMMAND", command), ("CNI_CONTAINERID", "../x"), ("CNI_IFNAME", "a/b")]).unwrap();
        assert_eq!((read.container_id.as_str(), read.ifname.as_str()), ("", ""), "{command}");
    }
}

#[test]
fn container_ids_that_are_no_file_names_are_refused() {
    for id in ["a", "0", "A-b_c.d", "ab..cd", "7.", &"f".repeat(64)] {
        assert_eq!(validate_container_id(id), Ok(()), "{id:?}");
    }
    for id in ["", ".", "..", "../a", "a/b", "-a", "_a", ".a", "a b", "a\n", "a\0", "ä", "a;b", "a%2f"] {
        assert!(validate_container_id(id).is_err(), "{id:?}");
    }
    assert!(matches!(
        changed(&[("CNI_CONTAINERID", "a/../../b")]),
        Err(EnvironmentError::InvalidContainerId { .. })
    ));
}

#[test]
fn interface_names_the_kernel_refuses_are_refused() {
    for name in ["e", "eth0", "eth0.100", "...", "a-b_c@d", &"x".repeat(15), "ü0"] {
        assert_eq!(validate_ifname(name), Ok(()), "{name:?}");
    }
    for name in ["", ".", "..", "a/b", "/", "eth0:1", "a b", "a\tb", "a\n", "a\u{a0}", "a\0", &"x".repeat(16)]
    {
        assert!(validate_ifname(name).is_err(), "{name:?}");
    }
    assert!(matches!(changed(&[("CNI_IFNAME", "../x")]), Err(EnvironmentError::InvalidIfname { .. })));
}

#[test]
fn a_name_that_is_not_unicode_is_refused_and_a_path_is_not() {
    let bytes = || OsString::from_vec(vec![b'a', 0xff]);
    let read = |odd: &'static str| {
        Environment::from_lookup(move |name| match name {
            name if name == odd => Some(bytes()),
            "CNI_COMMAND" => Some("ADD".into()),
            _ => Some("x".into()),
        })
    };
    assert_eq!(read("CNI_IFNAME"), Err(EnvironmentError::NotUnicode { variable: "CNI_IFNAME" }));
    assert_eq!(read("CNI_CONTAINERID"), Err(EnvironmentError::NotUnicode { variable: "CNI_CONTAINERID" }));
    assert_eq!(read("CNI_NETNS").unwrap().netns, Some(PathBuf::from(bytes())));
    assert_eq!(read("CNI_ARGS").unwrap().args.malformed, ["a\u{fffd}"]);
}

#[test]
fn a_command_newer_than_the_version_is_refused() {
    for version in Version::ALL {
        for command in [Command::Add, Command::Del, Command::Version] {
            assert_eq!(command.require(version), Ok(()));
        }
        assert_eq!(Command::Check.require(version).is_ok(), version.supports_check());
        assert_eq!(Command::Gc.require(version).is_ok(), version.supports_gc_and_status());
    }
    let error = Command::Status.require(Version::V1_0_0).unwrap_err();
    assert_eq!((error.code, error.msg.as_str()), (1, "CNI 1.0.0 does not have STATUS"));
}

proptest! {
    #[test]
    fn names_that_pass_stay_inside_their_directory(id in "[a0./_-]{0,4}", ifname in "[a./: \\n]{0,4}") {
        for (name, outcome) in [(&id, validate_container_id(&id)), (&ifname, validate_ifname(&ifname))] {
            if outcome.is_ok() {
                let path = Path::new("/d").join(name);
                prop_assert_eq!(path.parent(), Some(Path::new("/d")));
                prop_assert_eq!(path.file_name().and_then(|name| name.to_str()), Some(name.as_str()));
            }
        }
    }
}
