//! Runs inside a node of the rig: shows and sets what no packaged program of Debian 12 does.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::io::{Write as _, stdout};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use smc_abi::pnetid::PnetEntry;
use smc_host::conversion::Mptcp;
use smc_host::genl::SmcFamilies;
use smc_host::guard::Guard;
use smc_host::guard::peers::Whose;
use smc_host::netns::{Inside, Netns};
use smc_host::{HostError, conversion, guard, pnet, smc};
use smc_model::{NetnsCookie, StripCause};

/// The host's own network namespace.
const HOST: &str = "/proc/1/ns/net";
const USAGE: &str = "usage: node-state show NETNS… | pnet NETNS | set-pnetid NETNS NETDEV ID | set-port DEVICE ID | \
                     drop-pnetid NETNS ID | converts MAP COOKIE | converting MAP | convert MAP NETNS | \
                     unconvert MAP COOKIE | add-ueid UEID | remove-ueid UEID | guarded | stripped | peers | unguarded NETNS";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = match arguments.as_slice() {
        ["show", namespaces @ ..] => {
            namespaces.iter().map(|netns| show(netns)).collect::<Result<String>>()?
        }
        ["pnet", netns] => table(&mut Namespace::enter(netns)?)?,
        ["set-pnetid", netns, netdev, pnetid] => set_pnetid(netns, netdev, pnetid)?,
        ["converts", map, cookie] => {
            let cookie = NetnsCookie(cookie.parse().context("read the cookie")?);
            format!("{}\n", conversion::is_in_map(Path::new(map), cookie).map_err(|error| explain(&error))?)
        }
        ["converting", map] => {
            let cookies = conversion::in_map(Path::new(map)).map_err(|error| explain(&error))?;
            cookies.iter().fold(String::new(), |all, cookie| all + &cookie.to_string() + "\n")
        }
        ["guarded"] => guarded()?,
        ["stripped"] => {
            let guard =
                Guard::open(Path::new(conversion::DEFAULT_PIN_DIR)).map_err(|error| explain(&error))?;
            format!("{}\n", guard.stripped().map_err(|error| explain(&error))?)
        }
        ["peers"] => peers()?,
        ["unguarded", netns] => {
            let names = unguarded(&mut Namespace::enter(netns)?.inside)?;
            names.iter().fold(String::new(), |all, name| all + name + "\n")
        }
        ["convert", map, netns] => convert(map, netns)?,
        ["set-port", device, pnetid] => set_port(device, pnetid)?,
        ["drop-pnetid", netns, pnetid] => drop_pnetid(netns, pnetid)?,
        ["add-ueid", ueid] => {
            let mut host = Namespace::enter(HOST)?;
            let ueid = ueid.parse().context("read the UEID")?;
            let added = smc::add_ueid(&mut host.inside.generic, host.families.smc, &ueid);
            added.map(|()| String::new()).map_err(|error| explain(&error))?
        }
        ["remove-ueid", ueid] => {
            let mut host = Namespace::enter(HOST)?;
            let ueid = ueid.parse().context("read the UEID")?;
            let removed = smc::remove_ueid(&mut host.inside.generic, host.families.smc, &ueid);
            removed.map(|()| String::new()).map_err(|error| explain(&error))?
        }
        ["unconvert", map, cookie] => {
            let cookie = NetnsCookie(cookie.parse().context("read the cookie")?);
            conversion::remove_from_map(Path::new(map), cookie).map_err(|error| explain(&error))?;
            String::new()
        }
        _ => bail!("{USAGE}"),
    };
    stdout().write_all(answer.as_bytes()).context("print the answer")
}

/// Who may speak SMC with the node's pods.
fn peers() -> Result<String> {
    let guard = Guard::open(Path::new(conversion::DEFAULT_PIN_DIR)).map_err(|error| explain(&error))?;
    let all = guard.peers().and_then(|peers| peers.all()).map_err(|error| explain(&error))?;
    let Some(rules) = all.get(&Whose::Node) else { return Ok("any\n".to_owned()) };
    let may: Vec<String> =
        rules.iter().filter(|(_, may)| **may).map(|(range, _)| range.to_string()).collect();
    Ok(format!("{}\n", if may.is_empty() { "nobody".to_owned() } else { may.join(", ") }))
}

