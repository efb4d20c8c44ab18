//! What a node's kernel holds of kube-smc.

use std::collections::BTreeSet;
use std::env;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rig::host::{Node, repository};
use smc_model::{NetnsCookie, Owned};

use crate::cluster::not_run;
use crate::snapshot::{SCRIPT, settled};

/// Runs a shell script on a node and returns what it printed; an unsuccessful end fails the test.
#[track_caller]
pub fn shell(node: &Node<'_>, script: &str, arguments: &[&str]) -> String {
    let mut argv = vec!["sh", "-ec", script, "sh"];
    argv.extend(arguments);
    let output = node.command(&argv).check().unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Paths on this machine of other packages' test programs that need a node's kernel; `None`, said or failed, where they are
/// not named by `KUBE_SMC_KERNEL_TESTS`, separated by colons.
pub fn kernel_tests() -> Option<Vec<String>> {
    const PROGRAMS: &str = "KUBE_SMC_KERNEL_TESTS";
    let programs = env::var(PROGRAMS).ok().filter(|programs| !programs.is_empty());
    if programs.is_none() {
        not_run(PROGRAMS);
    }
    Some(programs?.split(':').map(str::to_owned).collect())
}

/// Runs such a program on a node; a failing test of it, or none, fails the test.
#[track_caller]
pub fn run_kernel_test(node: &Node<'_>, program: &str) {
    let test =
        node.command(&[program]).env("KUBE_SMC_REQUIRE_KERNEL", "1").timeout(KERNEL_TEST_LIMIT).output();
    let output = test.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}{errors}");
    assert!(said.contains("test result: ok") && !said.contains(" 0 passed"), "{program}: {said}");
}

/// Each program loads BPF programs a dozen times, in debug builds, on an emulated CPU.
const KERNEL_TEST_LIMIT: Duration = Duration::from_secs(600);

/// A look at one node's kernel.
#[derive(Debug, Clone, Copy)]
pub struct Kernel<'n, 'a>(pub &'n Node<'a>);

impl Kernel<'_, '_> {
    /// Everything that kube-smc changes on a node and in the given pods' network namespaces, as text to be compared; what
    /// the kernel changes by itself is left out.
    #[track_caller]
    pub fn snapshot(self, netns: &[&str]) -> String {
        let guard = r#"ls /sys/fs/bpf/kube-smc 2>/dev/null || :; "$0" guarded | sed 's/^/guard from /'"#;
        let script = format!("{SCRIPT}\n{guard}; exec \"$0\" \"$@\"");
        let program = program();
        let mut argv = vec!["sh", "-ec", &script, &program, "show", "/proc/1/ns/net"];
        argv.extend(netns);
        let output = self.0.command(&argv).check().unwrap_or_else(|error| panic!("{error}"));
        settled(&String::from_utf8(output.stdout).unwrap())
    }

    /// Which of what an attachment owns is in the kernel: empty when nothing is.
    #[track_caller]
    pub fn holds(self, owned: &Owned) -> Vec<String> {
        let words = |what: &str, owned: &BTreeSet<Ipv4Addr>, there: &BTreeSet<Ipv4Addr>| -> Vec<String> {
            owned.intersection(there).map(|address| format!("{what} {address}")).collect()
        };
        let mut held = words("anchor", &owned.anchored, &self.anchored());
        held.extend(words("hold", &owned.held, &self.held()));
        let guarded = self.guarded();
        let in_guard = owned.in_guard().filter(|address| guarded.contains(address));
        held.extend(in_guard.map(|address| format!("guard {address}")));
        if let Some((map, cookie)) = &owned.converted {
            held.extend(
                self.converts(&map.display().to_string(), *cookie).then(|| format!("conversion {cookie}")),
            );
        }
        held
    }

    /// The addresses on the anchor link; none when there is no link.
    #[track_caller]
    pub fn anchored(self) -> BTreeSet<Ipv4Addr> {
        let script =
            "ip -4 -o address show dev kubesmc0 2>/dev/null | awk '{ sub(\"/.*\", \"\", $4); print $4 }'";
        shell(self.0, script, &[]).lines().map(|address| address.parse().unwrap()).collect()
    }

    /// The addresses whose packets a unicast route in table local holds.
    #[track_caller]
    pub fn held(self) -> BTreeSet<Ipv4Addr> {
        let script = "ip -4 route show table local proto 83 | awk '{ print $1 == \"unicast\" ? $2 : $1 }'";
        shell(self.0, script, &[]).lines().map(|address| address.parse().unwrap()).collect()
    }

