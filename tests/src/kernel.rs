//! What a node's kernel holds of kube-smc.

use std::net::Ipv4Addr;

use smc_model::{NetnsCookie, Owned};
use xtask::rig::{Node, repository};

/// Runs a shell script on a node and returns what it printed; an unsuccessful end fails the test.
#[track_caller]
pub fn shell(node: &Node<'_>, script: &str, arguments: &[&str]) -> String {
    let mut argv = vec!["sh", "-ec", script, "sh"];
    argv.extend(arguments);
    let output = node.command(&argv).check().unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A look at one node's kernel.
#[derive(Debug, Clone, Copy)]
pub struct Kernel<'n, 'a>(pub &'n Node<'a>);

impl Kernel<'_, '_> {
    /// Everything that kube-smc changes on a node and in the given pods' network namespaces, as text to be compared.
    #[track_caller]
    pub fn snapshot(self, netns: &[&str]) -> String {
        let script = "nft --stateless list ruleset; ip -o address; ip rule; ip -4 route show table all; \
                      ls /sys/fs/bpf/kube-smc; exec \"$0\" \"$@\"";
        let program = program();
        let mut argv = vec!["sh", "-ec", script, &program, "show", "/proc/1/ns/net"];
        argv.extend(netns);
        let output = self.0.command(&argv).check().unwrap_or_else(|error| panic!("{error}"));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Which of what an attachment owns is in the kernel: empty when nothing is.
    #[track_caller]
    pub fn holds(self, owned: &Owned) -> Vec<String> {
        let script = "ip -4 -o address show dev kubesmc0 | awk '{ sub(\"/.*\", \"\", $4); print \"anchor \" $4 }'; \
                      nft list set inet kube-smc local_pods | grep -Eo '[0-9.]{7,}' | sed 's/^/guard /'";
        let there = shell(self.0, &format!("{{ {script}; }} || :"), &[]);
        let there: Vec<&str> = there.lines().collect();
        let addresses = |what: &str, addresses: &mut dyn Iterator<Item = &Ipv4Addr>| -> Vec<String> {
            addresses
                .map(|address| format!("{what} {address}"))
                .filter(|line| there.contains(&line.as_str()))
                .collect()
        };
        let mut held = addresses("anchor", &mut owned.anchored.iter());
        held.extend(addresses("guard", &mut owned.guarded.iter()));
        if let Some((map, cookie)) = &owned.converted {
            held.extend(
                self.converts(&map.display().to_string(), *cookie).then(|| format!("conversion {cookie}")),
            );
        }
        held
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

    /// The PNET table, the enterprise ids, and `socket protocol N`: what a new TCP socket becomes.
    #[track_caller]
    pub fn state(self, netns: &str) -> String {
        self.node_state(&["show", netns])
    }

    /// Gives a network device a PNETID; one that it has is taken away before.
    #[track_caller]
    pub fn set_pnetid(self, netns: &str, netdev: &str, pnetid: &str) {
        self.node_state(&["set-pnetid", netns, netdev, pnetid]);
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
