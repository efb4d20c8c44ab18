use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn options_of_a_command_to_run_are_its_own() {
    let cli = Cli::try_parse_from(["rig", "exec", "1", "--", "ls", "--name", "-l"]).unwrap();
    assert_eq!(cli.name, RigName::default());
    let Command::Exec { node, command } = cli.command else { panic!("not exec") };
    assert_eq!((node, command.argv), (1, ["ls", "--name", "-l"].map(String::from).to_vec()));
}

#[test]
fn a_rig_has_one_to_three_nodes() {
    assert!(Cli::try_parse_from(["rig", "up", "--nodes", "2", "--kernel", "6.1"]).is_ok());
    for nodes in ["0", "4", "x"] {
        assert!(Cli::try_parse_from(["rig", "up", "--nodes", nodes]).is_err(), "{nodes}");
    }
}

#[test]
fn a_command_to_run_is_required() {
    assert!(Cli::try_parse_from(["rig", "exec", "1"]).is_err());
    assert!(Cli::try_parse_from(["rig", "pod", "1", "web", "--"]).is_err());
}

#[test]
fn a_pods_options_make_its_specification() {
    let line = "rig pod 1 web --cap NET_ADMIN --env A=b=c --mount /run/x:/x -- nginx -g";
    let Command::Pod { container, .. } = Cli::try_parse_from(line.split(' ')).unwrap().command else {
        panic!("not pod")
    };
    let expected =
        PodSpec::new("web", &["nginx", "-g"]).capability("NET_ADMIN").env("A", "b=c").mount("/run/x", "/x");
    assert_eq!(container.to_pod("web"), expected);
}

#[test]
fn malformed_pairs_and_mounts_are_refused() {
    for text in ["", "a", "=b"] {
        assert!(pair(text).is_err(), "{text:?}");
    }
    for text in ["", "/a", "a:/b", "/a:b"] {
        assert!(mount(text).is_err(), "{text:?}");
    }
}
