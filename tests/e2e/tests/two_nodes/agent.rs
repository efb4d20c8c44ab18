//! Pods and nodes outlive the agent.

use cni_spec::PluginOptions;
use e2e::churn::churn;
use e2e::{
    Kernel, PATIENCE, TestPod, agent, client, eventually, fetch, server, shell, start, start_both, two_nodes,
    wait_until_served,
};
use rig::counters::Counters;
use rig::host::{Conversion, Ending};
use smc_model::{ANNOTATION, Reason};

#[test]
fn pods_start_accelerated_while_the_agent_is_dead_and_it_comes_back_to_an_unchanged_node() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(1);
    let _altered = cluster.alter(2);
    let (one, two) = (cluster.node(1), cluster.node(2));
    let annotated = |spec: rig::host::PodSpec| spec.annotate(ANNOTATION, "true");
    let [server, early] =
        start_both((&one, &annotated(server("steady-server"))), (&two, &annotated(client("early"))));
    let mut killed = agent::end(&two, Ending::Kill);

    let late = start(&two, &annotated(client("late")));
    late.configured();
    wait_until_served(&server);
    fetch(&late, &server.ip, 1);
    let seen = Counters::of(&late).unwrap().client;
    assert_eq!((seen.smcr, seen.fallbacks()), (1, 0));

    let netns = [early.netns_path(), late.netns_path()];
    let kernel = || Kernel(&two).snapshot(&[&netns[0], &netns[1]]);
    let before = kernel();
    let [anchored, guarded] = [format!("{}/32", late.ip), format!("guard from {}", late.ip)];
    assert!(before.contains(&anchored) && before.contains(&guarded), "{before}");
    assert!(!before.contains("unguarded"), "{before}");
    let said = killed.start();
    // Everything that the agent makes on a node it also tells.
    for made in ["attached", "replaced", "loaded the BPF program", "gave RDMA port", "added the UEID"] {
        assert!(!said.contains(made), "{said}");
    }
    eventually(PATIENCE, || {
        let log = agent::log(&two);
        let told = |pod: &TestPod<'_>| {
            let lines = log.rsplit_once("watching pods").map_or("", |(_, lines)| lines).lines();
            lines.filter(|line| line.contains(&pod.name)).any(|line| line.contains("configured for SMC-R"))
        };
        if told(&early) && told(&late) { Ok(()) } else { Err(log.clone()) }
    });
    assert_eq!(kernel(), before);

    let mut ended = agent::end(&two, Ending::Terminate);
    assert!(agent::log(&two).trim_end().ends_with("the node stays as it is"), "{}", agent::log(&two));
    assert_eq!(kernel(), before);
    fetch(&early, &server.ip, 1);
    assert_eq!(Counters::of(&early).unwrap().client.smcr, 1);
    ended.start();
    assert_eq!(kernel(), before);

    // The word of an uninstall that came beside it does not switch the plugin off for good.
    shell(&two, "touch /run/kube-smc/uninstalled", &[]);
    eventually(PATIENCE, || {
        let log = agent::log(&two);
        let gone = shell(&two, "test -e /run/kube-smc/uninstalled || echo gone", &[]) == "gone";
        if gone && log.contains("the word is taken back") { Ok(()) } else { Err(log) }
    });
}

#[test]
fn before_the_agent_was_there_pods_run_on_tcp_or_not_at_all_as_the_policy_says() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(1);
    let node = cluster.node(1);
    let mut ended = agent::end(&node, Ending::Terminate);
    // The agent writes it again when it starts.
    shell(&node, "rm /run/kube-smc/node.json", &[]);
    // For so long after a boot annotated pods wait for the agent.
    let wait = PluginOptions::BOOT_WAIT_SECONDS.to_string();
    shell(&node, r#"while [ "$(cut -d. -f1 /proc/uptime)" -le "$1" ]; do sleep 1; done"#, &[&wait]);

    let pod = start(&node, &server("too-early").annotate(ANNOTATION, "true"));
    let reason = pod.refused();
    assert!(matches!(reason, Reason::AgentNotReady { .. }), "{reason:?}");
    wait_until_served(&pod);
    fetch(&pod, &pod.ip, 1);
    assert_eq!(Counters::of(&pod).unwrap(), Counters::default());

    let _policy = Policy::require(&node);
    // containerd reads a changed configuration list a moment later.
    let refused = eventually(PATIENCE, || {
        match TestPod::try_start(&node, &client("refused").annotate(ANNOTATION, "true")) {
            Err(error) => Ok(error.to_string()),
            Ok(pod) => Err(format!("{} was started", pod.name)),
        }
    });
    assert!(refused.contains("SMC is required for this pod, but AgentNotReady"), "{refused}");
    start(&node, &client("unconcerned"));
    ended.start();
    shell(&node, "test -e /run/kube-smc/node.json", &[]);
}

