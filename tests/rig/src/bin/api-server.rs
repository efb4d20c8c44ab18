//! `api-server PORT KUBECONFIG`: a stand-in for kube-apiserver on the loopback, see `rig::api_server`. Writes a kubeconfig
//! that leads to it once it listens, and serves until it is ended.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rig::api_server::ApiServer;
use tokio::net::TcpListener;

fn main() -> Result<()> {
    const USAGE: &str = "usage: api-server PORT KUBECONFIG";
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().and_then(|text| text.parse().ok()).context(USAGE)?;
    let kubeconfig = arguments.next().map(PathBuf::from).context(USAGE)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.context("listen")?;
        let port = listener.local_addr().context("listen")?.port();
        std::fs::write(&kubeconfig, ApiServer::kubeconfig(port).to_string())
            .with_context(|| format!("write {}", kubeconfig.display()))?;
        match ApiServer::default().serve(listener).await.context("serve")? {}
    })
}
