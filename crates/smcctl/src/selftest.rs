//! `smcctl selftest`: a connection of an unmodified TCP socket between namespaces that are set up exactly as pods are.

mod address;
mod echo;
mod place;
mod verdict;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use smc_host::kernel;
use smc_state::Store;

use crate::cli::{Load, Options, PORT, Side};
use crate::gather::{self, Smc};
use crate::output::{Outcome, Paint};
use address::Reach;
use place::{Cleanup, Place};
use verdict::{Proof, Report, Role, Socket};

/// Sets up, tests, tells, and takes all back, also when it is interrupted.
pub(crate) fn selftest(options: &Options, side: Option<&Side>, load: &Load, paint: Paint) -> Result<Outcome> {
    if !nix::unistd::geteuid().is_root() {
        bail!("a self-test makes network namespaces: run it as root");
    }
    let store = Store::new(&options.state_dir);
    let boot_id = kernel::boot_id()?;
    let node = match store.node_facts(&boot_id) {
        Ok(node) => node,
        Err(reason) => bail!("this node is not prepared: {reason}; {}", reason.remedy()),
    };
    if !kernel::module_is_loaded("smc") {
        bail!("the kernel's SMC is not loaded: run smc-agent on this node first");
    }
    let mut smc = Smc::connect().map_err(anyhow::Error::msg)?;
    let cleanup = Cleanup::begin(&store)?;
    cleanup.on_signals()?;
    let world = World { options, boot_id: &boot_id, cleanup: &cleanup };
    let reach = if side.is_some() { Reach::OtherNodes } else { Reach::ThisNode };
    let mut take = |wanted: Option<Ipv4Addr>, others: &[Ipv4Addr]| match wanted {
        Some(address) => Ok(address),
        None => address::free(&mut smc, &store, others, reach),
    };
    let mut run = || -> Result<Vec<Report>> {
        match side {
            None => {
                let server = take(load.ip, &[])?;
                let client = take(None, &[server])?;
                world.both(server, client, load)
            }
            Some(Side::Serve) => Ok(vec![world.serve(take(load.ip, &[])?, load)?]),
            Some(Side::Connect { address: (peer, port) }) => {
                let own = take(load.ip, &[*peer])?;
                Ok(vec![world.connect(own, SocketAddr::from((*peer, *port)), load)?])
            }
        }
    };
    let reports = run();
    let left = cleanup.finish();
    Proof::of(reports?, side.is_none(), &node, left).outcome(paint)
}

struct World<'a> {
    options: &'a Options,
    boot_id: &'a str,
    cleanup: &'a Cleanup,
}

impl World<'_> {
    fn place(&self, name: &str, address: Ipv4Addr) -> Result<Place> {
        let node_file = Store::new(&self.options.state_dir).node_path();
        self.cleanup.set_up(name, address, &node_file, self.boot_id, &gather::proc(self.options))
    }

    fn both(&self, server: Ipv4Addr, client: Ipv4Addr, load: &Load) -> Result<Vec<Report>> {
        let (server, client) = (self.place("server", server)?, self.place("client", client)?);
        let listener = listen(&server)?;
        let peer = SocketAddr::from((server.address, PORT));
        let limit = Duration::from_secs(load.timeout);
        std::thread::scope(|scope| {
            let serving = scope.spawn(|| serve_one(&server, &listener, limit));
            let connected = connect_one(&client, peer, load, limit);
            let answered = serving.join().map_err(|_| anyhow::anyhow!("the serving side panicked"))?;
            Ok(vec![connected?, answered?])
        })
    }

    fn serve(&self, address: Ipv4Addr, load: &Load) -> Result<Report> {
        let place = self.place("server", address)?;
        let listener = listen(&place)?;
        eprintln!("listening; on the other node: smcctl selftest connect {address}");
        serve_one(&place, &listener, Duration::from_secs(load.timeout))
    }

    fn connect(&self, address: Ipv4Addr, peer: SocketAddr, load: &Load) -> Result<Report> {
        let place = self.place("client", address)?;
        connect_one(&place, peer, load, Duration::from_secs(load.timeout))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn listen(place: &Place) -> Result<TcpListener> {
    let bound = place.netns.run(|| TcpListener::bind((place.address, PORT)))?;
    bound.with_context(|| format!("cannot listen on {}:{PORT} in the throw-away namespace", place.address))
}

/// Sends and compares. The socket is looked at while the connection is open: the kernel forgets it afterwards.
fn connect_one(place: &Place, peer: SocketAddr, load: &Load, limit: Duration) -> Result<Report> {
    let began = Instant::now();
    let connected = place.netns.run(|| TcpStream::connect_timeout(&peer, limit))?;
    let stream = connected.with_context(|| format!("cannot connect from {} to {peer}", place.address))?;
    let waited = began.elapsed();
    let port = stream.local_addr()?.port();
    let mut socket = None;
    let sent = echo::send_and_compare(&stream, load.bytes, limit, || {
        socket = Some(Socket::of(place, port, peer.port()));
    })?;
    let socket = socket.context("the connection was not looked at")??;
    Ok(Report::new(Role::Client, place, peer, socket, waited, sent))
}

fn serve_one(place: &Place, listener: &TcpListener, limit: Duration) -> Result<Report> {
    let began = Instant::now();
    let (stream, peer) = echo::accept(listener, limit)?;
    let waited = began.elapsed();
    let mut socket = None;
    let sent = echo::echo(&stream, limit, || socket = Some(Socket::of(place, PORT, peer.port())))?;
    let socket = socket.context("the peer connected and sent nothing")??;
    Ok(Report::new(Role::Server, place, peer, socket, waited, sent))
}
