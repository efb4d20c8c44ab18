use cni_spec::Policy;

use super::*;

const TERWAY: &str = r#"{"cniVersion":"0.4.0","name":"terway-chainer","plugins":[{"type":"terway"}]}"#;
const OPERATORS: &str = r#"{"cniVersion":"0.4.0","name":"terway-chainer","plugins":[{"type":"terway"},{"type":"smc-cni","capabilities":{"io.kubernetes.cri.pod-annotations":true},"policy":"required"},{"type":"cilium-cni"}]}"#;
const OUR_DROP_IN: &str = "terway-chainer/90-smc-cni.conf";

struct Case {
    placement: Placement,
    runtime: Option<RuntimeVersion>,
    list: String,
    list_is_ours: bool,
    drop_ins: Vec<(&'static str, String, bool)>,
}

fn case(placement: Placement, list: &str) -> Case {
    Case { placement, runtime: None, list: list.to_owned(), list_is_ours: false, drop_ins: Vec::new() }
}

impl Case {
    fn runtime(mut self, version: &str) -> Self {
        self.runtime = RuntimeVersion::parse("containerd", version);
        self
    }

    fn ours(mut self) -> Self {
        self.list_is_ours = true;
        self
    }

    fn drop_in(mut self, path: &'static str, content: &str, ours: bool) -> Self {
        self.drop_ins.push((path, content.to_owned(), ours));
        self
    }

    fn decide(&self) -> Result<(Decision, Option<Problem>), Problem> {
        self.decide_at(Path::new("/c/10-terway.conflist"))
    }

    fn decide_at(&self, path: &Path) -> Result<(Decision, Option<Problem>), Problem> {
        decide(&OnDisk {
            placement: self.placement,
            why: "because",
            runtime: self.runtime.as_ref(),
            path,
            list: self.list.as_bytes(),
            list_is_ours: self.list_is_ours,
            drop_ins: self
                .drop_ins
                .iter()
                .map(|(path, text, ours)| (path.into(), text.as_bytes(), *ours))
                .collect(),
            entry: &Entry::default(),
        })
    }

