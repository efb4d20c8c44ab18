//! What programs ask the kernel for, and what their connections become.

use e2e::{client, fetch, running, start, start_both, two_nodes, wait_until_served};
use rig::counters::Counters;
use rig::host::{Conversion, PodSpec};
use smc_model::{ANNOTATION, KEEP_MPTCP_ANNOTATION, Reason};

/// Listens as Go's `net` does since 1.24: for MPTCP, and for TCP where the kernel has none.
const AS_GO: &str = r#"
import errno, http.server, os, socket
os.chdir("/demo/www")
class Server(http.server.ThreadingHTTPServer):
    def __init__(self, address, handler):
        super().__init__(address, handler, bind_and_activate=False)
        self.socket.close()
        try:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
        except OSError as error:
            if error.errno not in (errno.ENOPROTOOPT, errno.EPROTONOSUPPORT):
                raise
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.allow_reuse_address = True
        self.server_bind()
        self.server_activate()
Server(("0.0.0.0", 80), http.server.SimpleHTTPRequestHandler).serve_forever()
"#;

fn annotated(spec: PodSpec) -> PodSpec {
    spec.annotate(ANNOTATION, "true")
}

/// A pod that serves the files of [`fetch`] as a program of Go's would.
fn like_go(name: &str) -> PodSpec {
    annotated(running(name, &["python3", "-c", AS_GO]))
}

#[test]
fn a_server_that_asks_for_mptcp_is_reached_by_smc_r() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = [cluster.share(1), cluster.share(2)];
    let (one, two) = (cluster.node(1), cluster.node(2));
    let [server, client] =
        start_both((&one, &like_go("mptcp-server")), (&two, &annotated(client("mptcp-client"))));
    let record = server.configured();
    client.configured();
    assert_eq!(record.owned.mptcp_off, cluster.conversion() == Conversion::Sysctl);
    wait_until_served(&server);

    fetch(&client, &server.ip, 3);
    let seen = Counters::of(&client).unwrap().client;
    assert_eq!((seen.smcr, seen.fallbacks()), (3, 0), "{seen:?}");
}

#[test]
fn a_pod_whose_owner_keeps_mptcp_has_it_and_is_served_as_before() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = [cluster.share(1), cluster.share(2)];
    let (one, two) = (cluster.node(1), cluster.node(2));
    let kept = like_go("kept-server").annotate(KEEP_MPTCP_ANNOTATION, "true");
    let [server, client] = start_both((&one, &kept), (&two, &annotated(client("kept-client"))));
    let record = server.configured();
    client.configured();
    assert!(record.owned.keep_mptcp && !record.owned.mptcp_off, "{record:?}");
    wait_until_served(&server);

    fetch(&client, &server.ip, 3);
    let seen = Counters::of(&client).unwrap().client;
    assert_eq!((seen.smcr, seen.fallbacks()), (0, 3), "{seen:?}");
    // Its other sockets are SMC all the same.
    let other = server.exec(&["python3", "-c", "import socket; socket.socket().getsockopt(286, 1)"]);
    assert!(other.is_ok_and(|output| output.status.success()), "new TCP sockets are SMC sockets");
}

#[test]
fn a_pod_with_a_sidecar_stays_on_tcp_where_its_mesh_would_send_the_sidecar_to_itself() {
    let Some(cluster) = two_nodes() else { return };
    let _shared = cluster.share(1);
    let node = cluster.node(1);
    let meshed = annotated(client("meshed")).annotate("sidecar.istio.io/status", r#"{"revision":"default"}"#);
    let pod = start(&node, &meshed);
    if cluster.conversion() == Conversion::Sysctl {
        pod.configured();
    } else {
        assert_eq!(pod.refused(), Reason::MeshSidecar { mesh: "Istio".to_owned() });
    }
}