    /// The pods in the same-node guard's map; none when there is no map.
    #[track_caller]
    pub fn guarded(self) -> BTreeSet<IpAddr> {
        self.node_state(&["guarded"]).lines().map(|address| address.parse().unwrap()).collect()
    }

    /// How many offers the same-node guard took out of SYNs to pods that are there.
    #[track_caller]
    pub fn stripped(self) -> u64 {
        self.node_state(&["stripped"]).trim().parse().unwrap()
    }

    /// The interfaces of a network namespace that carry traffic and have not the guard's program.
    #[track_caller]
    pub fn unguarded(self, netns: &str) -> Vec<String> {
        self.node_state(&["unguarded", netns]).lines().map(str::to_owned).collect()
    }

    /// Whether the BPF program's map has the namespace with this cookie.
    #[track_caller]
    pub fn converts(self, map: &str, cookie: NetnsCookie) -> bool {
        self.node_state(&["converts", map, &cookie.0.to_string()]) == "true"
    }

    /// The PNET table of a network namespace, one entry a line: `netdev eth0 ID` or `port rxe0/1 ID`.
    #[track_caller]
    pub fn pnet_table(self, netns: &str) -> String {
        self.node_state(&["pnet", netns])
    }

    /// The PNET table, the enterprise ids, and whether new TCP sockets are SMC.
    #[track_caller]
    pub fn state(self, netns: &str) -> String {
        self.node_state(&["show", netns])
    }

    /// Gives a network device a PNETID; one that it has is taken away before.
    #[track_caller]
    pub fn set_pnetid(self, netns: &str, netdev: &str, pnetid: &str) {
        self.node_state(&["set-pnetid", netns, netdev, pnetid]);
    }

    /// Gives the RDMA device's first port a PNETID, unless it has one.
    #[track_caller]
    pub fn set_port(self, device: &str, pnetid: &str) {
        self.node_state(&["set-port", device, pnetid]);
    }

    /// Takes a PNETID from everybody in the namespace who has it.
    #[track_caller]
    pub fn drop_pnetid(self, netns: &str, pnetid: &str) {
        self.node_state(&["drop-pnetid", netns, pnetid]);
    }

    /// Adds an enterprise id to the node.
    #[track_caller]
    pub fn add_ueid(self, ueid: &str) {
        self.node_state(&["add-ueid", ueid]);
    }

    /// Removes an enterprise id from the node.
    #[track_caller]
    pub fn remove_ueid(self, ueid: &str) {
        self.node_state(&["remove-ueid", ueid]);
    }

    /// Puts a namespace into the map of a program that converts sockets, and returns its cookie.
    #[track_caller]
    pub fn convert(self, map: &str, netns: &str) -> NetnsCookie {
        NetnsCookie(self.node_state(&["convert", map, netns]).parse().unwrap())
    }

    /// The namespaces in the BPF program's map.
    #[track_caller]
    pub fn converting(self, map: &str) -> BTreeSet<NetnsCookie> {
        let cookies = self.node_state(&["converting", map]);
        cookies.lines().map(|cookie| NetnsCookie(cookie.parse().unwrap())).collect()
    }

    /// Takes a namespace out of the BPF program's map.
    #[track_caller]
    pub fn unconvert(self, map: &str, cookie: NetnsCookie) {
        self.node_state(&["unconvert", map, &cookie.0.to_string()]);
    }

    /// Who keeps the network namespace with this inode: processes in it, descriptors of it, and mounts.
    #[track_caller]
    pub fn keepers(self, inode: &str) -> String {
        // A process may end while it is looked at.
        let script = r#"ip netns list-id >/dev/null
            find /proc/[0-9]*/task/*/ns/net /proc/[0-9]*/fd -lname "net:\[$1\]" 2>/dev/null || :
            grep -F "net:[$1]" /proc/[0-9]*/mountinfo 2>/dev/null || :
            for name in /run/netns/*; do [ "$(stat -Lc %i "$name")" != "$1" ] || echo "$name"; done 2>/dev/null"#;
        shell(self.0, script, &[inode])
    }

    #[track_caller]
    fn node_state(self, arguments: &[&str]) -> String {
        shell(self.0, r#"exec "$@""#, &[&[program().as_str()], arguments].concat())
    }
}

/// This package's program for the inside of a node.
fn program() -> String {
    repository().join("target/debug/node-state").display().to_string()
}