    fn decision(&self) -> Decision {
        let (decision, problem) = self.decide().unwrap();
        assert!(problem.is_none(), "{problem:?}");
        decision
    }
}

fn with_entry(list: &str) -> String {
    String::from_utf8(conflist::insert(list.as_bytes(), &Entry::default()).unwrap().bytes).unwrap()
}

fn owner(decision: &Decision) -> (Owner, &Path) {
    let present = decision.present.as_ref().unwrap();
    (present.owner, &present.at)
}

#[test]
fn inject_puts_the_entry_into_the_list_once() {
    let first = case(Placement::Inject, TERWAY).decision();
    let expected = with_entry(TERWAY);
    assert_eq!(first.write_list.as_deref(), Some(expected.as_bytes()));
    assert!(first.list_is_ours && !first.was_present && first.write_drop_in.is_none());
    let second = case(Placement::Inject, &expected).ours().decision();
    assert!(second.write_list.is_none() && second.was_present && second.list_is_ours);
}

#[test]
fn our_entry_with_other_settings_is_written_anew() {
    let required = Entry { policy: Policy::Required, ..Entry::default() };
    let list = conflist::insert(TERWAY.as_bytes(), &required).unwrap().bytes;
    let decision = case(Placement::Inject, str::from_utf8(&list).unwrap()).ours().decision();
    assert_eq!(decision.write_list.as_deref(), Some(with_entry(TERWAY).as_bytes()));
    assert!(decision.was_present);
}

#[test]
fn what_the_operator_placed_stays_in_every_placement_and_ours_gives_way() {
    for placement in [Placement::Inject, Placement::DropIn, Placement::Managed] {
        let decision = case(placement, OPERATORS).drop_in(OUR_DROP_IN, "{}", true).decision();
        assert!(decision.write_list.is_none() && decision.write_drop_in.is_none() && !decision.list_is_ours);
        assert_eq!(decision.remove_drop_ins, [Path::new(OUR_DROP_IN)]);
        assert_eq!(owner(&decision), (Owner::Operator, Path::new("/c/10-terway.conflist")));
        let entry = decision.present.unwrap().entry.unwrap();
        assert_eq!(entry.policy, Policy::Required, "the operator's settings hold");
    }
    let theirs = conflist::drop_in(&Entry::default());
    let decision = case(Placement::Inject, &with_entry(TERWAY))
        .ours()
        .runtime("v2.1.5")
        .drop_in("terway-chainer/50-smc.conf", &theirs, false)
        .decision();
    assert_eq!(decision.write_list.as_deref(), Some(TERWAY.as_bytes()));
    assert_eq!(owner(&decision), (Owner::Operator, Path::new("terway-chainer/50-smc.conf")));
}

#[test]
fn an_operators_drop_in_does_not_count_where_the_runtime_does_not_read_it() {
    let theirs = conflist::drop_in(&Entry::default());
    let decision = case(Placement::Inject, TERWAY)
        .runtime("v1.7.24")
        .drop_in("terway-chainer/50-smc.conf", &theirs, false)
        .decision();
    assert!(decision.write_list.is_some() && decision.remove_drop_ins.is_empty());
}

#[test]
fn an_operators_entry_that_cannot_work_is_reported_and_left() {
    let capability = r#""type":"smc-cni","capabilities":{"io.kubernetes.cri.pod-annotations":true}"#;
    let list = |version: &str, plugins: &str| format!(r#"{{{version}"name":"n","plugins":[{plugins}]}}"#);
    let behind = |entry: &str| list(r#""cniVersion":"0.4.0","#, &format!(r#"{{"type":"a"}},{{{entry}}}"#));
    for (list, words) in [
        (behind(r#""type":"smc-cni""#), "pod-annotations"),
        (behind(&format!(r#"{capability},"stateDir":"x""#)), "stateDir"),
        (behind(&format!(r#"{capability},"logMaxBytes":"4M""#)), "logMaxBytes"),
        (behind(&format!(r#"{capability},"policy":"Required""#)), "policy"),
        (list(r#""cniVersion":"0.4.0","#, &format!(r#"{{{capability}}},{{"type":"a"}}"#)), "stands first"),
        (list(r#""cniVersion":"0.4.0","#, &format!("{{{capability}}}")), "stands alone"),
        (list("", &format!(r#"{{"type":"a"}},{{{capability}}}"#)), "no \"cniVersion\""),
        (list(r#""cniVersion":"0.2.0","#, &format!(r#"{{"type":"a"}},{{{capability}}}"#)), "0.2.0"),
    ] {
        let (decision, problem) = case(Placement::Inject, &list).decide().unwrap();
        assert!(decision.write_list.is_none(), "{list}");
        assert_eq!(owner(&decision), (Owner::Operator, Path::new("/c/10-terway.conflist")));
        let problem = problem.unwrap();
        assert!(matches!(problem, Problem::OperatorsEntry { .. }), "{problem}");
        assert!(problem.to_string().contains(words), "{problem}");
    }
    let theirs = r#"{"type":"smc-cni","policy":"required"}"#;
    let (_, problem) = case(Placement::DropIn, TERWAY)
        .runtime("v2.1.5")
        .drop_in("terway-chainer/50-smc.conf", theirs, false)
        .decide()
        .unwrap();
    assert!(problem.unwrap().to_string().contains("50-smc.conf"));
}

#[test]
fn a_list_in_whose_version_the_plugin_cannot_be_called_gets_no_entry_and_loses_ours() {
    let none = TERWAY.replace(r#""cniVersion":"0.4.0","#, "");
    for list in [none.clone(), TERWAY.replace("0.4.0", "0.2.0"), TERWAY.replace("0.4.0", "")] {
        for placement in [Placement::Inject, Placement::DropIn] {
            let (decision, problem) = case(placement, &list).runtime("v2.1.5").decide().unwrap();
            assert_eq!(decision, Decision::default());
            let problem = problem.unwrap();
            assert!(matches!(problem, Problem::NoCommonVersion { .. }), "{problem}");
            assert!(problem.to_string().contains("cniVersion"), "{problem}");
        }
    }
    let (decision, problem) = case(Placement::Inject, &with_entry(&none)).ours().decide().unwrap();
    assert_eq!(decision.write_list.as_deref(), Some(none.as_bytes()));
    assert!(decision.present.is_none() && problem.is_some());
    // Runtimes that choose among versions find one that will do.
    let several = none.replace(r#""name""#, r#""cniVersions":["0.2.0","1.0.0"],"name""#);
    assert!(case(Placement::DropIn, &several).runtime("v2.1.5").decision().write_drop_in.is_some());
    assert!(case(Placement::Inject, &several).runtime("v1.7.24").decide().unwrap().1.is_some());
}

#[test]
fn a_list_in_a_file_that_runtimes_read_no_lists_from_is_left_alone_with_its_right_name() {
    for name in ["10-terway.conf", "10-terway.json"] {
        let path = Path::new("/c").join(name);
        for placement in [Placement::Inject, Placement::DropIn, Placement::Managed] {
            let problem = case(placement, TERWAY).decide_at(&path).unwrap_err();
            assert!(matches!(problem, Problem::NotAListsName { .. }), "{problem}");
            assert!(problem.to_string().contains("rename it to /c/10-terway.conflist"), "{problem}");
        }
    }
}

#[test]
fn advice_about_a_single_plugin_fits_the_files_name() {
    let single = r#"{"cniVersion":"0.4.0","name":"n","type":"bridge"}"#;
    let told =
        |name: &str| case(Placement::Inject, single).decide_at(Path::new(name)).unwrap_err().to_string();
    assert!(told("/c/10-a.conflist").contains("put it into a list"));
    assert!(told("/c/10-a.conf").contains("ends in .conflist"));
}

#[test]
fn a_drop_in_is_written_before_our_entry_leaves_the_list() {
    let decision = case(Placement::DropIn, &with_entry(TERWAY)).ours().runtime("v2.1.5").decision();
    let (path, text) = decision.write_drop_in.clone().unwrap();
    assert_eq!((path.as_path(), text), (Path::new(OUR_DROP_IN), conflist::drop_in(&Entry::default())));
    assert_eq!(decision.write_list.as_deref(), Some(TERWAY.as_bytes()));
    assert!(decision.was_present && !decision.list_is_ours);

    let there = conflist::drop_in(&Entry::default());
    let again = case(Placement::DropIn, TERWAY).drop_in(OUR_DROP_IN, &there, true).decision();
    assert!(again.write_drop_in.is_none() && again.write_list.is_none() && again.was_present);
    assert!(again.remove_drop_ins.is_empty());
}

#[test]
fn going_back_to_the_list_removes_the_drop_in() {
    let there = conflist::drop_in(&Entry::default());
    let decision = case(Placement::Inject, TERWAY).drop_in(OUR_DROP_IN, &there, true).decision();
    assert!(decision.write_list.is_some());
    assert_eq!(decision.remove_drop_ins, [Path::new(OUR_DROP_IN)]);
}

#[test]
fn a_drop_in_that_would_not_be_read_is_not_written() {
    let list = TERWAY.replace("\"plugins\"", "\"loadOnlyInlinedPlugins\":true,\"plugins\"");
    let problem = case(Placement::DropIn, &list).decide().unwrap_err();
    assert!(matches!(problem, Problem::NoDropIns { .. }), "{problem}");
    let problem = case(Placement::DropIn, TERWAY).runtime("1.6.20").decide().unwrap_err();
    assert!(matches!(problem, Problem::RuntimeIgnoresDropIns { .. }), "{problem}");
}

#[test]
fn managed_writes_nothing_and_says_what_is_missing() {
    let (decision, problem) = case(Placement::Managed, TERWAY).decide().unwrap();
    assert_eq!(decision, Decision::default());
    let problem = problem.unwrap().to_string();
    assert!(problem.contains("eni-config") && problem.contains("because"), "{problem}");
    let ours = case(Placement::Managed, &with_entry(TERWAY)).ours().decision();
    assert!(ours.write_list.is_none() && ours.list_is_ours);
    assert_eq!(owner(&ours), (Owner::Agent, Path::new("/c/10-terway.conflist")));
}

#[test]
fn what_cannot_hold_a_chain_is_told_apart_from_what_is_being_written() {
    type Expected = fn(&Problem) -> bool;
    let cases: [(&str, Expected); 6] = [
        ("", |problem| matches!(problem, Problem::Unfinished { .. })),
        (&TERWAY[..40], |problem| matches!(problem, Problem::Unfinished { .. })),
        ("apiVersion: v1", |problem| matches!(problem, Problem::Unusable { .. })),
        (r#"{"name":"n","plugins":[]}"#, |problem| matches!(problem, Problem::Unusable { .. })),
        (r#"{"name":"n","type":"bridge"}"#, |problem| matches!(problem, Problem::SinglePlugin { .. })),
        (r#"{"plugins":[{"type":"smc-cni"},{"type":"a"},{"type":"smc-cni"}]}"#, |problem| {
            matches!(problem, Problem::Unusable { .. })
        }),
    ];
    for (list, expected) in cases {
        for placement in [Placement::Inject, Placement::DropIn, Placement::Managed] {
            let problem = case(placement, list).decide().unwrap_err();
            assert!(expected(&problem), "{list}: {problem:?}");
        }
    }
}