/// The pods whose offers the same-node guard takes out, one a line.
fn guarded() -> Result<String> {
    let guard =
        Guard::open_if_there(Path::new(conversion::DEFAULT_PIN_DIR)).map_err(|error| explain(&error))?;
    let Some(guard) = guard else { return Ok(String::new()) };
    let sources = guard.sources().map_err(|error| explain(&error))?;
    let pods = sources.iter().filter(|(_, why)| **why == StripCause::Pod);
    Ok(pods.fold(String::new(), |all, (pod, _)| all + &pod.to_string() + "\n"))
}

/// Connections in a network namespace.
struct Namespace {
    inside: Inside,
    families: SmcFamilies,
}

impl Namespace {
    fn enter(netns: &str) -> Result<Self> {
        let mut inside = Netns::open(Path::new(netns))
            .and_then(|netns| netns.connect())
            .map_err(|error| explain(&error))?;
        let families = SmcFamilies::find(&mut inside.generic)
            .map_err(|error| explain(&error))?
            .context("the kernel has no SMC")?;
        Ok(Self { inside, families })
    }
}

/// PNET table, enterprise ids, and what a new TCP socket becomes.
fn show(netns: &str) -> Result<String> {
    let mut namespace = Namespace::enter(netns)?;
    let mut text = table(&mut namespace)?;
    let ueids =
        smc::ueids(&mut namespace.inside.generic, namespace.families.smc).map_err(|error| explain(&error))?;
    for ueid in ueids {
        writeln!(text, "ueid {ueid}")?;
    }
    writeln!(text, "new TCP sockets are SMC: {}", namespace.inside.converts)?;
    if netns != HOST {
        for name in unguarded(&mut namespace.inside)? {
            writeln!(text, "unguarded {name}")?;
        }
    }
    Ok(text)
}

/// The namespace's interfaces that carry traffic and have not the guard's pinned program.
fn unguarded(inside: &mut Inside) -> Result<Vec<String>> {
    let pinned =
        guard::pinned_program(Path::new(conversion::DEFAULT_PIN_DIR)).map_err(|error| explain(&error))?;
    guard::unguarded(&mut inside.route, pinned).map_err(|error| explain(&error))
}

fn table(namespace: &mut Namespace) -> Result<String> {
    let entries = pnet::list(&mut namespace.inside.generic, namespace.families.pnetid)
        .map_err(|error| explain(&error))?;
    let mut lines: Vec<String> = entries
        .iter()
        .map(|entry| match entry {
            PnetEntry::Netdev { pnetid, netdev } => format!("netdev {netdev} {pnetid}\n"),
            PnetEntry::Device { pnetid, device, port } => format!("port {device}/{port} {pnetid}\n"),
        })
        .collect();
    lines.sort();
    Ok(lines.concat())
}

fn set_pnetid(netns: &str, netdev: &str, pnetid: &str) -> Result<String> {
    let Namespace { mut inside, families } = Namespace::enter(netns)?;
    let entries = pnet::list(&mut inside.generic, families.pnetid).map_err(|error| explain(&error))?;
    if let Some(old) = pnet::netdevs(&entries).get(netdev) {
        pnet::delete(&mut inside.generic, families.pnetid, old).map_err(|error| explain(&error))?;
    }
    let pnetid = pnetid.parse().context("read the PNETID")?;
    pnet::set_netdev(&mut inside.generic, families.pnetid, netdev, &pnetid)
        .map_err(|error| explain(&error))?;
    Ok(String::new())
}

fn set_port(device: &str, pnetid: &str) -> Result<String> {
    let Namespace { mut inside, families } = Namespace::enter(HOST)?;
    let pnetid = pnetid.parse().context("read the PNETID")?;
    pnet::set_port(&mut inside.generic, families.pnetid, device, 1, &pnetid)
        .map_err(|error| explain(&error))?;
    Ok(String::new())
}

fn drop_pnetid(netns: &str, pnetid: &str) -> Result<String> {
    let Namespace { mut inside, families } = Namespace::enter(netns)?;
    let pnetid = pnetid.parse().context("read the PNETID")?;
    pnet::delete(&mut inside.generic, families.pnetid, &pnetid).map_err(|error| explain(&error))?;
    Ok(String::new())
}

/// Puts a namespace into the map of a program that converts sockets.
fn convert(map: &str, netns: &str) -> Result<String> {
    let inside = Namespace::enter(netns)?.inside;
    let cookie = inside.cookie.context("the kernel gives namespaces no cookies")?;
    conversion::add_to_map(Path::new(map), cookie, Mptcp::Converted).map_err(|error| explain(&error))?;
    Ok(format!("{cookie}\n"))
}

fn explain(error: &HostError) -> anyhow::Error {
    anyhow::anyhow!(error.with_cause())
}
