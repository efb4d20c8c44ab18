use super::*;

fn refused(arguments: &[&str]) -> clap::Error {
    let words = ["smc-agent"].iter().chain(arguments);
    Cli::try_parse_from(words).expect_err("it cannot be used")
}

#[test]
fn a_wrong_value_of_the_config_map_is_told_with_its_key() {
    for (option, variable, value) in [
        ("--log-level", "SMC_AGENT_LOG_LEVEL", "loud"),
        ("--log-format", "SMC_AGENT_LOG_FORMAT", "xml"),
        ("--ueid", "SMC_AGENT_UEID", "no id"),
        ("--ueid", "SMC_AGENT_UEID", "A-MUCH-TOO-LONG-ENTERPRISE-ID-OF-A-CLUSTER"),
        ("--ueid", "SMC_AGENT_UEID", ""),
        ("--mesh", "SMC_AGENT_MESH", "on"),
        ("--listen", "SMC_AGENT_LISTEN", "9810"),
        ("--startup-taint", "SMC_AGENT_STARTUP_TAINT", "key:NoSchedule"),
    ] {
        let error = refused(&["run", &format!("{option}={value}")]);
        let set = |name: &str| (name == variable).then(|| value.to_owned());
        let origin = origin(&error, set).unwrap_or_else(|| panic!("{variable}: {error:?}"));
        assert!(origin.contains(&format!("{variable} in the ConfigMap smc-agent")), "{origin}");
        assert!(error.to_string().contains(value), "{error}");
    }
}

#[test]
fn one_of_several_enterprise_ids_is_told_too() {
    let error = refused(&["run", "--ueid=RIGHT,wrong"]);
    let origin = origin(&error, |_| Some("RIGHT,wrong".to_owned())).unwrap();
    assert!(origin.contains("\"wrong\" is that of SMC_AGENT_UEID"), "{origin}");
}

#[test]
fn a_value_of_the_command_line_is_not_blamed_on_the_environment() {
    let error = refused(&["run", "--mesh=on"]);
    assert_eq!(origin(&error, |_| Some("enabled".to_owned())), None);
    assert_eq!(origin(&error, |_| None), None);
    assert_eq!(origin(&refused(&["run", "--no-such-option"]), |_| Some(String::new())), None);
}

#[test]
fn an_entry_tells_the_plugin_of_what_is_not_the_usual_one() {
    let entry = |arguments: &[&str]| {
        let words = ["smc-agent", "run"].iter().chain(arguments);
        let Command::Run(args) = Cli::try_parse_from(words).unwrap().command else { panic!("not run") };
        args.chain.options(&args.state_dir).unwrap().entry
    };
    assert_eq!(entry(&["--boot-wait=60"]).boot_wait_seconds, None);
    assert_eq!(entry(&["--boot-wait=0"]).boot_wait_seconds, Some(0));
    let state_dir = |arguments: &[&str]| entry(arguments).state_dir;
    assert_eq!(state_dir(&[]), None);
    assert_eq!(state_dir(&["--state-dir=/run/kube-smc/"]), None);
    assert_eq!(state_dir(&["--state-dir=/run/other"]).as_deref(), Some("/run/other"));
    assert!(state_dir(&["--state-dir=other"]).unwrap().starts_with('/'));
}

#[test]
fn the_command_line_is_one_that_clap_can_use() {
    Cli::command().debug_assert();
}