#[test]
fn uninstalling_leaves_nothing_of_ours_and_the_next_agent_takes_up_the_running_pods() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(1);
    let _altered = cluster.alter(2);
    let (one, two) = (cluster.node(1), cluster.node(2));
    let [server, pod] = start_both(
        (&one, &server("uninstall-server").annotate(ANNOTATION, "true")),
        (&two, &client("uninstalled").annotate(ANNOTATION, "true")),
    );
    pod.configured();
    wait_until_served(&server);
    let mut ended = agent::end(&two, Ending::Terminate);
    let said = two.uninstall().unwrap_or_else(|error| panic!("{error}"));
    // It says what it undid, and nothing of what was not there.
    assert_eq!(said.contains("detached the BPF program"), cluster.conversion() == Conversion::Bpf, "{said}");
    assert!(said.contains("removed the same-node guard") && !said.contains("left in place"), "{said}");
    // Again: nothing is left to do.
    let said = agent::uninstall(&two);
    assert!(!said.contains("guard") && !said.contains("anchor"), "{said}");

    let left = shell(
        &two,
        r#"ls -d /sys/fs/bpf/kube-smc /sys/class/net/kubesmc0 2>/dev/null || :
           grep -l smc-cni /etc/cni/net.d/* || :
           ls -A /run/kube-smc | grep -v ^uninstalled$ || :
           ip route show table local | grep -F "$1" || :"#,
        &[&pod.ip],
    );
    assert_eq!(left, "");
    assert_eq!(Kernel(&two).unguarded(&pod.netns_path()), ["eth0"], "its program is gone, too");
    for netns in ["/proc/1/ns/net".to_owned(), pod.netns_path()] {
        let state = Kernel(&two).state(&netns);
        assert!(
            !state.contains("netdev ") && !state.contains("port ") && !state.contains("ueid "),
            "{state}"
        );
        assert!(state.contains("new TCP sockets are SMC: false"), "{state}");
    }
    fetch(&pod, &server.ip, 1);
    assert_eq!(Counters::of(&pod).unwrap().client.smcr, 0);

    ended.start();
    eventually(PATIENCE, || {
        let bytes = pod.record_bytes().ok_or("no record")?;
        let record: smc_state::Record = serde_json::from_slice(&bytes).map_err(|_| "no whole record")?;
        if record.verdict == Some(smc_model::Verdict::Configured) { Ok(()) } else { Err("not set up") }
    });
    fetch(&pod, &server.ip, 1);
    assert_eq!(Counters::of(&pod).unwrap().client.smcr, 1);
}

#[test]
fn pods_come_and_go_while_the_agent_is_killed_and_upgraded() {
    let Some(cluster) = two_nodes() else { return };
    let _altered = cluster.alter(2);
    let churned = churn(&cluster.node(2), 3, 2, &|_| ());
    assert!(churned.replaced > 0 && churned.killed > 0 && churned.terminated > 0, "{churned:?}");
}

/// The node's policy is `required` until this is dropped.
struct Policy<'n, 'a>(&'n rig::host::Node<'a>);

impl<'n, 'a> Policy<'n, 'a> {
    fn require(node: &'n rig::host::Node<'a>) -> Self {
        shell(node, r#""$1" install --policy required 2>&1"#, &[&agent::program()]);
        Self(node)
    }
}

impl Drop for Policy<'_, '_> {
    fn drop(&mut self) {
        let restored = self.0.exec(&[agent::program().as_str(), "install"]);
        let restored = restored.is_ok_and(|output| output.status.success());
        assert!(restored || std::thread::panicking(), "the node's policy stays required");
    }
}
