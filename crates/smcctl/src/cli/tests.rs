use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_peer_may_have_a_port() {
    assert_eq!(peer("10.0.0.1"), Ok((Ipv4Addr::new(10, 0, 0, 1), PORT)));
    assert_eq!(peer("10.0.0.1:80"), Ok((Ipv4Addr::new(10, 0, 0, 1), 80)));
    assert!(peer("fe80::1").is_err() && peer("10.0.0.1:x").is_err());
}

/// The DaemonSet's.
#[test]
fn the_probes_of_the_manifests_are_understood() {
    for (word, stage) in [("started", Stage::Started), ("alive", Stage::Alive)] {
        let cli = Cli::try_parse_from(["smcctl", "probe", word]).unwrap();
        assert!(matches!(cli.command, Command::Probe { stage: told, .. } if told == stage));
    }
}

#[test]
fn json_may_stand_behind_the_command() {
    let cli = Cli::try_parse_from(["smcctl", "pods", "--json"]).unwrap();
    assert!(cli.options.json && matches!(cli.command, Command::Pods));
    let cli = Cli::try_parse_from(["smcctl", "selftest", "connect", "10.0.0.9", "--bytes", "5"]).unwrap();
    assert!(matches!(cli.command, Command::Selftest { load: Load { bytes: 5, .. }, .. }));
}
